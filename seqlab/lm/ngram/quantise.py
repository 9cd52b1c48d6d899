"""Rounding of log-probabilities and back-off weights to a few hundred values for each order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import ModelError

__all__ = ["CODES", "Codebook", "code_bits_for", "fit_centres"]

CODES = 256  # values of each kind and order at most
_FLAGS = 62  # bits of a record below its two flags
_FEWEST_BITS = 4
_SAMPLE = 1 << 20
_ROUNDS = 30
_POINTS = 4096  # quantiles that show the density


def code_bits_for(key_bits: int) -> int:
    """Bits of each of the two codes that fit beside a key: 8, or fewer for very large models.

    Raises:
        ModelError: the key leaves too little.

    >>> code_bits_for(40), code_bits_for(50)
    (8, 6)
    """
    bits = min(8, (_FLAGS - key_bits) // 2)
    if bits < _FEWEST_BITS:
        raise ModelError(
            f"keys of {key_bits} bits must have at most {_FLAGS - 2 * _FEWEST_BITS} in a quantised "
            "model; prune it, or store it without quantise"
        )
    return bits


def fit_centres(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """At most ``count`` values that stand for all the others with little squared error.

    Centres start as dense as the cube root of the values' density, the best for many centres,
    and are refined by Lloyd's rounds: each value to its nearest centre, each centre to the mean
    of its values. -inf and 0 keep centres of their own: a word that never follows, and a context
    without a back-off weight, stay what they are. A million values drawn evenly stand for more.

    Source: P. F. Panter and W. Dite (1951), "Quantization distortion in pulse-count modulation
    with nonuniform spacing of levels"; S. P. Lloyd (1982), "Least squares quantization in PCM".

    Args:
        values: what is to be rounded (N,), no NaN.
        count: how many centres, at least 3.

    Returns:
        The centres, rising (count or fewer,), float32.

    Example:
        >>> fit_centres(np.array([0, -1, -1.5, -9, -np.inf], np.float32), 4).tolist()
        [-inf, -9.0, -1.25, 0.0]
    """
    sample = np.sort(values[:: max(1, len(values) // _SAMPLE)])
    exact = [value for value in (-np.inf, 0.0) if (values == value).any()]
    sample = sample[np.isfinite(sample) & (sample != 0)].astype(np.float64)
    room = count - len(exact)
    centres = np.unique(sample)
    if len(centres) > room:
        centres = _spread(sample, room)
        sums = np.concatenate([[0.0], np.cumsum(sample)])
        for _ in range(_ROUNDS):
            cuts = np.searchsorted(sample, (centres[1:] + centres[:-1]) / 2)
            edges = np.concatenate([[0], cuts, [len(sample)]])
            sizes = np.diff(edges)
            means = np.diff(sums[edges])[sizes > 0] / sizes[sizes > 0]
            if np.array_equal(means, centres):
                break
            centres = means
    return np.unique(np.concatenate([centres, exact])).astype(np.float32)


def _spread(sample: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Centres as dense as the cube root of the density of a sorted sample."""
    points = sample[np.linspace(0, len(sample) - 1, _POINTS).astype(np.int64)]
    mass = np.concatenate([[0.0], np.cumsum(np.diff(points) ** (2 / 3))])
    return np.unique(np.interp((np.arange(count) + 0.5) / count * mass[-1], mass, points))


@dataclass(frozen=True)
class Codebook:
    """What the codes of one order mean.

    Args:
        log_prob: centres of the log-probabilities, rising, float32.
        log_backoff: centres of the log back-off weights, rising, float32.
        bits: bits of a code.
    """

    log_prob: NDArray[np.float32]
    log_backoff: NDArray[np.float32]
    bits: int

    @classmethod
    def fit(
        cls, log_prob: NDArray[np.float32], log_backoff: NDArray[np.float32], bits: int
    ) -> Codebook:
        """Fit both kinds of centres, at most ``2 ** bits`` of each."""
        return cls(fit_centres(log_prob, 1 << bits), fit_centres(log_backoff, 1 << bits), bits)

    def codes(
        self, log_prob: NDArray[np.float32], log_backoff: NDArray[np.float32]
    ) -> NDArray[np.uint64]:
        """Both codes of each k-gram, in their places in a record (N,), uint64."""
        high = _nearest(self.log_prob, log_prob) << np.uint64(_FLAGS - self.bits)
        return high | _nearest(self.log_backoff, log_backoff) << np.uint64(_FLAGS - 2 * self.bits)

    def padded(self) -> NDArray[np.float32]:
        """Both kinds of centres as a row of ``Tables.centres`` (2, CODES); unused ones 0."""
        centres = np.zeros((2, CODES), np.float32)
        centres[0, : len(self.log_prob)] = self.log_prob
        centres[1, : len(self.log_backoff)] = self.log_backoff
        return centres


def _nearest(centres: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.uint64]:
    if not len(centres):
        return np.zeros(len(values), np.uint64)
    bounds = (centres[1:].astype(np.float64) + centres[:-1]) / 2
    return np.searchsorted(bounds.astype(np.float32), values).astype(np.uint64)
