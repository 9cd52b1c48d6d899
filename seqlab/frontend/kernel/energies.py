"""Samples to rows of spectrum or mel bands on a CPU, several frames side by side, compiled.

All is computed in double precision up to the power of each bin; that is kept in float32, for what
follows, sums of positive numbers and their logarithm, loses no digits.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.butterflies import transform
from seqlab.frontend.kernel.frames import (
    aligned,
    fill_frames,
    frame_energy,
    removed_mean,
    taper,
)
from seqlab.frontend.kernel.lanes import (
    DOUBLES,
    SINGLES,
    load,
    splat,
    square_root,
    store,
    transpose,
    where_less,
)
from seqlab.frontend.kernel.logarithm import logarithm

_SINGLE, _DOUBLE = np.zeros(1, np.float32), np.zeros(1)


@compiled
def _store_bin(spectrum, k, real, imaginary, magnitude):
    power = real * real + imaginary * imaginary
    if magnitude:
        power = square_root(power)
    store(spectrum, k * SINGLES, power)


@compiled
def _unpack(packed, tables, spectrum):
    """Spectrum of real frames from the transform of their even and odd samples as one signal."""
    half = len(packed) // (2 * DOUBLES)
    scale = splat(0.5)
    for k in range(half // 2 + 1):
        mirror = (half - k) % half
        ar, ai = load(packed, 2 * k * DOUBLES), load(packed, (2 * k + 1) * DOUBLES)
        br, bi = load(packed, 2 * mirror * DOUBLES), load(packed, (2 * mirror + 1) * DOUBLES)
        cosine, sine = splat(tables.unpacking[2 * k]), splat(tables.unpacking[2 * k + 1])
        er, ei = (ar + br) * scale, (ai - bi) * scale
        odd_r, odd_i = (ai + bi) * scale, (br - ar) * scale
        tr, ti = odd_r * cosine + odd_i * sine, odd_i * cosine - odd_r * sine
        _store_bin(spectrum, k, er + tr, ei + ti, tables.magnitude)
        _store_bin(spectrum, half - k, er - tr, ti - ei, tables.magnitude)


@compiled
def _sum_bands(spectrum, tables, bands):
    at = 0
    for b in range(len(tables.band_start)):
        total = splat(np.float32(0))
        for k in range(tables.band_start[b], tables.band_end[b]):
            total = total + load(spectrum, k * SINGLES) * splat(tables.band_weights[at])
            at += 1
        store(bands, b * SINGLES, total)


@compiled
def _floored_logarithm(rows, place, floor, factor, shift):
    """One vector of ``rows``, at least ``floor``, to its logarithm times ``factor`` plus."""
    values, least = load(rows, place), splat(floor)
    logs = logarithm(where_less(values, least, least, values))
    store(rows, place, logs * splat(factor) + splat(shift))


@compiled
def _put_rows(result, count, first, column, out):
    """``count`` vectors of ``result`` to the rows of ``out`` from ``first`` on, as far as any."""
    width = out.shape[1]
    flat = out.reshape(out.size)
    lanes = min(SINGLES, len(out) - first)
    whole = count - count % SINGLES if lanes == SINGLES else 0
    for b in range(0, whole, SINGLES):
        transpose(result, b * SINGLES, SINGLES, flat, first * width + column + b, width)
    for lane in range(lanes):
        for b in range(whole, count):
            out[first + lane, column + b] = result[b * SINGLES + lane]


@compiled
def spectral_rows(samples, scale, tables, compress, column, energy_column, out):
    """Rows of the frames that begin at samples 0, hop_length, 2 * hop_length, and so on.

    Args:
        samples: samples (N,), float32; what a frame reads beyond them is zero.
        scale: factor on the samples.
        tables: from ``make_tables``.
        compress: bring bands and energies to the scale of the features.
        column: column of the first band, or bin.
        energy_column: column of the energy of the frame, where ``tables.energy`` asks for it.
        out: receives a row for each of its frames (T, F), float32, contiguous.
    """
    length, hop = len(tables.window), tables.hop_length
    bins = len(tables.unpacking) // 2
    count = len(tables.band_start) or bins
    window = tables.window * scale
    edge = np.empty((DOUBLES - 1) * hop + length, np.float32)
    frames = aligned(length * DOUBLES, _DOUBLE)
    tapered = aligned(2 * (bins - 1) * DOUBLES, _DOUBLE)
    room = aligned(2 * (bins - 1) * DOUBLES, _DOUBLE)
    spectrum = aligned(bins * SINGLES, _SINGLE)
    bands = aligned(count * SINGLES, _SINGLE) if len(tables.band_start) else spectrum
    energy = aligned(SINGLES, _SINGLE)
    for first in range(0, len(out), SINGLES):
        for part in range(0, min(SINGLES, len(out) - first), DOUBLES):
            fill_frames(samples, (first + part) * hop, hop, length, edge, frames)
            mean = removed_mean(frames, tables)
            taper(frames, window, tables, mean, tapered)
            if tables.energy:
                store(energy, part, frame_energy(frames, tables, mean, scale, tapered))
            packed = transform(tapered, room, tables.radices, tables.twiddles)
            _unpack(packed, tables, spectrum[part:])
        if len(tables.band_start):
            _sum_bands(spectrum, tables, bands)
        if compress and tables.factor != 0:
            for b in range(count):
                _floored_logarithm(bands, b * SINGLES, tables.floor, tables.factor, tables.shift)
        _put_rows(bands, count, first, column, out)
        if tables.energy:
            if compress:
                _floored_logarithm(energy, 0, tables.energy_floor, np.float32(1), np.float32(0))
            _put_rows(energy, 1, first, energy_column, out)
