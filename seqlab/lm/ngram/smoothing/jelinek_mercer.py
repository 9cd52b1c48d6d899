"""Jelinek-Mercer smoothing: relative frequencies of all orders, mixed by fitted weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_choice
from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.base import Smoothing, check_fractions, num_events, of_order
from seqlab.lm.ngram.smoothing.mixture import NUM_BUCKETS, fit_mixture
from seqlab.lm.ngram.smoothing.mixture_events import (
    held_out_events,
    history_buckets,
    left_out_events,
)
from seqlab.lm.ngram.smoothing.recursion import interpolated
from seqlab.lm.ngram.text import TextSource, Unit, text_blocks
from seqlab.lm.ngram.words import BEGIN, GAP

__all__ = ["JelinekMercer"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JelinekMercer(Smoothing):
    """Jelinek-Mercer smoothing: how far each order is to be trusted is learnt from other text.

        P(w | h) = l(h) c(h w) / c(h) + (1 - l(h)) P(w | h')

    down to order 0, where all V words share equally. Histories of an order share a weight l(h)
    with all of about the same count: 1, 2 to 3, 4 to 7, and so on. A history that was never seen
    has l(h) = 0.

    Args:
        held_out: text that the training text does not hold, for EM to fit the weights on: a
            file, sentences, or word numbers with sentence marks (N,), int32. An iterator is used
            up. None fits them on the training text, each occurrence judged by all the others
            (leaving one out), which costs more time and needs no other text.
        unit: of the held-out text: ``"word"``, ``"character"``, or a sentencepiece model.
        by_history_count: whether weights depend on the history's count; False fits one an order.
        weights: l, above 0 and below 1, for all orders or one for each, unigrams first; None
            fits them.

    Raises:
        SeqlabError: a weight is out of range, or stands beside a text to fit it on.

    Source: Jelinek and Mercer (1980), "Interpolated estimation of Markov source parameters from
    sparse data"; Chen and Goodman (1999), section 2.3. Their buckets hold equal numbers of
    events; here they double in count, and none has to be chosen. Where no text is held out,
    deleted interpolation leaves out one occurrence at a time, as in Brants (2000), "TnT", but
    with EM in place of a vote of each n-gram for its best order.

    Example:
        >>> JelinekMercer(weights=(0.9, 0.6, 0.3)).weights
        (0.9, 0.6, 0.3)
    """

    held_out: TextSource | NDArray[np.int32] | None = field(default=None, compare=False, repr=False)
    unit: Unit = "word"
    by_history_count: bool = True
    weights: float | Sequence[float] | None = None
    name: ClassVar[str] = "jelinek_mercer"

    def __post_init__(self) -> None:
        check_choice("by_history_count", self.by_history_count, (True, False))
        if self.weights is not None:
            check_fractions("weights", self.weights)
            if self.held_out is not None:
                raise SeqlabError(
                    f"weights={self.weights!r} must stand alone, or held_out would not be used; "
                    "leave one of them out"
                )

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts.

        Raises:
            DataError: nothing was counted, or the held-out text holds no words.
            SeqlabError: there are not as many weights as orders.
        """
        weights = self.fit(counts, scratch)

        def weigh(order: int, totals: _Ints, types: _Ints) -> tuple[_Floats, _Floats]:
            buckets = history_buckets(totals, self.by_history_count)
            weight = weights[order - 1][buckets]
            return weight / totals, 1 - weight

        return interpolated(counts, weigh, scratch)

    def fit(self, counts: NGramCounts, scratch: Scratch | None = None) -> list[NDArray[np.float64]]:
        """The weights of each order; entry b is for histories that occur about 2**b times (63,).

        Without ``by_history_count`` only entry 0 has a meaning.
        """
        scratch = scratch or Scratch()
        if self.weights is not None:
            orders = range(1, counts.order + 1)
            given = [of_order("weights", self.weights, k, counts.order) for k in orders]
            return [np.full(NUM_BUCKETS, weight) for weight in given]
        if self.held_out is None:
            events = left_out_events(counts, self.by_history_count, scratch)
        else:
            numbers = self._held_out_numbers(counts, self.held_out)
            events = held_out_events(counts, numbers, self.by_history_count, scratch)
        return fit_mixture(events, 1 / num_events(counts), scratch)

    def _held_out_numbers(
        self, counts: NGramCounts, source: TextSource | NDArray[np.int32]
    ) -> NDArray[np.int32]:
        words = counts.ngrams.words
        if isinstance(source, np.ndarray):
            numbers = source
            if numbers.size and (numbers.min() < GAP or numbers.max() >= len(words)):
                raise DataError(
                    f"held_out has word numbers from {numbers.min()} to {numbers.max()}, which "
                    f"must be within {GAP} and {len(words) - 1}; number it with the model's words"
                )
            return numbers.astype(np.int32, copy=False)
        marks = bool(counts.occurrences[0][BEGIN])
        gap = np.array([GAP], np.int32)
        pieces = [gap]
        for block in text_blocks(source, self.unit):
            pieces += [words.numbers(block, marks=marks), gap]
        return np.concatenate(pieces)
