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
from seqlab.lm.ngram.scratch import Scratch, release, released
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


def left_out_events(counts: NGramCounts, by_count: bool, scratch: Scratch) -> list[MixtureOrder]:
    """Each occurrence in the text, judged by counts from which it alone is left out.

    Source: Ney, Essen and Kneser (1994), leaving one out: h w that occurs c(h w) times
    gives c(h w) events with the relative frequency (c(h w) - 1) / (c(h) - 1).
    """
    result = []
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        sums = history_sums(counts, order, events, scratch)
        share = scratch.empty(len(level), np.float32)
        bucket = scratch.empty(len(level), np.int8)
        own = scratch.empty(len(level), np.float64)
        for part in released(len(level), events, level.context, sums, share, bucket, own):
            own[part] = events[part]
            leave_one_out(
                events[part], level.context[part], sums, by_count, share[part], bucket[part]
            )
        if order < counts.order:
            suffix, longer = counts.ngrams.levels[order].suffix, counts.occurrences[order]
            for part in released(len(longer), longer, suffix, own):
                own_events(longer[part], suffix[part], own)
        result.append(MixtureOrder(share, bucket, level.suffix, own, np.zeros(NUM_BUCKETS)))
    return result


def held_out_events(
    counts: NGramCounts, numbers: NDArray[np.int32], by_count: bool, scratch: Scratch
) -> list[MixtureOrder]:
    """Each word of a held-out text after its history.

    Args:
        counts: of the training text.
        numbers: word numbers of the held-out text with BEGIN, END and gaps (N,), int32.
        by_count: whether buckets are by the history's count, or one for all.
        scratch: where arrays go that are as long as the counts.

    Raises:
        DataError: the held-out text holds no words.
    """
    rows = _rows(counts, numbers)
    predicted = (numbers >= 0) & (numbers != BEGIN)
    if not predicted.any():
        raise DataError("held_out holds no words; give text that the training text does not hold")
    result: list[MixtureOrder] = []
    below = np.zeros(1, np.int64)  # the rows of the result, one order lower
    for order, level in enumerate(counts.ngrams.levels, start=1):
        found = predicted & (rows[order - 1] >= 0)
        longer = rows[order] >= 0 if order < counts.order else np.zeros(len(numbers), np.bool_)
        used, places = np.unique(rows[order - 1][found], return_inverse=True)
        own = np.bincount(places[~longer[found]], minlength=len(used))
        events = event_counts(counts, order)
        sums = history_sums(counts, order, events, scratch)
        history, totals = _histories(rows, order), sums[level.context[used], 0]
        others = history[predicted & ~found & (history >= 0)]
        buckets = history_buckets(sums[others, 0], by_count)
        stepped = np.bincount(buckets[buckets >= 0], minlength=NUM_BUCKETS)
        result.append(
            MixtureOrder(
                (events[used] / np.maximum(totals, 1)).astype(np.float32),
                history_buckets(totals, by_count),
                np.searchsorted(below, level.suffix[used]).astype(np.int32),
                own.astype(np.float64),
                stepped.astype(np.float64),
            )
        )
        below = used
        release(events, level.context, level.suffix, sums)
    return result


def _rows(counts: NGramCounts, numbers: NDArray[np.int32]) -> list[_Rows]:
    """For each order, the row of the k-gram that ends at each place (N,), -1 where none does."""
    rows = [numbers.astype(np.int64)]
    for order, level in enumerate(counts.ngrams.levels[1:], start=2):
        first = np.full(len(numbers), -1, np.int32)
        first[order - 1 :] = numbers[: max(len(numbers) - order + 1, 0)]
        parents = rows[-1].astype(np.int32)  # of the type of suffix, or that would be copied
        begin = np.searchsorted(level.suffix, parents)
        end = np.searchsorted(level.suffix, parents, "right")
        found = np.empty(len(numbers), np.int64)
        find_longer(rows[-1], first, begin, end, level.first, found)
        release(level.suffix, level.first)
        rows.append(found)
    return rows


def _histories(rows: list[_Rows], order: int) -> _Rows:
    """Row of the history of order - 1 words before each place (N,), -1 where it is not known."""
    if order == 1:
        return np.zeros(len(rows[0]), np.int64)
    return np.concatenate([[-1], rows[order - 2][:-1]])
