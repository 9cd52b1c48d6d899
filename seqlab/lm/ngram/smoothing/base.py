"""What all smoothings share: the interface, and sums over histories.

The papers' symbols: h is a history of words, h' the same without its first word, w the next word,
c(h w) how often they occur together. c(h) is the sum of c(h w) over w, and N1+(h .) the number of
different w: both count what follows h, so they also hold where a sentence or a cut-off ends h. V
words can be predicted: all but ``<s>``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.kernels.smoothing import count_of_counts, sum_histories
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.words import BEGIN

__all__ = [
    "Smoothing",
    "check_fractions",
    "counts_of_counts",
    "event_counts",
    "history_sums",
    "log32",
    "logarithms",
    "num_events",
    "num_histories",
    "of_order",
]


class Smoothing(ABC):
    """A way to turn counts into probabilities; its options are constructor arguments."""

    name: ClassVar[str]
    cutoffs: Sequence[int] = ()  # those that the probabilities account for

    @abstractmethod
    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts, in back-off form.

        Args:
            counts: of the n-grams.
            scratch: where large arrays go; where it is on disk, memory holds only parts of what
                is as long as there are n-grams. It changes no bit of the model. None is memory.

        Raises:
            DataError: nothing was counted.
        """

    def with_cutoffs(self, cutoffs: Sequence[int]) -> Smoothing:
        """The smoothing that accounts for what cut-offs leave out; itself where none does.

        Raises:
            SeqlabError: it has others already.
        """
        return self


def num_events(counts: NGramCounts) -> int:
    """V, how many words can be predicted: all but ``<s>``."""
    return len(counts.ngrams.words) - 1


def event_counts(counts: NGramCounts, order: int) -> Counts:
    """c(h w) of all k-grams of one order (N,); the unigram ``<s>``, never predicted, has 0.

    Raises:
        DataError: nothing was counted.
    """
    events = counts.occurrences[order - 1]
    if order > 1:
        return events
    events = events.copy()
    events[BEGIN] = 0
    if not events.any():
        raise DataError("the text holds no words to count; give at least one sentence")
    return events


def history_sums(
    counts: NGramCounts, order: int, events: Counts, scratch: Scratch
) -> NDArray[np.int64]:
    """c(h) and N1+(h .) of the histories of one order (M, 2); unigrams have one, the empty one."""
    sums = scratch.zeros((num_histories(counts, order), 2), np.int64)
    context = counts.ngrams.levels[order - 1].context
    for part in released(len(events), events, context, sums):
        sum_histories(context[part], events[part], sums)
    return sums


def num_histories(counts: NGramCounts, order: int) -> int:
    """How many histories the k-grams of one order can have."""
    return len(counts.ngrams.levels[order - 2]) if order > 1 else 1


def counts_of_counts(events: Counts, highest: int) -> NDArray[np.int64]:
    """n_r, how many k-grams occur r times, for r from 0 to ``highest`` (highest + 1,)."""
    result = np.zeros(highest + 1, np.int64)
    for part in released(len(events), events):
        count_of_counts(events[part], result)
    return result


def log32(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Natural logarithms in single precision; ln 0 is -inf."""
    with np.errstate(divide="ignore"):
        result: NDArray[np.float32] = np.log(probabilities).astype(np.float32)
    return result


def logarithms(probabilities: NDArray[np.float64], scratch: Scratch) -> NDArray[np.float32]:
    """``log32`` of many, in an array of the scratch."""
    result = scratch.empty(len(probabilities), np.float32)
    for part in released(len(result), probabilities, result):
        result[part] = log32(probabilities[part])
    return result


def check_fractions(name: str, value: object) -> None:
    """Raise SeqlabError unless ``value`` is a number between 0 and 1, or one for each order."""
    numbers = value if isinstance(value, Sequence) else [value]
    if not numbers or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and 0 < number < 1
        for number in numbers
    ):
        raise SeqlabError(
            f"{name}={value!r} must be a number above 0 and below 1, or one for each order; "
            "None estimates it"
        )


def of_order(name: str, value: float | Sequence[float], order: int, orders: int) -> float:
    """The number for one order, where ``value`` is one for all or one for each.

    Raises:
        SeqlabError: there are not as many numbers as orders.
    """
    if not isinstance(value, Sequence):
        return value
    if len(value) != orders:
        raise SeqlabError(
            f"{name}={value!r} must be one number, or as many as the model has orders, {orders}"
        )
    return value[order - 1]
