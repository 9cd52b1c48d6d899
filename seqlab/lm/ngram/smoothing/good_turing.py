"""Good-Turing discounts with Katz back-off: how often things are seen once tells of the unseen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.kernels.smoothing import discounted_counts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.base import Smoothing, counts_of_counts
from seqlab.lm.ngram.smoothing.recursion import backed_off

__all__ = ["GoodTuring"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GoodTuring(Smoothing):
    """Katz back-off with Good-Turing discounts; for texts of a million words or more.

    With n_r k-grams of an order that occur r times, one that occurs r times is taken to deserve
    r* = (r + 1) n_(r+1) / n_r. Counts above k_max are trusted; the others become d_r r, with

        d_r = (r* / r - m) / (1 - m),  m = (k_max + 1) n_(k_max+1) / n_1

    and p(w | h) = d_r r / c(h) where h w occurs r > 0 times, alpha(h) p(w | h') elsewhere. Words
    without a count share equally what the unigrams leave; where each word has one, unigrams are
    not discounted.

    Counts of counts that are no use are dealt with as SRILM does, with a warning: k_max falls
    until n_(k_max+1) is not 0, to 0 (no discounts) where nothing occurs just once; and a d_r that
    is undefined, not within 0 and 1, or of an r* above r becomes 1.

    Args:
        k_max: highest count that is discounted, at least 2 (with 1, d_1 would be 0).

    Raises:
        SeqlabError: k_max is out of range.

    Source: Katz (1987), "Estimation of probabilities from sparse data for the language model
    component of a speech recognizer", with his k = 5; Chen and Goodman (1999), section 2.4. There
    unigrams keep their relative frequencies; here they are discounted like all others, so that
    words without a count get a probability. Stolcke (2002), "SRILM", for the fallbacks.

    Example:
        >>> GoodTuring()
        GoodTuring(k_max=5)
    """

    k_max: int = 5
    name: ClassVar[str] = "good_turing"

    def __post_init__(self) -> None:
        check_at_least("k_max", self.k_max, 2)

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts; DataError where nothing was counted."""

        def discount(order: int, events: Counts) -> Callable[[Counts], _Floats]:
            table = self._table(order, counts_of_counts(events, self.k_max + 1))

            def discounted(part: Counts) -> _Floats:
                result = np.empty(len(part))
                discounted_counts(part, table, result)
                return result

            return discounted

        return backed_off(counts, discount, scratch)

    def _table(self, order: int, n: _Ints) -> _Floats:
        """d_r r for r from 0 to k_max, from n_r for r from 0 to k_max + 1."""
        r = np.arange(self.k_max + 1)
        table = r.astype(np.float64)
        highest = self.k_max
        while highest and (n[1] == 0 or n[highest + 1] == 0):
            highest -= 1
        used = r[1 : highest + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (used + 1) * n[used + 1] / (used * n[used])
            common = (highest + 1) * n[highest + 1] / n[1]
            d = (ratio - common) / (1 - common)
        good = (d > 0) & (d <= 1) & (ratio <= 1)  # all False of NaN
        table[used[good]] *= d[good]
        if n[1:].any() and (highest < self.k_max or not good.all()):
            self._warn(order, [*used[~good].tolist(), *range(highest + 1, self.k_max + 1)])
        return table

    def _warn(self, order: int, kept: list[int]) -> None:
        counts = ", ".join(map(str, kept))
        warnings.warn(
            f"order {order}: n-grams that occur {counts} times are not discounted, because there "
            "are too few of them to tell by how much; lower k_max, give more text, or take "
            "witten_bell",
            UserWarning,
            stacklevel=6,
        )
