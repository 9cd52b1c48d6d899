"""Additive smoothing: relative frequencies, as they are or with a constant added to each count."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.smoothing.base import (
    Smoothing,
    event_counts,
    history_sums,
    log32,
    num_events,
)
from seqlab.lm.ngram.smoothing.recursion import interpolated
from seqlab.lm.ngram.words import BEGIN

__all__ = ["Laplace", "Lidstone", "MaximumLikelihood"]

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MaximumLikelihood(Smoothing):
    """Relative frequencies, without smoothing; to show why smoothing is needed.

        p(w | h) = c(h w) / c(h)

    A word that never followed h has probability 0 there, log-probability -inf. Where h itself was
    never seen the quotient says nothing, and the longest part of h that was seen decides.

    Example:
        >>> MaximumLikelihood().name
        'maximum_likelihood'
    """

    name: ClassVar[str] = "maximum_likelihood"

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""
        return interpolated(
            counts, lambda order, totals, types: (1 / totals, np.zeros(len(totals))), scratch
        )


@dataclass(frozen=True)
class Lidstone(Smoothing):
    """Add-k smoothing; a plain baseline, far behind the others for k = 1.

        p(w | h) = (c(h w) + k) / (c(h) + k V)

    with h the n - 1 words before w, or all since ``<s>`` where there are fewer. A history that
    was never seen gives each of the V words the same. Shorter histories are not consulted, so in
    back-off form all n-grams of lower orders carry 1 / V but for those that begin with ``<s>``,
    and a history asked about that is shorter than n - 1 and does not begin with ``<s>`` gives
    that too.

    Args:
        k: what is added to each count, above 0.

    Raises:
        SeqlabError: k is out of range.

    Source: Lidstone (1920), "Note on the general case of the Bayes-Laplace formula for inductive
    or a posteriori probabilities"; Chen and Goodman (1999), section 2.1.

    Example:
        >>> Lidstone(k=0.01)
        Lidstone(k=0.01)
        >>> Lidstone(k=0)
        Traceback (most recent call last):
        seqlab.errors.SeqlabError: k=0 must be above 0; maximum_likelihood adds nothing
    """

    k: float = 0.1
    name: ClassVar[str] = "lidstone"

    def __post_init__(self) -> None:
        check_range("k", self.k, 0, 1e9, "it is added to each count; 0.01 to 1 are usual")
        if self.k == 0:
            raise SeqlabError(f"k={self.k} must be above 0; maximum_likelihood adds nothing")

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""
        scratch = scratch or Scratch()
        log_prob, log_backoff = [], []
        for order in range(1, counts.order + 1):
            events = event_counts(counts, order)
            sums = history_sums(counts, order, events, scratch)
            log_prob.append(self._log_prob(counts, order, events, sums, scratch))
            if order > 1:
                log_backoff.append(self._log_backoff(counts, order, sums, scratch))
        log_prob[0][BEGIN] = -np.inf
        return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))

    def _log_prob(
        self, counts: NGramCounts, order: int, events: Counts, sums: _Ints, scratch: Scratch
    ) -> NDArray[np.float32]:
        """Of the k-grams of one order (N,)."""
        level, words = counts.ngrams.levels[order - 1], num_events(counts)
        uniform = np.float32(-math.log(words))
        result = scratch.empty(len(level), np.float32)
        for part in released(len(level), events, level.first, level.context, sums, result):
            p = (events[part] + self.k) / (sums[level.context[part], 0] + self.k * words)
            whole = _is_whole(counts, order, part, order)
            result[part] = np.where(whole, log32(p), uniform)
        return result

    def _log_backoff(
        self, counts: NGramCounts, order: int, sums: _Ints, scratch: Scratch
    ) -> NDArray[np.float32]:
        """Of the histories of the k-grams of one order (M,)."""
        added, first = self.k * num_events(counts), counts.ngrams.levels[order - 2].first
        result = scratch.empty(len(sums), np.float32)
        for part in released(len(sums), sums, first, result):
            whole = _is_whole(counts, order - 1, part, order)
            left = log32(added / (sums[part, 0] + added))
            result[part] = np.where(whole, left, np.float32(0))
        return result


@dataclass(frozen=True)
class Laplace(Lidstone):
    """Add-one smoothing: ``Lidstone`` with k = 1.

    Source: Laplace (1814), "Essai philosophique sur les probabilités", the rule of succession.

    Example:
        >>> Laplace().k
        1.0
    """

    k: float = field(default=1.0, init=False)
    name: ClassVar[str] = "laplace"


def _is_whole(
    counts: NGramCounts, order: int, part: slice, length: int
) -> NDArray[np.bool_] | bool:
    """Which n-grams have all the history there is: the longest, and those from ``<s>`` on.

    Args:
        counts: the counts.
        order: of the n-grams whose first words say it.
        part: which of them.
        length: order of the n-grams that are judged, by themselves or by their histories.
    """
    if length == counts.order:
        return True
    return np.equal(counts.ngrams.levels[order - 1].first[part], BEGIN)
