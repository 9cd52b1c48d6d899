"""The loops of Kneser-Ney smoothing."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def add_to_contexts(counts, occurrences, least, context, discounts, total, left_over):
    """Sum over each context: its counts, and what is taken away from them.

    Args:
        counts: adjusted count of each k-gram (N,).
        occurrences: how often it occurs (N,).
        least: k-grams that occur so often or less lose their whole count.
        context: row of the context of each k-gram (N,).
        discounts: taken from a count of 0, 1, 2, and of 3 or more (4,).
        total: sums of counts (M,), float64.
        left_over: sums of what was taken (M,), float64.
    """
    for g in range(len(counts)):
        c, x = counts[g], context[g]
        total[x] += c
        left_over[x] += c if occurrences[g] <= least else discounts[min(c, 3)]


@compiled
def interpolate(counts, context, suffix, discounts, total, weight, lower, out):
    """p(w|h) = (c - D(c)) / total(h) + weight(h) p(w|h without its first word), to ``out``."""
    for g in range(len(counts)):
        c, x = counts[g], context[g]
        own = 0.0 if total[x] == 0 else (c - discounts[min(c, 3)]) / total[x]
        out[g] = np.float32(own + weight[x] * lower[suffix[g]])
