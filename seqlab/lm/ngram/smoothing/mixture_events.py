"""What the weights of a mixture are fitted on: a held-out text, or the text itself less one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.kernels.smoothing import (
    find_longer,
    leave_one_out,
    own_events,
    put_in_buckets,
)
from seqlab.lm.ngram.smoothing.base import event_counts, history_sums
from seqlab.lm.ngram.smoothing.mixture import NUM_BUCKETS, MixtureOrder
from seqlab.lm.ngram.words import BEGIN

__all__ = ["held_out_events", "history_buckets", "left_out_events"]

_Rows = NDArray[np.int64]


def history_buckets(totals: _Rows, by_count: bool) -> NDArray[np.int8]:
    """Bucket of each history: log2 of its count, or 0 for all that were seen; -1 for others."""
    buckets = np.empty(len(totals), np.int8)
    put_in_buckets(totals, by_count, buckets)
    return buckets


def left_out_events(counts: NGramCounts, by_count: bool) -> list[MixtureOrder]:
    """Each occurrence in the text, judged by counts from which it alone is left out.

    Source: Ney, Essen and Kneser (1994), leaving one out: h w that occurs c(h w) times
    gives c(h w) events with the relative frequency (c(h w) - 1) / (c(h) - 1).
    """
    result = []
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        totals, _ = history_sums(counts, order, events)
        share, bucket = np.empty(len(level), np.float32), np.empty(len(level), np.int8)
        leave_one_out(events, level.context, totals, by_count, share, bucket)
        own = events.astype(np.float64)
        if order < counts.order:
            longer = counts.ngrams.levels[order]
            own_events(counts.occurrences[order], longer.suffix, own)
        result.append(MixtureOrder(share, bucket, level.suffix, own, np.zeros(NUM_BUCKETS)))
    return result


def held_out_events(
    counts: NGramCounts, numbers: NDArray[np.int32], by_count: bool
) -> list[MixtureOrder]:
    """Each word of a held-out text after its history.

    Args:
        counts: of the training text.
        numbers: word numbers of the held-out text with BEGIN, END and gaps (N,), int32.
        by_count: whether buckets are by the history's count, or one for all.

    Raises:
        DataError: the held-out text holds no words.
    """
    rows = _rows(counts, numbers)
    predicted = (numbers >= 0) & (numbers != BEGIN)
    if not predicted.any():
        raise DataError("held_out holds no words; give text that the training text does not hold")
    result: list[MixtureOrder] = []
    place = np.zeros(1, np.int32)  # of each row among those of the result, one order lower
    for order, level in enumerate(counts.ngrams.levels, start=1):
        found = predicted & (rows[order - 1] >= 0)
        longer = rows[order] >= 0 if order < counts.order else np.zeros(len(numbers), np.bool_)
        events = np.bincount(rows[order - 1][found & ~longer], minlength=len(level))
        used = np.unique(rows[order - 1][found])
        counted = event_counts(counts, order)
        totals, _ = history_sums(counts, order, counted)
        buckets, context = history_buckets(totals, by_count), level.context[used]
        share = counted[used] / np.maximum(totals[context], 1)
        history = _histories(rows, order)
        stepped = buckets[history[predicted & ~found & (history >= 0)]]
        result.append(
            MixtureOrder(
                share.astype(np.float32),
                buckets[context],
                place[level.suffix[used]],
                events[used].astype(np.float64),
                np.bincount(stepped[stepped >= 0], minlength=NUM_BUCKETS).astype(np.float64),
            )
        )
        place = np.zeros(len(level), np.int32)
        place[used] = np.arange(len(used))
    return result


def _rows(counts: NGramCounts, numbers: NDArray[np.int32]) -> list[_Rows]:
    """For each order, the row of the k-gram that ends at each place (N,), -1 where none does."""
    rows = [numbers.astype(np.int64)]
    for order, level in enumerate(counts.ngrams.levels[1:], start=2):
        first = np.full(len(numbers), -1, np.int32)
        first[order - 1 :] = numbers[: max(len(numbers) - order + 1, 0)]
        sizes = np.bincount(level.suffix, minlength=len(counts.ngrams.levels[order - 2]))
        begin = np.concatenate([[0], np.cumsum(sizes)])
        found = np.empty(len(numbers), np.int64)
        find_longer(rows[-1], first, begin, level.first, found)
        rows.append(found)
    return rows


def _histories(rows: list[_Rows], order: int) -> _Rows:
    """Row of the history of order - 1 words before each place (N,), -1 where it is not known."""
    if order == 1:
        return np.zeros(len(rows[0]), np.int64)
    return np.concatenate([[-1], rows[order - 2][:-1]])
