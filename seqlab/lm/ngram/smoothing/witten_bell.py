"""Witten-Bell smoothing: the more different words followed a history, the likelier a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.base import Smoothing
from seqlab.lm.ngram.smoothing.recursion import interpolated

__all__ = ["WittenBell"]


@dataclass(frozen=True)
class WittenBell(Smoothing):
    """Witten-Bell smoothing, interpolated; a good choice for small texts, without any option.

    Each different word w that followed h was once new there, N1+(h .) times in c(h) chances:

        p(w | h) = (c(h w) + N1+(h .) p(w | h')) / (c(h) + N1+(h .))

    down to order 0, where all V words share equally. Words without a count get that share.

    Source: Witten and Bell (1991), "The zero-frequency problem", method C; in the recursive form
    of Chen and Goodman (1999), section 2.5. There the recursion may end at either the
    unigrams or the uniform distribution; here it is the latter.

    Example:
        >>> WittenBell().name
        'witten_bell'
    """

    name: ClassVar[str] = "witten_bell"

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""
        return interpolated(
            counts,
            lambda order, totals, types: (1 / (totals + types), types / (totals + types)),
            scratch,
        )
