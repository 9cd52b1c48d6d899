"""Stupid back-off: relative frequencies, times a constant for each word of history given up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.kernels.smoothing import relative_or_less
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.smoothing.base import (
    Smoothing,
    event_counts,
    history_sums,
    log32,
    logarithms,
)

__all__ = ["StupidBackoff"]


@dataclass(frozen=True)
class StupidBackoff(Smoothing):
    """Stupid back-off; for ranking with very large texts, where it comes near the best.

        S(w | h) = c(h w) / c(h) where h w was seen, else alpha S(w | h')

    and S(w) = c(w) / N. These are scores: they do not sum to one, so a perplexity made of them
    says nothing and is not to be compared with others. A word without a count scores 0.

    Args:
        alpha: factor for each word of history given up, above 0 and at most 1.

    Raises:
        SeqlabError: alpha is out of range.

    Source: Brants, Popat, Xu, Och and Dean (2007), "Large language models in machine
    translation", section 4, with their alpha = 0.4.

    Example:
        >>> StupidBackoff()
        StupidBackoff(alpha=0.4)
    """

    alpha: float = 0.4
    name: ClassVar[str] = "stupid_backoff"

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0, 1, "0.4 is usual")
        if self.alpha == 0:
            raise SeqlabError("alpha=0 must be above 0; maximum_likelihood never backs off")

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The scores of these counts; DataError where nothing was counted."""
        scratch = scratch or Scratch()
        log_prob, log_backoff = [], []
        lower = np.zeros(1)  # what no text holds scores nothing
        for order, level in enumerate(counts.ngrams.levels, start=1):
            events = event_counts(counts, order)
            sums = history_sums(counts, order, events, scratch)
            context, suffix, score = level.context, level.suffix, scratch.empty(len(level), float)
            for part in released(len(level), events, context, suffix, sums, lower, score):
                relative_or_less(
                    events[part], context[part], suffix[part], sums, self.alpha, lower, score[part]
                )
            if order > 1:
                log_backoff.append(self._log_backoff(len(sums), scratch))
            log_prob.append(logarithms(score, scratch))
            lower = score
        unseen = math.log(self.alpha)
        return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff), unseen)

    def _log_backoff(self, histories: int, scratch: Scratch) -> NDArray[np.float32]:
        """Ln alpha for each history (M,)."""
        result = scratch.empty(histories, np.float32)
        for part in released(histories, result):
            result[part] = log32(np.full(1, self.alpha))
        return result
