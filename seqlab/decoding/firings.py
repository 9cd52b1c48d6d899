"""When a keyword detector would fire, at each of many thresholds that it could have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.keyword import fire

__all__ = ["Firings", "count_firings", "firings"]

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


class Firings(NamedTuple):
    """Firings in order of time.

    Args:
        frames: (N,) counted from the start of the stream.
        labels: (N,) number of the label that fired.
        levels: (N,) number of the threshold at which it did.
    """

    frames: Counts
    labels: Counts
    levels: Counts


def firings(
    scores: Iterable[Scores], labels: int, thresholds: Scores, release: float, refractory: int
) -> Iterator[Firings]:
    """Follow a stream by a detector of each label at each threshold; one answer a block.

    Use it to measure the detector that will run at every threshold it could have.

    Args:
        scores: Smoothed posteriors (T', labels), block by block.
        labels: How many there are.
        thresholds: (K,).
        release: As in ``DetectorSettings``.
        refractory: Frames.

    Example:
        >>> scores = np.array([[0.1], [0.6], [0.1], [0.9]])
        >>> [found] = firings([scores], 1, np.array([0.5, 0.8]), release=0.8, refractory=0)
        >>> found.frames.tolist(), found.levels.tolist()
        ([1, 3, 3], [0, 0, 1])
    """
    count = len(thresholds)
    columns, levels = np.repeat(np.arange(labels), count), np.tile(thresholds, labels)
    active, risen = np.zeros(len(levels), dtype=bool), np.full(len(levels), -1, dtype=np.int64)
    fired, first = risen.copy(), 0
    for block in scores:
        starts = fire(
            block, columns, levels, release * levels, refractory, first, active, risen, fired
        )
        frames, detectors = np.nonzero(starts >= 0)
        yield Firings(frames + first, detectors // count, detectors % count)
        first += len(block)


def count_firings(
    scores: Iterable[Scores], labels: int, thresholds: Scores, release: float, refractory: int
) -> Counts:
    """How often each label fires at each threshold, in bounded memory.

    Args:
        scores: As in ``firings``, like all that follows.
        labels: The same.
        thresholds: The same.
        release: The same.
        refractory: The same.

    Returns:
        (labels, K).

    Example:
        >>> scores = np.array([[0.1], [0.6], [0.1], [0.9]])
        >>> count_firings([scores], 1, np.array([0.05, 0.5, 0.8]), release=0.8, refractory=0)
        array([[1, 2, 1]])
    """
    total = np.zeros((labels, len(thresholds)), dtype=np.int64)
    for found in firings(scores, labels, thresholds, release, refractory):
        np.add.at(total, (found.labels, found.levels), 1)
    return total
