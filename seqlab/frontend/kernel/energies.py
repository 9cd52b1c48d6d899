"""Samples to rows of spectrum or mel energies on a CPU, ``LANES`` frames side by side, compiled."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.butterflies import transform
from seqlab.frontend.kernel.lanes import LANES, load, splat, square_root, store
from seqlab.frontend.kernel.tables import RAW_ENERGY


@compiled
def aligned(size):
    """Room for ``size`` numbers from a multiple of 64 bytes on."""
    room = np.empty(size + 16, np.float32)
    skip = (64 - room.ctypes.data % 64) % 64 // 4
    return room[skip : skip + size]


@compiled
def fill_tile(samples, begin, scale, hop, columns, rows, tile):
    """Sample ``begin + r * hop + j`` to tile[j, r], so that one row of it serves all lanes."""
    for r in range(rows):
        place = begin + r * hop
        there = max(0, min(columns, len(samples) - place))
        for j in range(there):
            tile[j * rows + r] = samples[place + j] * scale
        for j in range(there, columns):
            tile[j * rows + r] = 0


@compiled
def frame_means(tile, tables, columns, rows):
    """Mean of each frame, summed from its first sample so that a large offset costs no digits."""
    length, hop = len(tables.window), tables.hop_length
    first = load(tile, 0)
    total = splat(np.float32(0))
    for h in range(rows - LANES + 1):
        part = splat(np.float32(0))
        for j in range(min(columns, length - h * hop)):
            part = part + (load(tile, j * rows + h) - first)
        total = total + part
    return first + total * splat(np.float32(1.0 / length))


@compiled
def taper(tile, tables, columns, rows, mean, frames):
    """Centred, pre-emphasised, windowed frames to ``frames``; returns the energy asked for."""
    window, hop, raw = tables.window, tables.hop_length, tables.energy == RAW_ENERGY
    previous_weight = splat(tables.preemphasis)
    rest_weight = splat(np.float32(1) - tables.preemphasis)
    zero = splat(np.float32(0))
    offset = zero if tables.remove_dc else mean
    offset_rest = offset * rest_weight
    energy = zero
    previous = load(tile, 0) - mean
    for h in range(rows - LANES + 1):
        part = zero
        for j in range(min(columns, len(window) - h * hop)):
            i = h * hop + j
            sample = load(tile, j * rows + h) - mean
            weight = splat(window[i])
            if i == 0:
                value = sample * rest_weight * weight
            else:
                value = (sample - previous * previous_weight) * weight
            previous = sample
            store(frames, i * LANES, value)
            if tables.energy:
                whole = sample + offset if raw else value + offset_rest * weight
                part = part + whole * whole
        energy = energy + part
    for k in range(len(window) * LANES, len(frames)):
        frames[k] = 0
    return energy


@compiled
def _store_bin(spectrum, k, real, imaginary, magnitude):
    power = real * real + imaginary * imaginary
    if magnitude:
        power = square_root(power)
    store(spectrum, k * LANES, power)


@compiled
def _unpack(packed, tables, offset, spectrum):
    """Spectrum of real frames from the transform of their even and odd samples as one signal."""
    half = len(packed) // (2 * LANES)
    shape = tables.window_transform
    scale = splat(np.float32(0.5))
    plain = tables.remove_dc
    for k in range(half // 2 + 1):
        mirror = (half - k) % half
        ar, ai = load(packed, 2 * k * LANES), load(packed, (2 * k + 1) * LANES)
        br, bi = load(packed, 2 * mirror * LANES), load(packed, (2 * mirror + 1) * LANES)
        cosine, sine = splat(tables.unpacking[2 * k]), splat(tables.unpacking[2 * k + 1])
        er, ei = (ar + br) * scale, (ai - bi) * scale
        odd_r, odd_i = (ai + bi) * scale, (br - ar) * scale
        tr, ti = odd_r * cosine + odd_i * sine, odd_i * cosine - odd_r * sine
        lower_r, lower_i, upper_r, upper_i = er + tr, ei + ti, er - tr, ti - ei
        if not plain:  # the mean apart: a large one would drown the rest in rounding errors
            lower_r = lower_r + offset * splat(shape[k, 0])
            lower_i = lower_i + offset * splat(shape[k, 1])
            upper_r = upper_r + offset * splat(shape[half - k, 0])
            upper_i = upper_i + offset * splat(shape[half - k, 1])
        _store_bin(spectrum, k, lower_r, lower_i, tables.magnitude)
        _store_bin(spectrum, half - k, upper_r, upper_i, tables.magnitude)


@compiled
def _sum_bands(spectrum, tables, bands):
    at = 0
    for b in range(len(tables.band_start)):
        total = splat(np.float32(0))
        for k in range(tables.band_start[b], tables.band_end[b]):
            total = total + load(spectrum, k * LANES) * splat(tables.band_weights[at])
            at += 1
        store(bands, b * LANES, total)


@compiled
def spectral_rows(samples, scale, tables, column, energy_column, out):
    """Energies of the frames that begin at samples 0, hop_length, 2 * hop_length, and so on.

    Args:
        samples: samples (N,), float32; what a frame reads beyond them is zero.
        scale: factor on the samples, float32.
        tables: from ``make_tables``.
        column: column of the first band, or bin.
        energy_column: column of the energy of the frame, where ``tables.energy`` asks for it.
        out: receives a row for each of its frames (T, F), not yet compressed.
    """
    length, hop = len(tables.window), tables.hop_length
    columns = min(hop, length)
    rows = LANES + (length + hop - 1) // hop - 1
    bins = len(tables.window_transform)
    bands = len(tables.band_start)
    tile = aligned(columns * rows + LANES)
    frames = aligned(2 * (bins - 1) * LANES)
    room = aligned(2 * (bins - 1) * LANES)
    spectrum = aligned(bins * LANES)
    result = aligned(bands * LANES) if bands else spectrum
    energies = aligned(LANES)
    rest_weight = splat(np.float32(1) - tables.preemphasis)
    for first in range(0, len(out), LANES):
        fill_tile(samples, first * hop, scale, hop, columns, rows, tile)
        mean = frame_means(tile, tables, columns, rows)
        store(energies, 0, taper(tile, tables, columns, rows, mean, frames))
        packed = transform(frames, room, tables.radices, tables.twiddles)
        _unpack(packed, tables, mean * rest_weight, spectrum)
        if bands:
            _sum_bands(spectrum, tables, result)
        for lane in range(min(LANES, len(out) - first)):
            for b in range(bands if bands else bins):
                out[first + lane, column + b] = result[b * LANES + lane]
            if tables.energy:
                out[first + lane, energy_column] = energies[lane]
