"""Confidence intervals of rates: how far the figure could be from chance alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.errors import SeqlabError


def bootstrap_interval(
    errors: ArrayLike,
    weights: ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of sum(errors) / sum(weights) over utterances or speakers.

    Utterances of one speaker are alike, so an interval for new speakers needs ``groups``. For the
    difference of two systems pass the difference of their errors.

    Args:
        errors: (B,) errors of each utterance, or 0 and 1 for right and wrong.
        weights: (B,) reference tokens of each, 0 or more; None counts utterances.
        groups: speaker (or session) of each utterance, drawn as a whole; None draws utterances.
        confidence: above 0 and below 1.
        resamples: 100 or more.
        seed: the same seed gives the same interval.

    Returns:
        Lower and upper bound, by percentiles.

    Raises:
        SeqlabError: different lengths, fewer than two units to draw from, or no weight.

    Source: Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation", section 2; the drawing of whole speakers is our addition.
    """
    top = np.asarray(errors, dtype=np.float64)
    bottom = np.ones_like(top) if weights is None else np.asarray(weights, dtype=np.float64)
    _check_bootstrap(top, bottom, confidence, resamples)
    if groups is not None:
        if len(groups) != len(top):
            raise SeqlabError(f"{len(groups)} groups and {len(top)} errors must be as many")
        _, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        top = np.bincount(member, top).astype(np.float64)
        bottom = np.bincount(member, bottom).astype(np.float64)
    if len(top) < 2:
        raise SeqlabError(f"{len(top)} unit(s) to draw from, must be 2 or more; use other groups")
    rng = np.random.default_rng(seed)
    rates: list[NDArray[np.float64]] = []
    for start in range(0, resamples, 100):  # blocks bound the memory
        size = min(100, resamples - start)
        drawn = rng.multinomial(len(top), np.full(len(top), 1 / len(top)), size=size)
        total = drawn @ bottom
        rates.append((drawn @ top)[total > 0] / total[total > 0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(rates), [tail, 1 - tail])
    return float(low), float(high)


def wilson_interval(right: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a share of independent trials, such as an accuracy near 100 %.

    ``right`` may be a mean over runs on the same trials.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> [round(bound, 4) for bound in wilson_interval(10, 10)]
    [0.7225, 1.0]
    """
    if not 0 <= right <= total or total == 0:
        raise SeqlabError(f"right={right} of total={total} must be 0 <= right <= total, total > 0")
    _check_confidence(confidence)
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / total
    center = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low = 0.0 if right == 0 else max(0.0, (center - spread) / scale)
    return low, 1.0 if right == total else min(1.0, (center + spread) / scale)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise SeqlabError(f"confidence={confidence} must be above 0 and below 1, such as 0.95")


def _check_bootstrap(
    errors: NDArray[np.float64], weights: NDArray[np.float64], confidence: float, resamples: int
) -> None:
    _check_confidence(confidence)
    if resamples < 100:
        raise SeqlabError(f"resamples={resamples} must be 100 or more; 2000 is usual")
    if errors.ndim != 1 or errors.shape != weights.shape:
        raise SeqlabError(
            f"errors {errors.shape} and weights {weights.shape} must be one-dimensional and alike"
        )
    if not (np.isfinite(errors).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise SeqlabError("errors and weights must be finite, and weights not negative")
    if not weights.sum() > 0:
        raise SeqlabError("the weights sum to 0, must be more; are all references empty?")
