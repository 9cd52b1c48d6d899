"""The way back of ``energies``: gradients of energies to gradients of samples, compiled.

Every step is the transpose of its counterpart there, in reverse order; the transform of the frames
is computed anew and not kept.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.butterflies import transform
from seqlab.frontend.kernel.frames import aligned, fill_frames, removed_mean, taper
from seqlab.frontend.kernel.lanes import DOUBLES, load, splat, square_root, store, transpose
from seqlab.frontend.kernel.tables import RAW_ENERGY, WINDOWED_ENERGY

_DOUBLE = np.zeros(1)
_TINY = 1e-30  # far below any magnitude that counts; spares a division by zero


@compiled
def _gather_lanes(gradient, first, column, count, lanes):
    """Columns of up to DOUBLES rows to one vector each; lanes past the last row are zero."""
    for lane in range(DOUBLES):
        for b in range(count):
            inside = first + lane < len(gradient)
            lanes[b * DOUBLES + lane] = gradient[first + lane, column + b] if inside else 0


@compiled
def _clear(rows):
    for k in range(len(rows)):
        rows[k] = 0


@compiled
def _spread_bands(bands, tables, bins):
    """Gradient of the bands to that of the bins."""
    _clear(bins)
    at = 0
    for b in range(len(tables.band_start)):
        value = load(bands, b * DOUBLES)
        for k in range(tables.band_start[b], tables.band_end[b]):
            weight = splat(np.float64(tables.band_weights[at]))
            _accumulate(bins, k * DOUBLES, value * weight)
            at += 1


@compiled
def _bin_gradient(weight, real, imaginary, magnitude):
    """Gradient of |X| ** 2, or of |X|, to both parts of X; ``weight`` is that of the bin."""
    if magnitude:
        size = square_root(real * real + imaginary * imaginary) + splat(_TINY)
        return weight * real / size, weight * imaginary / size
    twice = weight + weight
    return twice * real, twice * imaginary


@compiled
def _accumulate(rows, place, value):
    store(rows, place, load(rows, place) + value)


@compiled
def _pack(packed, tables, bins, out):
    """Gradient of the bins to that of the packed transform, conjugate."""
    half = len(packed) // (2 * DOUBLES)
    scale, zero = splat(0.5), splat(0.0)
    _clear(out)
    for k in range(half // 2 + 1):
        mirror = (half - k) % half
        ar, ai = load(packed, 2 * k * DOUBLES), load(packed, (2 * k + 1) * DOUBLES)
        br, bi = load(packed, 2 * mirror * DOUBLES), load(packed, (2 * mirror + 1) * DOUBLES)
        cosine, sine = splat(tables.unpacking[2 * k]), splat(tables.unpacking[2 * k + 1])
        er, ei = (ar + br) * scale, (ai - bi) * scale
        odd_r, odd_i = (ai + bi) * scale, (br - ar) * scale
        tr, ti = odd_r * cosine + odd_i * sine, odd_i * cosine - odd_r * sine
        weight = load(bins, k * DOUBLES)
        lr, li = _bin_gradient(weight, er + tr, ei + ti, tables.magnitude)
        upper = zero if 2 * k == half else load(bins, (half - k) * DOUBLES)
        ur, ui = _bin_gradient(upper, er - tr, ti - ei, tables.magnitude)
        er, tr, ei, ti = lr + ur, lr - ur, li - ui, li + ui
        odd_r, odd_i = tr * cosine - ti * sine, tr * sine + ti * cosine
        _accumulate(out, 2 * k * DOUBLES, (er - odd_i) * scale)
        _accumulate(out, (2 * k + 1) * DOUBLES, (zero - ei - odd_r) * scale)
        _accumulate(out, 2 * mirror * DOUBLES, (er + odd_i) * scale)
        _accumulate(out, (2 * mirror + 1) * DOUBLES, (ei - odd_r) * scale)


@compiled
def _untaper(frames, window, tables, mean, back, energy):
    """Gradient of the tapered frames, ``back`` (conjugate), to that of ``frames``, in place.

    ``energy`` is twice the gradient of the energy of the frame, as far as the energy is a sum of
    squares of what ``frames`` and ``window`` make.
    """
    zero = splat(0.0)
    raw, windowed = tables.energy == RAW_ENERGY, tables.energy == WINDOWED_ENERGY
    previous_weight = splat(tables.preemphasis)
    total, following = zero, zero
    for i in range(len(window) - 1, -1, -1):
        sample = load(frames, i * DOUBLES) - mean
        weight = splat(window[i])
        value = load(back, i * DOUBLES)
        if i % 2:
            value = zero - value  # undoes the conjugate: odd samples are the imaginary parts
        if windowed:
            before = load(frames, max(i - 1, 0) * DOUBLES) - mean
            value = value + energy * (sample - before * previous_weight) * weight
        value = value * weight
        own = value - value * previous_weight if i == 0 else value
        result = own - following * previous_weight
        following = value
        if raw:
            result = result + energy * sample
        total = total + result
        store(back, i * DOUBLES, result)
    if tables.remove_dc:
        shift = total * splat(1.0 / len(window))
        for i in range(len(window)):
            store(back, i * DOUBLES, load(back, i * DOUBLES) - shift)


@compiled
def _add_frames(back, begin, hop, length, turned, out):
    """Gradients of the samples of all frames to where the samples came from.

    ``turned`` is room for as many numbers as ``back``.
    """
    whole = length - length % DOUBLES
    for i in range(0, whole, DOUBLES):
        transpose(back, i * DOUBLES, DOUBLES, turned, i, length)
    for lane in range(DOUBLES):
        for i in range(whole, length):
            turned[lane * length + i] = back[i * DOUBLES + lane]
        place = begin + lane * hop
        for i in range(max(0, min(length, len(out) - place))):
            out[place + i] += turned[lane * length + i]


@compiled
def add_sample_gradient(samples, scale, tables, column, energy_column, gradient, out):
    """Add the gradient of the samples, given that of the rows of ``spectral_rows``.

    Args:
        samples: samples (N,), float32, as for ``spectral_rows``.
        scale: factor on the samples.
        tables: constants of the front end.
        column: column of the first band, or bin.
        energy_column: column of the energy, where there is one.
        gradient: gradient of the rows (T, F), before compression, float32.
        out: receives the gradient of the samples (N,), float64, added to what it holds.
    """
    length, hop = len(tables.window), tables.hop_length
    count = len(tables.unpacking) // 2
    bands = len(tables.band_start)
    window = tables.window * scale
    edge = np.empty((DOUBLES - 1) * hop + length, np.float32)
    frames = aligned(length * DOUBLES, _DOUBLE)
    tapered = aligned(2 * (count - 1) * DOUBLES, _DOUBLE)
    room = aligned(2 * (count - 1) * DOUBLES, _DOUBLE)
    bins, band_room = aligned(count * DOUBLES, _DOUBLE), aligned((bands + 1) * DOUBLES, _DOUBLE)
    energies = aligned(DOUBLES, _DOUBLE)
    zero, energy = splat(0.0), splat(0.0)
    for first in range(0, len(gradient), DOUBLES):
        fill_frames(samples, first * hop, hop, length, edge, frames)
        mean = removed_mean(frames, tables)
        taper(frames, window, tables, mean, tapered)
        packed = transform(tapered, room, tables.radices, tables.twiddles)
        if bands:
            _gather_lanes(gradient, first, column, bands, band_room)
            _spread_bands(band_room, tables, bins)
        else:
            _gather_lanes(gradient, first, column, count, bins)
        if tables.energy:
            _gather_lanes(gradient, first, energy_column, 1, energies)
            square = scale * scale if tables.energy == RAW_ENERGY else 1.0
            energy = load(energies, 0) * splat(2 * square)
            if column == energy_column and not bands:
                store(bins, 0, zero)  # the energy stands in place of bin 0
        spare = tapered if len(tables.radices) % 2 else room  # where ``packed`` is not
        _pack(packed, tables, bins, spare)
        back = transform(spare, packed, tables.radices, tables.twiddles)
        _untaper(frames, window, tables, mean, back, energy)
        _add_frames(back, first * hop, hop, length, frames, out)
