"""Constants of the compiled kernel, made once for each front end."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RADICES = (4, 2, 3, 5)
NO_ENERGY, RAW_ENERGY, WINDOWED_ENERGY = 0, 1, 2


class Compression(NamedTuple):
    """The scale of the features: what is left to ``floor``, its logarithm, times, plus."""

    floor: float
    energy_floor: float  # of the energy of a frame, whose logarithm is natural
    factor: float  # of the natural logarithm of the bands; 0 leaves them as they are
    shift: float


class Tables(NamedTuple):
    """What the kernel reads: constants of a front end, as NumPy arrays and numbers."""

    window: NDArray[np.float64]  # (win_length,)
    hop_length: int
    preemphasis: float
    remove_dc: bool
    magnitude: bool  # and not power
    energy: int  # one of the three above
    radices: NDArray[np.int64]  # of the complex transform of n_fft / 2 points
    twiddles: NDArray[np.float64]
    unpacking: NDArray[np.float64]  # cosine and sine of each bin
    band_start: NDArray[np.int64]  # first bin of each band; none: the spectrum itself
    band_end: NDArray[np.int64]  # bin after the last
    band_weights: NDArray[np.float32]  # of all bands, one after the other
    floor: np.float32
    energy_floor: np.float32
    factor: np.float32
    shift: np.float32


def can_transform(n_fft: int) -> bool:
    """Whether the kernel has radices for a transform of ``n_fft`` points."""
    return n_fft % 2 == 0 and factorize(n_fft // 2) is not None


def make_tables(
    window: NDArray[np.float64],
    hop_length: int,
    n_fft: int,
    weights: NDArray[np.float32] | None,
    *,
    preemphasis: float,
    remove_dc: bool,
    magnitude: bool,
    energy: int,
    compression: Compression,
) -> Tables:
    """Tables of a front end, whose ``n_fft`` passes ``can_transform``.

    Args:
        window: window (win_length,).
        hop_length: samples between frames.
        n_fft: points of the transform.
        weights: band weights (n_fft // 2 + 1, n_bands); None leaves the spectrum as it is.
        preemphasis: coefficient.
        remove_dc: subtract the mean of each frame.
        magnitude: magnitude and not power.
        energy: NO_ENERGY, RAW_ENERGY or WINDOWED_ENERGY.
        compression: what becomes of bands and energies.
    """
    radices = factorize(n_fft // 2) or []
    angles = 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft
    columns = [] if weights is None else list(weights.T)
    used = [np.flatnonzero(column) for column in columns]
    start = np.array([bins[0] if len(bins) else 0 for bins in used], np.int64)
    end = np.array([bins[-1] + 1 if len(bins) else 0 for bins in used], np.int64)
    parts = [column[a:z] for column, a, z in zip(columns, start, end, strict=True)]
    return Tables(
        window=np.asarray(window, np.float64),
        hop_length=hop_length,
        preemphasis=float(preemphasis),
        remove_dc=remove_dc,
        magnitude=magnitude,
        energy=energy,
        radices=np.array(radices, np.int64),
        twiddles=twiddles(radices),
        unpacking=np.stack([np.cos(angles), np.sin(angles)], 1).ravel(),
        band_start=start,
        band_end=end,
        band_weights=np.concatenate([*parts, np.zeros(0)]).astype(np.float32),
        floor=np.float32(compression.floor),
        energy_floor=np.float32(compression.energy_floor),
        factor=np.float32(compression.factor),
        shift=np.float32(compression.shift),
    )


def factorize(points: int) -> list[int] | None:
    """Radices whose product is ``points``, or None where another prime divides it.

    >>> factorize(200), factorize(7)
    ([4, 2, 5, 5], None)
    """
    radices, rest = [], points
    for radix in RADICES:
        while rest % radix == 0:
            radices.append(radix)
            rest //= radix
    return radices if rest == 1 else None


def twiddles(radices: list[int]) -> NDArray[np.float64]:
    """Cosine and sine of every rotation, in the order in which ``transform`` reads them."""
    rotations: list[NDArray[np.float64]] = []
    points = math.prod(radices)
    for radix in radices:
        rest = points // radix
        turns = np.outer(np.arange(rest), np.arange(1, radix)).ravel() / points
        angles = -2 * np.pi * turns
        rotations.append(np.stack([np.cos(angles), np.sin(angles)], 1).ravel())
        points = rest
    return np.concatenate([*rotations, np.zeros(0)])
