"""The two recursions from short to long histories: interpolating, and backing off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.counts import Counts, NGramCounts
from seqlab.lm.ngram.kernels import smoothing as kernels
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.smoothing.base import (
    event_counts,
    history_sums,
    log32,
    logarithms,
    num_events,
)
from seqlab.lm.ngram.words import BEGIN

__all__ = ["Discount", "Weigh", "backed_off", "interpolated"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

Weigh = Callable[[int, _Ints, _Ints], tuple[_Floats, _Floats]]
Discount = Callable[[int, Counts], Callable[[Counts], _Floats]]

_NOTHING = 1e-12  # probability mass below the rounding of a sum


def interpolated(
    counts: NGramCounts,
    weigh: Weigh,
    scratch: Scratch | None = None,
    discounts: Sequence[float] | None = None,
) -> BackoffTable:
    """p(w | h) = scale(h) max(c(h w) - D, 0) + rest(h) p(w | h'), down to p = 1 / V.

    Where h was never seen, p(w | h') decides. In back-off form: each k-gram carries its p(w | h),
    each history rest(h), which is just what a word never seen after h gets.

    Args:
        counts: the counts.
        weigh: takes the order, c(h) and N1+(h .) of some of its histories (m,); gives their scale
            and rest (m,). What it says of a history that was never seen is ignored, infinite and
            NaN included.
        scratch: where large arrays go; memory unless told otherwise.
        discounts: D of each order; 0 unless told otherwise.
    """
    scratch, discounts = scratch or Scratch(), discounts or [0.0] * counts.order
    log_prob, log_backoff = [], []
    lower = np.full(1, 1 / num_events(counts))
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        weights, log_rest = _weights(counts, order, events, weigh, scratch)
        context, suffix, p = level.context, level.suffix, scratch.empty(len(level), np.float64)
        for part in released(len(level), events, context, suffix, weights, lower, p):
            kernels.interpolate(
                events[part], discounts[order - 1], context[part], suffix[part], weights, lower,
                p[part],
            )  # fmt: skip
        if order == 1:
            p[BEGIN] = 0
        else:
            log_backoff.append(log_rest)
        log_prob.append(logarithms(p, scratch))
        lower = p
    return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))


def _weights(
    counts: NGramCounts, order: int, events: Counts, weigh: Weigh, scratch: Scratch
) -> tuple[_Floats, NDArray[np.float32]]:
    """Scale and rest of each history of one order (M, 2), and ln rest (M,)."""
    sums = history_sums(counts, order, events, scratch)
    weights = scratch.empty(sums.shape, np.float64)
    log_rest = scratch.empty(len(sums), np.float32)
    for part in released(len(sums), sums, weights, log_rest):
        totals, types = np.ascontiguousarray(sums[part].T)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale, rest = weigh(order, totals, types)
        rest = np.where(totals > 0, rest, 1.0)
        weights[part, 0], weights[part, 1] = np.where(totals > 0, scale, 0.0), rest
        log_rest[part] = log32(rest)
    return weights, log_rest


def backed_off(
    counts: NGramCounts, discount: Discount, scratch: Scratch | None = None
) -> BackoffTable:
    """p(w | h) = c*(h w) / c(h) where h w was seen, else alpha(h) p(w | h'); Katz (1987).

    c* is the discounted count and alpha(h) what makes the sum one. Words without a count share
    what the unigrams leave equally. Where every word was seen after h there is no one to give to,
    and c* = c. Where, the other way round, discounting left nothing for the words that were not
    seen, c(h) grows by one: the remedy of the CMU and SRILM toolkits, credited to Doug Paul.

    Args:
        counts: the counts.
        discount: takes the order and c(h w) of its k-grams (N,); gives what makes c* (n,) of c
            (n,), for any of them.
        scratch: where large arrays go; memory unless told otherwise.
    """
    scratch, words = scratch or Scratch(), num_events(counts)
    log_prob, log_backoff = [], []
    lower = np.full(1, 1 / words)
    for order, level in enumerate(counts.ngrams.levels, start=1):
        events = event_counts(counts, order)
        sums = history_sums(counts, order, events, scratch)
        take = _nothing_off if _all_complete(sums, words) else discount(order, events)
        context, suffix, p = level.context, level.suffix, scratch.empty(len(level), np.float64)
        masses = scratch.zeros(sums.shape, np.float64)
        for part in released(len(level), events, context, suffix, sums, masses, lower, p):
            own, h = events[part], context[part]
            kernels.relative(take(own), own, words, h, sums, p[part])
            kernels.sum_seen(own, p[part], h, suffix[part], lower, masses)
        log_alpha = _leave_room(sums, words, masses, scratch)
        for part in released(len(level), events, context, suffix, masses, lower, p):
            kernels.back_off(events[part], context[part], suffix[part], masses, lower, p[part])
        if order == 1:
            p[BEGIN] = 0
        else:
            log_backoff.append(log_alpha)
        log_prob.append(logarithms(p, scratch))
        lower = p
    return BackoffTable(counts.ngrams, tuple(log_prob), tuple(log_backoff))


def _nothing_off(events: Counts) -> _Floats:
    return events.astype(np.float64)


def _all_complete(sums: _Ints, words: int) -> bool:
    """Whether every word was seen after every history."""
    return all(bool((sums[part, 1] == words).all()) for part in released(len(sums), sums))


def _leave_room(sums: _Ints, words: int, masses: _Floats, scratch: Scratch) -> NDArray[np.float32]:
    """Turn masses into the factor of the seen words' probabilities and alpha(h); ln alpha (M,)."""
    log_alpha = scratch.empty(len(sums), np.float32)
    for part in released(len(sums), sums, masses, log_alpha):
        (totals, types), (mass, lower_mass) = sums[part].T, masses[part].T
        seen = totals > 0
        closed = seen & ((types == words) | (1 - lower_mass <= _NOTHING))  # no word is left
        tight = seen & ~closed & (1 - mass <= _NOTHING)  # words are left, but nothing to give
        factor, alpha = np.ones(len(totals)), np.ones(len(totals))
        factor[tight] = totals[tight] / (totals[tight] + 1)
        factor[closed] = 1 / mass[closed]
        given = seen & ~closed
        alpha[given] = (1 - factor[given] * mass[given]) / (1 - lower_mass[given])
        masses[part, 0], masses[part, 1] = factor, alpha
        log_alpha[part] = log32(alpha)
    return log_alpha
