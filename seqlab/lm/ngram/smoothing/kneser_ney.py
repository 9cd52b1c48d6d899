"""Kneser-Ney smoothing, the modified form included: lower orders count contexts, not words.

Sources: R. Kneser, H. Ney, "Improved backing-off for m-gram language modeling", 1995; S. F. Chen,
J. Goodman, "An empirical study of smoothing techniques for language modeling", 1999 (modified,
interpolated; discounts in equation 17); K. Heafield et al., "Scalable modified Kneser-Ney
language model estimation", 2013 (how sentence begins, cut-offs and unigrams are handled).

The symbols: a(g), the adjusted count of an n-gram g, is how often it occurs if it has the highest
order or begins with ``<s>``, and else the number of different words before it. A history h has
the total a(h .) = sum of a(h w) over w. D_k(c) is what is taken from a count c at order k.

    p(w|h) = (a(h w) - D(a(h w))) / a(h .) + gamma(h) p(w|h')
    gamma(h) = sum over w of D(a(h w)) / a(h .)

An n-gram that is cut off leaves its whole count to gamma. Unigrams are interpolated with the
uniform distribution over all words but ``<s>``, ``<unk>`` included.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.cutoffs import check_cutoffs, cutoff
from seqlab.lm.ngram.kernels.kneser_ney import add_to_contexts, finish_weights, interpolate
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.smoothing.base import Smoothing, counts_of_counts, num_histories
from seqlab.lm.ngram.smoothing.recursion import backed_off
from seqlab.lm.ngram.words import BEGIN, UNKNOWN


@dataclass(frozen=True)
class ModifiedKneserNey(Smoothing):
    """Modified Kneser-Ney: discounts of their own for counts of 1, 2, and 3 or more.

    The strongest of the classical smoothings; take it unless you have a reason.

    Args:
        interpolated: True adds the shorter history's probability to every n-gram (recommended);
            False uses it for n-grams alone that were not seen.
        interpolate_unigrams: whether unigrams share their left-over mass among all words. False
            gives all of it to ``<unk>``; interpolated form only.
        discounts: for counts of 1, 2, and 3 or more, at every order; None estimates them.
        fallback: discounts where they cannot be estimated, because too few n-grams occur once,
            twice, three or four times (small texts, characters); a warning says so. None raises.
        cutoffs: for each order from the first, n-grams that occur so often or less leave their
            counts to shorter histories; see ``seqlab.lm.ngram.cutoffs``. Interpolated form only.

        like_lmplz: estimate discounts as KenLM's lmplz (2013 to 2025) does, which takes the last
            n-gram of each lower order by its occurrences instead of its adjusted count. It is
            felt only where n-grams are few, such as with characters.

    Raises:
        SeqlabError: a discount is not within 0 and its count, cut-offs fall, or an option would
            have no effect.

    Example:
        >>> ModifiedKneserNey(discounts=(0.7, 1.1, 1.5)).discounts
        (0.7, 1.1, 1.5)
    """

    interpolated: bool = True
    interpolate_unigrams: bool = True
    discounts: Sequence[float] | None = None
    fallback: Sequence[float] | None = (0.5, 1.0, 1.5)
    cutoffs: Sequence[int] = ()
    like_lmplz: bool = False
    name: ClassVar[str] = "modified_kneser_ney"
    _kinds: ClassVar[int] = 3  # how many counts have a discount of their own

    def __post_init__(self) -> None:
        for name, values in (("discounts", self.discounts), ("fallback", self.fallback)):
            if values is not None:
                self._check(name, values)
        check_cutoffs(self.cutoffs)
        if not self.interpolated and (not self.interpolate_unigrams or any(self.cutoffs)):
            raise SeqlabError(
                "interpolated=False must come without interpolate_unigrams=False and cutoffs, "
                "which would have no effect; leave them out"
            )

    def _check(self, name: str, values: Sequence[float]) -> None:
        if len(values) != self._kinds or not all(
            isinstance(value, int | float) and 0 <= value <= count
            for count, value in enumerate(values, 1)
        ):
            raise SeqlabError(
                f"{name}={values} must be {self._kinds} number(s), each within 0 and the count it "
                "is taken from"
            )

    def estimate(self, counts: NGramCounts, scratch: Scratch | None = None) -> BackoffTable:
        """The model of these counts; n-grams below the cut-offs are still in it.

        Raises:
            DataError: the text is empty, or its discounts cannot be estimated and ``fallback``
                is None.
        """
        scratch = scratch or Scratch()
        adjusted = adjusted_counts(counts, scratch)
        statistics = [counts_of_counts(values, 4) for values in adjusted]
        if self.like_lmplz:
            _recount_last(counts, adjusted, statistics)
        discounts = [self._order_discounts(k, n) for k, n in enumerate(statistics, 1)]
        if not self.interpolated:
            return backed_off(
                replace(counts, occurrences=adjusted),
                lambda order, _: lambda a: a - discounts[order - 1][np.minimum(a, 3)],
                scratch,
            )
        log_prob = [self._unigrams(adjusted[0], discounts[0], scratch)]
        log_backoff = []
        for k in range(2, counts.order + 1):
            a, level, lower = adjusted[k - 1], counts.ngrams.levels[k - 1], log_prob[-1]
            sums, log_weights = self._weights(counts, k, a, discounts[k - 1], scratch)
            context, suffix, prob = level.context, level.suffix, scratch.empty(len(a), np.float32)
            for part in released(len(a), a, context, suffix, sums, lower, prob):
                interpolate(
                    a[part], context[part], suffix[part], discounts[k - 1], sums, lower, prob[part]
                )
            log_inplace(lower)
            log_prob.append(prob)
            log_backoff.append(log_weights)
        log_inplace(log_prob[-1])
        return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))

    def with_cutoffs(self, cutoffs: Sequence[int]) -> ModifiedKneserNey:
        """The same with these cut-offs; itself if it backs off, which accounts for none.

        Raises:
            SeqlabError: it has others already.
        """
        if not self.interpolated:
            return self
        if any(self.cutoffs) and tuple(self.cutoffs) != tuple(cutoffs):
            raise SeqlabError(
                f"cutoffs={tuple(cutoffs)} and those of the smoothing, {tuple(self.cutoffs)}, "
                "differ; give them once"
            )
        return replace(self, cutoffs=tuple(cutoffs))

    def _order_discounts(self, order: int, n: NDArray[np.int64]) -> NDArray[np.float64]:
        """D_k(c) for c = 0, 1, 2, and 3 or more (4,), from counts of counts n (5,)."""
        given = tuple(self.discounts or self._estimated(order, n))
        return np.array([0.0, *given, *(given[-1:] * (3 - len(given)))])

    def _estimated(self, order: int, n: NDArray[np.int64]) -> Sequence[float]:
        values = self._formula(n)
        if all(0 <= value <= count for count, value in enumerate(values, 1)):
            return values
        message = (
            f"the discounts of order {order} cannot be estimated: {n[1]}, {n[2]}, {n[3]} and "
            f"{n[4]} n-grams have an adjusted count of 1, 2, 3 and 4"
        )
        if self.fallback is None:
            raise DataError(f"{message}; give discounts or fallback, or use more text")
        warnings.warn(f"{message}; {tuple(self.fallback)} is used", stacklevel=4)
        return self.fallback

    def _formula(self, n: NDArray[np.int64]) -> tuple[float, ...]:
        """Chen and Goodman, equation 17; NaN where it divides by zero."""
        with np.errstate(all="ignore"):
            y = n[1] / (n[1] + 2 * n[2])
            values = [c - (c + 1) * y * n[c + 1] / n[c] for c in (1, 2, 3)]
        return tuple(map(float, values))

    def _unigrams(
        self, adjusted: Counts, discounts: NDArray[np.float64], scratch: Scratch
    ) -> NDArray[np.float32]:
        total = float(adjusted.sum())
        if total == 0:
            raise DataError("the text holds no words to count; give at least one sentence")
        taken = discounts[np.minimum(adjusted, 3)]
        left_over = float(taken.sum()) / total
        prob = (adjusted - taken) / total
        if self.interpolate_unigrams:
            prob += left_over / (len(prob) - 1)
        else:
            prob[UNKNOWN] += left_over
        prob[BEGIN] = 0.0
        result: NDArray[np.float32] = scratch.empty(len(prob), np.float32)
        result[:] = prob
        return result

    def _weights(
        self,
        counts: NGramCounts,
        order: int,
        adjusted: Counts,
        discounts: NDArray[np.float64],
        scratch: Scratch,
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """a(h .) and gamma(h) of the histories of one order (M, 2), and ln gamma(h) (M,)."""
        sums = scratch.zeros((num_histories(counts, order), 2), np.float64)
        context = counts.ngrams.levels[order - 1].context
        occurrences, least = counts.occurrences[order - 1], cutoff(self.cutoffs, order)
        for part in released(len(adjusted), adjusted, occurrences, context, sums):
            add_to_contexts(
                adjusted[part], occurrences[part], least, context[part], discounts, sums
            )
        log_weights = scratch.empty(len(sums), np.float32)
        for part in released(len(sums), sums, log_weights):
            finish_weights(sums[part], log_weights[part])
        return sums, log_weights


@dataclass(frozen=True)
class KneserNey(ModifiedKneserNey):
    """Kneser-Ney with one discount for each order, D = n1 / (n1 + 2 n2).

    Args:
        interpolated: see ``ModifiedKneserNey``; the paper of 1995 backs off.
        interpolate_unigrams: see ``ModifiedKneserNey``.
        discounts: one number within 0 and 1, for every order; None estimates it.
        fallback: the discount where it cannot be estimated; None raises.
        cutoffs: see ``ModifiedKneserNey``.
        like_lmplz: see ``ModifiedKneserNey``.
    """

    fallback: Sequence[float] | None = (0.75,)
    name: ClassVar[str] = "kneser_ney"
    _kinds: ClassVar[int] = 1

    def _formula(self, n: NDArray[np.int64]) -> tuple[float, ...]:
        """Ney, Essen and Kneser (1994); NaN where there is nothing to estimate from."""
        return (float(n[1] / (n[1] + 2 * n[2])) if n[1] and n[2] else math.nan,)


def adjusted_counts(counts: NGramCounts, scratch: Scratch) -> tuple[Counts, ...]:
    """a(g) for every order: see the top of this module. The unigram ``<s>`` has 0."""
    result = []
    for left_types, level, occurrences in zip(
        counts.left_types, counts.ngrams.levels, counts.occurrences, strict=False
    ):
        adjusted = scratch.empty(len(left_types), left_types.dtype)
        for part in released(len(adjusted), adjusted, left_types, level.first, occurrences):
            begins = level.first[part] == BEGIN
            adjusted[part] = np.where(begins, occurrences[part], left_types[part])
        result.append(adjusted)
    result.append(counts.occurrences[-1])
    if result[0][BEGIN]:
        result[0] = result[0].copy()
        result[0][BEGIN] = 0
    return tuple(result)


def _recount_last(
    counts: NGramCounts, adjusted: Sequence[Counts], n: Sequence[NDArray[np.int64]]
) -> None:
    """Take the last n-gram of each lower order, as far as each continues the one before, anew."""
    below = 0
    for level, a, occurrences, n_k in zip(
        counts.ngrams.levels[:-1], adjusted, counts.occurrences, n, strict=False
    ):
        last = len(level) - 1
        if last < 0 or level.suffix[last] != below:
            return
        for count, change in ((a[last], -1), (occurrences[last], 1)):
            if count < len(n_k):
                n_k[count] += change
        below = last


def log_inplace(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural logarithms of an array, in its place; returns it."""
    with np.errstate(divide="ignore"):
        for part in released(len(values), values):
            np.log(values[part], out=values[part])
    return values
