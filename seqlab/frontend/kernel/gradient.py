"""The way back of ``energies``: gradients of energies to gradients of samples, compiled.

Every step is the transpose of its counterpart there, in reverse order; the transform of the frames
is computed anew and not kept.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.butterflies import transform
from seqlab.frontend.kernel.energies import aligned, fill_tile, frame_means, taper
from seqlab.frontend.kernel.lanes import LANES, load, splat, square_root, store
from seqlab.frontend.kernel.tables import RAW_ENERGY, WINDOWED_ENERGY

_TINY = np.float32(1e-30)  # far below any magnitude that counts; spares a division by zero


@compiled
def _gather_lanes(gradient, first, column, count, lanes):
    """Columns of up to LANES rows to one vector each; lanes past the last row are zero."""
    for lane in range(LANES):
        for b in range(count):
            inside = first + lane < len(gradient)
            lanes[b * LANES + lane] = gradient[first + lane, column + b] if inside else 0


@compiled
def _spread_bands(bands, tables, bins):
    """Gradient of the bands to that of the bins."""
    bins[:] = 0
    at = 0
    for b in range(len(tables.band_start)):
        value = load(bands, b * LANES)
        for k in range(tables.band_start[b], tables.band_end[b]):
            place = k * LANES
            store(bins, place, load(bins, place) + value * splat(tables.band_weights[at]))
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
def _pack(packed, tables, offset, bins, out):
    """Gradient of the bins to that of the packed transform, conjugate; and that of ``offset``."""
    half = len(packed) // (2 * LANES)
    shape = tables.window_transform
    scale = splat(np.float32(0.5))
    zero = splat(np.float32(0))
    to_offset = zero
    out[:] = 0
    for k in range(half // 2 + 1):
        mirror = (half - k) % half
        ar, ai = load(packed, 2 * k * LANES), load(packed, (2 * k + 1) * LANES)
        br, bi = load(packed, 2 * mirror * LANES), load(packed, (2 * mirror + 1) * LANES)
        cosine, sine = splat(tables.unpacking[2 * k]), splat(tables.unpacking[2 * k + 1])
        er, ei = (ar + br) * scale, (ai - bi) * scale
        odd_r, odd_i = (ai + bi) * scale, (br - ar) * scale
        tr, ti = odd_r * cosine + odd_i * sine, odd_i * cosine - odd_r * sine
        wr, wi = splat(shape[k, 0]), splat(shape[k, 1])
        vr, vi = splat(shape[half - k, 0]), splat(shape[half - k, 1])
        weight = load(bins, k * LANES)
        lr, li = _bin_gradient(
            weight, er + tr + offset * wr, ei + ti + offset * wi, tables.magnitude
        )
        upper = zero if 2 * k == half else load(bins, (half - k) * LANES)
        ur, ui = _bin_gradient(
            upper, er - tr + offset * vr, ti - ei + offset * vi, tables.magnitude
        )
        to_offset = to_offset + lr * wr + li * wi + ur * vr + ui * vi
        er, tr, ei, ti = lr + ur, lr - ur, li - ui, li + ui
        odd_r, odd_i = tr * cosine - ti * sine, tr * sine + ti * cosine
        _accumulate(out, 2 * k * LANES, (er - odd_i) * scale)
        _accumulate(out, (2 * k + 1) * LANES, (zero - ei - odd_r) * scale)
        _accumulate(out, 2 * mirror * LANES, (er + odd_i) * scale)
        _accumulate(out, (2 * mirror + 1) * LANES, (ei - odd_r) * scale)
    return to_offset


@compiled
def _untaper(tile, tables, columns, rows, mean, back, energy, to_offset, gradient):
    """Gradient of the tapered frames, ``back`` (conjugate), to that of the tile of samples.

    ``energy`` is the gradient of the energy of the frame, ``to_offset`` that of its mean where
    the mean is not removed.
    """
    window, hop, length = tables.window, tables.hop_length, len(tables.window)
    zero, two = splat(np.float32(0)), splat(np.float32(2))
    previous_weight = splat(tables.preemphasis)
    rest_weight = splat(np.float32(1) - tables.preemphasis)
    offset = zero if tables.remove_dc else mean
    raw, windowed = tables.energy == RAW_ENERGY, tables.energy == WINDOWED_ENERGY
    to_offset = to_offset * rest_weight
    total, following = zero, zero
    for i in range(length - 1, -1, -1):
        h = i // hop
        sample = load(tile, (i - h * hop) * rows + h) - mean
        weight = splat(window[i])
        value = load(back, i * LANES)
        if i % 2:
            value = zero - value  # undoes the conjugate: odd samples are the imaginary parts
        if windowed:
            if i == 0:
                tapered = sample * rest_weight
            else:
                g = (i - 1) // hop
                before = load(tile, (i - 1 - g * hop) * rows + g) - mean
                tapered = sample - before * previous_weight
            tapered = (tapered + offset * rest_weight) * weight
            share = energy * two * tapered
            value = value + share
            to_offset = to_offset + share * weight * rest_weight
        value = value * weight
        own = value * rest_weight if i == 0 else value
        result = own - following * previous_weight
        following = value
        if raw:
            share = energy * two * (sample + offset)
            result = result + share
            to_offset = to_offset + share
        total = total + result
        store(back, i * LANES, result)
    shift = (zero - total) if tables.remove_dc else (to_offset - total)
    shift = shift * splat(np.float32(1.0 / length))
    for h in range(rows - LANES + 1):
        for j in range(min(columns, length - h * hop)):
            value = load(back, (h * hop + j) * LANES) + shift
            _accumulate(gradient, j * rows + h, value)


@compiled
def _add_tile(gradient, begin, scale, hop, columns, rows, out):
    """Tile of sample gradients to where the samples came from."""
    for r in range(rows):
        place = begin + r * hop
        for j in range(max(0, min(columns, len(out) - place))):
            out[place + j] += gradient[j * rows + r] * scale


@compiled
def add_sample_gradient(samples, scale, tables, column, energy_column, gradient, out):
    """Add the gradient of the samples, given that of the rows of ``spectral_rows``.

    Args:
        samples: samples (N,), float32, as for ``spectral_rows``.
        scale: factor on the samples, float32.
        tables: constants of the front end.
        column: column of the first band, or bin.
        energy_column: column of the energy, where there is one.
        gradient: gradient of the rows (T, F), before compression, float32.
        out: receives the gradient of the samples (N,), added to what it holds.
    """
    length, hop = len(tables.window), tables.hop_length
    columns = min(hop, length)
    rows = LANES + (length + hop - 1) // hop - 1
    count = len(tables.window_transform)
    bands = len(tables.band_start)
    tile, back_tile = aligned(columns * rows + LANES), aligned(columns * rows + LANES)
    frames, room = aligned(2 * (count - 1) * LANES), aligned(2 * (count - 1) * LANES)
    bins, band_room = aligned(count * LANES), aligned(max(bands, 1) * LANES)
    energies = aligned(LANES)
    energies[:] = 0
    zero = splat(np.float32(0))
    rest_weight = splat(np.float32(1) - tables.preemphasis)
    for first in range(0, len(gradient), LANES):
        fill_tile(samples, first * hop, scale, hop, columns, rows, tile)
        mean = frame_means(tile, tables, columns, rows)
        taper(tile, tables, columns, rows, mean, frames)
        packed = transform(frames, room, tables.radices, tables.twiddles)
        if bands:
            _gather_lanes(gradient, first, column, bands, band_room)
            _spread_bands(band_room, tables, bins)
        else:
            _gather_lanes(gradient, first, column, count, bins)
        if tables.energy:
            _gather_lanes(gradient, first, energy_column, 1, energies)
            if column == energy_column and not bands:
                store(bins, 0, zero)  # the energy stands in place of bin 0
        offset = zero if tables.remove_dc else mean * rest_weight
        spare = frames if len(tables.radices) % 2 else room  # where ``packed`` is not
        to_offset = _pack(packed, tables, offset, bins, spare)
        back = transform(spare, packed, tables.radices, tables.twiddles)
        back_tile[:] = 0
        energy = load(energies, 0)
        _untaper(tile, tables, columns, rows, mean, back, energy, to_offset, back_tile)
        _add_tile(back_tile, first * hop, scale, hop, columns, rows, out)
