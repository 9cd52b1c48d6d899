"""Samples to tapered frames, ``DOUBLES`` of them side by side, compiled."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.lanes import DOUBLES, load, splat, store, transpose
from seqlab.frontend.kernel.tables import RAW_ENERGY


@compiled
def aligned(size, kind):
    """Room for ``size`` numbers like ``kind`` from a multiple of 64 bytes on."""
    room = np.empty(size * kind.itemsize + 64, np.uint8)
    skip = (64 - room.ctypes.data % 64) % 64
    return room[skip : skip + size * kind.itemsize].view(kind.dtype)


@compiled
def fill_frames(samples, begin, hop, length, edge, frames):
    """Sample ``begin + lane * hop + i`` to frames[i, lane]; beyond the samples there is silence.

    ``edge`` is room for the samples (DOUBLES - 1) * hop + length of all these frames.
    """
    span = (DOUBLES - 1) * hop + length
    if begin + span > len(samples):
        for i in range(span):
            edge[i] = samples[begin + i] if begin + i < len(samples) else 0
        samples, begin = edge, 0
    whole = length - length % DOUBLES
    for i in range(0, whole, DOUBLES):
        transpose(samples, begin + i, hop, frames, i * DOUBLES, DOUBLES)
    for i in range(whole, length):
        for lane in range(DOUBLES):
            frames[i * DOUBLES + lane] = samples[begin + lane * hop + i]


@compiled
def _sum(rows, count):
    """Sum of the first rows; four at a time, for one addition must not wait for the last."""
    a = splat(0.0)
    b, c, d = a, a, a
    whole = count - count % 4
    for i in range(0, whole, 4):
        place = i * DOUBLES
        a = a + load(rows, place)
        b = b + load(rows, place + DOUBLES)
        c = c + load(rows, place + 2 * DOUBLES)
        d = d + load(rows, place + 3 * DOUBLES)
    for i in range(whole, count):
        a = a + load(rows, i * DOUBLES)
    return (a + b) + (c + d)


@compiled
def _sum_of_squares(rows, count, mean):
    """Sum of the squares of the first rows less ``mean``."""
    a = splat(0.0)
    b, c, d = a, a, a
    whole = count - count % 4
    for i in range(0, whole, 4):
        place = i * DOUBLES
        value = load(rows, place) - mean
        a = a + value * value
        value = load(rows, place + DOUBLES) - mean
        b = b + value * value
        value = load(rows, place + 2 * DOUBLES) - mean
        c = c + value * value
        value = load(rows, place + 3 * DOUBLES) - mean
        d = d + value * value
    for i in range(whole, count):
        value = load(rows, i * DOUBLES) - mean
        a = a + value * value
    return (a + b) + (c + d)


@compiled
def removed_mean(frames, tables):
    """Mean of each frame, or zero where it is not to be removed."""
    length = len(tables.window)
    if not tables.remove_dc:
        return splat(0.0)
    return _sum(frames, length) * splat(1.0 / length)


@compiled
def taper(frames, window, tables, mean, tapered):
    """Centred, pre-emphasised, windowed frames to ``tapered``, zero beyond the window."""
    weight = splat(tables.preemphasis)
    previous = load(frames, 0) - mean  # the first sample stands in for the one before it
    for i in range(len(window)):
        sample = load(frames, i * DOUBLES) - mean
        store(tapered, i * DOUBLES, (sample - previous * weight) * splat(window[i]))
        previous = sample
    for k in range(len(window) * DOUBLES, len(tapered)):
        tapered[k] = 0


@compiled
def frame_energy(frames, tables, mean, scale, tapered):
    """Energy of each frame, before or after it was tapered."""
    if tables.energy == RAW_ENERGY:
        return _sum_of_squares(frames, len(tables.window), mean) * splat(scale * scale)
    return _sum_of_squares(tapered, len(tables.window), splat(0.0))
