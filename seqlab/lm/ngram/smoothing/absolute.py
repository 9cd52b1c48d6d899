"""Absolute discounting: the same amount is taken from each count that is not zero."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_choice
from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.base import (
    Smoothing,
    check_fractions,
    counts_of_counts,
    event_counts,
    of_order,
)
from seqlab.lm.ngram.smoothing.recursion import backed_off, interpolated

__all__ = ["FALLBACK_DISCOUNT", "AbsoluteDiscounting"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

FALLBACK_DISCOUNT = 0.5  # where the counts of counts allow no estimate


@dataclass(frozen=True)
class AbsoluteDiscounting(Smoothing):
    """Absolute discounting; the step from which Kneser-Ney went on.

    Interpolated, with D taken from each count and what that frees given to the shorter history:

        p(w | h) = max(c(h w) - D, 0) / c(h) + D N1+(h .) / c(h) p(w | h')

    down to order 0, where all V words share equally. Backing off, p(w | h) = (c(h w) - D) / c(h)
    where h w was seen and alpha(h) p(w | h') elsewhere; words without a count share what the
    unigrams leave.

    Args:
        discount: D, above 0 and below 1, for all orders or one for each, unigrams first; None
            takes n1 / (n1 + 2 n2) of each order, n1 and n2 being how many of its n-grams occur
            once and twice, and 0.5 with a warning where one of them is 0.
        interpolated: whether seen n-grams get a share of p(w | h') too; usually better.

    Raises:
        SeqlabError: a discount is out of range.

    Source: Ney, Essen and Kneser (1994), "On structuring probabilistic dependences in stochastic
    language modelling"; Chen and Goodman (1999), section 2.6.

    Example:
        >>> AbsoluteDiscounting(discount=0.75, interpolated=False)
        AbsoluteDiscounting(discount=0.75, interpolated=False)
    """

    discount: float | Sequence[float] | None = None
    interpolated: bool = True
    name: ClassVar[str] = "absolute_discounting"

    def __post_init__(self) -> None:
        if self.discount is not None:
            check_fractions("discount", self.discount)
        check_choice("interpolated", self.interpolated, (True, False))

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts.

        Raises:
            DataError: nothing was counted.
            SeqlabError: there are not as many discounts as orders.
        """
        discounts = self.discounts(counts)

        def weigh(order: int, totals: _Ints, types: _Ints) -> tuple[_Floats, _Floats]:
            return 1 / totals, discounts[order - 1] * types / totals

        def discount(order: int, events: Counts) -> Callable[[Counts], _Floats]:
            return lambda part: np.maximum(part - discounts[order - 1], 0.0)

        if self.interpolated:
            return interpolated(counts, weigh, scratch, discounts)
        return backed_off(counts, discount, scratch)

    def discounts(self, counts: NGramCounts) -> list[float]:
        """D of each order; warns where the counts allow no estimate."""
        orders = range(1, counts.order + 1)
        if self.discount is None:
            return [_estimate(event_counts(counts, order), order) for order in orders]
        return [of_order("discount", self.discount, order, counts.order) for order in orders]


def _estimate(events: Counts, order: int) -> float:
    """n1 / (n1 + 2 n2); where that is 0, 1 or undefined, the fallback with a warning."""
    _, n1, n2 = counts_of_counts(events, 2).tolist()
    if n1 and n2:
        return float(n1 / (n1 + 2 * n2))
    if len(events):
        warnings.warn(
            f"order {order}: no discount can be estimated from {n1} n-grams seen once and {n2} "
            f"seen twice, {FALLBACK_DISCOUNT} is taken; give discount, or more text",
            UserWarning,
            stacklevel=5,
        )
    return FALLBACK_DISCOUNT
