"""Compiled loops of entropy pruning."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def _times(mass, log_ratio):
    """The product, and 0 where there is no mass."""
    return mass * log_ratio if mass > 0.0 else 0.0


@compiled
def relative_entropies(context, suffix, log_prob, lower, high, low, log_backoff, log_context, out):
    """Relative entropy between the model and the one without the n-gram, for each n-gram.

    Args:
        context: rows of the n-grams' contexts.
        suffix: rows of their suffixes.
        log_prob: their log-probabilities ln p(w|h).
        lower: log-probabilities one order lower.
        high: sum of p(w|h) over the n-grams of each context.
        low: sum of p(w|h') over the same.
        log_backoff: ln alpha(h) of each context.
        log_context: ln p(h) of each context.
        out: receives the entropies (float32), never below zero.
    """
    for row in range(len(context)):
        h = context[row]
        log_p, log_q = np.float64(log_prob[row]), np.float64(lower[suffix[row]])
        p = np.exp(log_p)
        left = max(1.0 - high[h], 0.0)
        lower_left = max(1.0 - low[h], 0.0)
        q = np.exp(log_q)
        if not p > 0.0 or not np.exp(log_context[h]) > 0.0:
            out[row] = 0.0
            continue
        if not q > 0.0:  # without it the word would never follow
            out[row] = np.inf
            continue
        new = np.log(left + p) - np.log(lower_left + q)
        change = _times(p, log_q + new - log_p) + _times(left, new - log_backoff[h])
        out[row] = max(-np.exp(log_context[h]) * change, 0.0)


@compiled
def raise_shorter(context, suffix, scores, lower):
    """An n-gram is worth at least as much as every longer one that needs it."""
    for row in range(len(context)):
        lower[context[row]] = max(lower[context[row]], scores[row])
        lower[suffix[row]] = max(lower[suffix[row]], scores[row])
