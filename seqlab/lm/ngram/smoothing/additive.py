"""Additive smoothing: relative frequencies, as they are or with a constant added to each count."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
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

    def estimate(self, counts: NGramCounts) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""
        return interpolated(
            counts,
            lambda order, events, totals, types: (0.0, 1 / totals, np.zeros(len(totals))),
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

    def estimate(self, counts: NGramCounts) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""
        log_prob, log_backoff = [], []
        uniform = -math.log(num_events(counts))
        begins = [_begins(counts, order) for order in range(1, counts.order + 1)]
        added = self.k * num_events(counts)
        for order, level in enumerate(counts.ngrams.levels, start=1):
            events = event_counts(counts, order)
            totals, _ = history_sums(counts, order, events)
            longest = order == counts.order
            p = (events + self.k) / (totals[level.context] + added)
            whole = begins[order - 1] | longest if order > 1 else np.full(len(level), longest)
            log_prob.append(np.where(whole, log32(p), np.float32(uniform)))
            if order == 1:
                log_prob[0][BEGIN] = -np.inf
            else:
                whole = begins[order - 2] | longest
                log_backoff.append(np.where(whole, log32(added / (totals + added)), np.float32(0)))
        return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))


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


def _begins(counts: NGramCounts, order: int) -> NDArray[np.bool_]:
    """Which k-grams of one order begin with ``<s>`` (N,): histories that are complete."""
    return np.equal(counts.ngrams.levels[order - 1].first, BEGIN)
