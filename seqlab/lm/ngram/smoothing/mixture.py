"""Weights of a mixture of orders, fitted by expectation maximisation (EM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.kernels.smoothing import collect, mix
from seqlab.lm.ngram.scratch import Scratch, released

__all__ = ["NUM_BUCKETS", "MixtureOrder", "fit_mixture"]

NUM_BUCKETS = 63  # the whole part of log2 of a 64-bit count

_STEPS = 100  # 20 to 60 are usual
_GAIN = 1e-8  # nats an event that a step must gain
_FASTER = 1.3  # how much longer each step is than the last, until one is too long
_LEAST = 1e-9  # events that take an order, so that no weight is 0
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MixtureOrder:
    """The k-grams of one order that events come down to, from long to short histories.

    An event is an occurrence of a word after a history. It belongs to the longest n-gram h w
    that has been seen; ``stepped`` counts it where h alone had been.

    Args:
        share: c(h w) / c(h) (N,), float32.
        bucket: bucket of the count of h (N,), int8; -1 where h was never seen.
        suffix: row of h' w one order lower (N,), int32.
        events: how many events belong to each row (N,), float64.
        stepped: for each bucket the events whose history was seen, but never with their word
            (NUM_BUCKETS,), float64.
    """

    share: NDArray[np.float32]
    bucket: NDArray[np.int8]
    suffix: NDArray[np.int32]
    events: _Floats
    stepped: _Floats


def fit_mixture(
    orders: Sequence[MixtureOrder], uniform: float, scratch: Scratch | None = None
) -> list[_Floats]:
    """The weights l of the likeliest mixture P(w | h) = l c(h w) / c(h) + (1 - l) P(w | h').

    One more event in each bucket, whose word was never seen after its history, keeps all weights
    below 1. A bucket without events gets the weight of the next lower one that has some, or else
    of the next higher one.

    Args:
        orders: from unigrams up.
        uniform: P(w | h') of unigrams, 1 / V.
        scratch: where large arrays go; memory unless told otherwise. Each step of EM reads the
            rows of all orders twice, front to back.

    Returns:
        For each order the weight of each bucket (NUM_BUCKETS,).

    Source: Jelinek and Mercer (1980), "Interpolated estimation of Markov source parameters from
    sparse data"; Dempster, Laird and Rubin (1977) for EM; Salakhutdinov and Roweis (2003),
    "Adaptive overrelaxed bound optimization methods", for its ever longer steps.
    """
    weights = safe = [np.full(NUM_BUCKETS, 0.5) for _ in orders]
    reached = [np.zeros(NUM_BUCKETS) for _ in orders]
    room = _Room.of(orders, scratch or Scratch())
    total = sum(_total(order.events) for order in orders)
    best, stride = -np.inf, 1.0
    for _ in range(_STEPS):
        fit = _forward(orders, weights, uniform, room.probabilities)
        if fit < best and stride > 1:  # too far
            weights, stride = safe, 1.0
            continue
        if fit - best < _GAIN * total:
            break
        best = fit
        taken, reached = _expect(orders, weights, room)
        safe = [np.maximum(t, _LEAST) / r for t, r in zip(taken, reached, strict=True)]
        weights = [_farther(w, s, stride) for w, s in zip(weights, safe, strict=True)]
        stride *= _FASTER
    else:
        weights = safe
    return [_filled(w, r > 1) for w, r in zip(weights, reached, strict=True)]


def _farther(old: _Floats, new: _Floats, stride: float) -> _Floats:
    """From old to new weights, and on in that direction: ``stride`` times the step in log odds."""
    before, after = np.log(old / (1 - old)), np.log(new / (1 - new))
    result: _Floats = 1 / (1 + np.exp(-np.clip(before + stride * (after - before), -30, 30)))
    return result


@dataclass(frozen=True)
class _Room:
    """Numbers of the rows of each order (N,), float64, written anew in each step.

    Args:
        probabilities: P(w | h).
        gradients: for all orders but the highest, what longer histories pass on; see ``collect``.
    """

    probabilities: list[_Floats]
    gradients: list[_Floats]

    @classmethod
    def of(cls, orders: Sequence[MixtureOrder], scratch: Scratch) -> _Room:
        def rows(some: Sequence[MixtureOrder]) -> list[_Floats]:
            return [scratch.empty(len(order.share), np.float64) for order in some]

        return cls(rows(orders), rows(orders[:-1]))


def _total(events: _Floats) -> float:
    return sum(float(events[part].sum()) for part in released(len(events), events))


def _forward(
    orders: Sequence[MixtureOrder],
    weights: list[_Floats],
    uniform: float,
    probabilities: list[_Floats],
) -> float:
    """Write P(w | h) of all rows of all orders; returns ln P of all events."""
    result, lower = 0.0, np.full(1, uniform)
    for order, weight, p in zip(orders, weights, probabilities, strict=True):
        share, bucket, suffix, events = order.share, order.bucket, order.suffix, order.events
        for part in released(len(p), share, bucket, suffix, events, lower, p):
            mix(share[part], bucket[part], suffix[part], weight, lower, p[part])
            happened = events[part] > 0
            result += float(events[part][happened] @ np.log(p[part][happened]))
        result += float((order.stepped + 1) @ np.log1p(-weight))
        lower = p
    return result


def _expect(
    orders: Sequence[MixtureOrder], weights: list[_Floats], room: _Room
) -> tuple[list[_Floats], list[_Floats]]:
    """How many events take each order, and how many come down to it, by bucket."""
    taken = [np.zeros(NUM_BUCKETS) for _ in orders]
    reached = [order.stepped + 1 for order in orders]
    for k in reversed(range(len(orders))):
        order, p = orders[k], room.probabilities[k]
        gradient = room.gradients[k] if k < len(room.gradients) else np.zeros(0)
        lower = room.gradients[k - 1] if k else np.empty(1)
        for part in released(len(lower), lower):
            lower[part] = 0
        share, bucket, suffix, events = order.share, order.bucket, order.suffix, order.events
        for part in released(len(p), share, bucket, suffix, events, p, gradient, lower):
            own = events[part] / p[part]
            if len(gradient):
                own += gradient[part]
            collect(
                share[part], p[part], bucket[part], suffix[part], weights[k], own, lower,
                taken[k], reached[k],
            )  # fmt: skip
    return taken, reached


def _filled(weights: _Floats, known: NDArray[np.bool_]) -> _Floats:
    """Weights of unknown buckets from the nearest known one, a lower one where there is one."""
    places = np.flatnonzero(known)
    if len(places) == 0:
        return weights
    lower = np.searchsorted(places, np.arange(len(weights)), side="right") - 1
    result: _Floats = weights[places[np.maximum(lower, 0)]]
    return result
