"""The two recursions from short to long histories: interpolating, and backing off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.kernels import smoothing as kernels
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.smoothing.base import event_counts, history_sums, log32, num_events
from seqlab.lm.ngram.words import BEGIN

__all__ = ["Discount", "Weigh", "backed_off", "interpolated"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

Weigh = Callable[[int, _Ints, _Ints, _Ints], tuple[float, _Floats, _Floats]]
Discount = Callable[[int, _Ints], _Floats]

_NOTHING = 1e-12  # probability mass below the rounding of a sum


def interpolated(counts: NGramCounts, weigh: Weigh) -> BackoffTable:
    """p(w | h) = scale(h) max(c(h w) - D, 0) + rest(h) p(w | h'), down to p = 1 / V.

    Where h was never seen, p(w | h') decides. In back-off form: each k-gram carries its p(w | h),
    each history rest(h), which is just what a word never seen after h gets.

    Args:
        counts: the counts.
        weigh: takes the order, c(h w) of its k-grams (N,), c(h) and N1+(h .) of its histories
            (M,); gives D, scale (M,) and rest (M,). What it says of a history that was never
            seen is ignored, infinite and NaN included.
    """
    log_prob, log_backoff = [], []
    lower = np.full(1, 1 / num_events(counts))
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        totals, types = history_sums(counts, order, events)
        with np.errstate(divide="ignore", invalid="ignore"):
            discount, scale, rest = weigh(order, events, totals, types)
        scale, rest = np.where(totals > 0, scale, 0.0), np.where(totals > 0, rest, 1.0)
        p = np.empty(len(level))
        kernels.interpolate(events, discount, level.context, level.suffix, scale, rest, lower, p)
        if order == 1:
            p[BEGIN] = 0
        else:
            log_backoff.append(log32(rest))
        log_prob.append(log32(p))
        lower = p
    return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))


def backed_off(counts: NGramCounts, discount: Discount) -> BackoffTable:
    """p(w | h) = c*(h w) / c(h) where h w was seen, else alpha(h) p(w | h'); Katz (1987).

    c* is the discounted count and alpha(h) what makes the sum one. Words without a count share
    what the unigrams leave equally. Where every word was seen after h there is no one to give to,
    and c* = c. Where, the other way round, discounting left nothing for the words that were not
    seen, c(h) grows by one: the remedy of the CMU and SRILM toolkits, credited to Doug Paul.

    Args:
        counts: the counts.
        discount: takes the order and c(h w) of its k-grams (N,); gives c* (N,).
    """
    log_prob, log_backoff = [], []
    lower = np.full(1, 1 / num_events(counts))
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        totals, types = history_sums(counts, order, events)
        complete = types == num_events(counts)
        p = events.astype(np.float64) if complete.all() else discount(order, events)
        kernels.relative(p, events, complete, level.context, totals, p)
        mass, lower_mass = np.zeros(len(totals)), np.zeros(len(totals))
        kernels.sum_seen(events, p, level.context, level.suffix, lower, mass, lower_mass)
        factor, alpha = _leave_room(totals, complete, mass, lower_mass)
        kernels.back_off(events, level.context, level.suffix, factor, alpha, lower, p)
        if order == 1:
            p[BEGIN] = 0
        else:
            log_backoff.append(log32(alpha))
        log_prob.append(log32(p))
        lower = p
    return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))


def _leave_room(
    totals: _Ints, complete: NDArray[np.bool_], mass: _Floats, lower_mass: _Floats
) -> tuple[_Floats, _Floats]:
    """Factor of the seen words' probabilities and alpha(h), for each history."""
    seen = totals > 0
    closed = seen & (complete | (1 - lower_mass <= _NOTHING))  # no word is left to give to
    tight = seen & ~closed & (1 - mass <= _NOTHING)  # words are left, but nothing to give
    factor, alpha = np.ones(len(totals)), np.ones(len(totals))
    factor[tight] = totals[tight] / (totals[tight] + 1)
    factor[closed] = 1 / mass[closed]
    given = seen & ~closed
    alpha[given] = (1 - factor[given] * mass[given]) / (1 - lower_mass[given])
    return factor, alpha
