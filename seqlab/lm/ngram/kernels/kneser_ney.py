"""The loops of Kneser-Ney smoothing."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch

_AHEAD = 24  # k-grams whose contexts are asked for before they are needed


@compiled
def add_to_contexts(counts, occurrences, least, context, discounts, sums):
    """Sum over each context: its counts, and what is taken away from them.

    Args:
        counts: adjusted count of each k-gram (N,).
        occurrences: how often it occurs (N,).
        least: k-grams that occur so often or less lose their whole count.
        context: row of the context of each k-gram (N,).
        discounts: taken from a count of 0, 1, 2, and of 3 or more (4,).
        sums: of counts, and of what was taken (M, 2), float64.
    """
    for g in range(len(counts)):
        if g + _AHEAD < len(counts):
            prefetch(sums, 2 * np.int64(context[g + _AHEAD]))
        c, x = counts[g], context[g]
        sums[x, 0] += c
        sums[x, 1] += c if occurrences[g] <= least else discounts[min(c, 3)]


@compiled
def finish_weights(sums, log_weights):
    """Make gamma(h) of what was taken, 1 where nothing follows; write ln gamma(h)."""
    for x in range(len(sums)):
        weight = sums[x, 1] / sums[x, 0] if sums[x, 0] > 0 else 1.0
        sums[x, 1] = weight
        log_weights[x] = np.float32(np.log(weight)) if weight != 1.0 else np.float32(0)


@compiled
def interpolate(counts, context, suffix, discounts, sums, lower, out):
    """p(w|h) = (c - D(c)) / total(h) + gamma(h) p(w|h without its first word), to ``out``."""
    for g in range(len(counts)):
        if g + _AHEAD < len(counts):
            prefetch(sums, 2 * np.int64(context[g + _AHEAD]))
        c, x = counts[g], context[g]
        total = sums[x, 0]
        own = (c - discounts[min(c, 3)]) / total if total > 0 else 0.0
        out[g] = np.float32(own + sums[x, 1] * lower[suffix[g]])
