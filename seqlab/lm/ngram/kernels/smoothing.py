"""Compiled loops of the smoothings: sums over histories, interpolation and backing off.

A row is a k-gram h w, in suffix order; ``context`` is the row of its history h and ``suffix`` the
row of h' w, both one order lower, where h' is h without its first word. Numbers of histories come
in pairs (M, 2), so that one look at the memory finds both: ``sums`` holds c(h) and N1+(h .).
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch

_AHEAD = 24  # k-grams whose histories are asked for before they are needed


@compiled
def sum_histories(context, occurrences, sums):
    """Adds up, for each history, its occurrences and its different next words."""
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(sums, 2 * np.int64(context[i + _AHEAD]))
        if occurrences[i] > 0:
            h = context[i]
            sums[h, 0] += occurrences[i]
            sums[h, 1] += 1


@compiled
def interpolate(occurrences, discount, context, suffix, weights, lower, out):
    """p(w | h) = scale(h) max(c(h w) - discount, 0) + rest(h) p(w | h').

    ``weights`` holds scale(h) and rest(h).
    """
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(weights, 2 * np.int64(context[i + _AHEAD]))
        h = context[i]
        own = weights[h, 0] * max(occurrences[i] - discount, 0.0)
        out[i] = own + weights[h, 1] * lower[suffix[i]]


@compiled
def relative(discounted, occurrences, words, context, sums, out):
    """Discounted counts by the history's total; plain counts after histories of all words."""
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(sums, 2 * np.int64(context[i + _AHEAD]))
        h = context[i]
        value = np.float64(occurrences[i]) if sums[h, 1] == words else discounted[i]
        out[i] = value / sums[h, 0] if sums[h, 0] > 0 else 0.0


@compiled
def sum_seen(occurrences, probabilities, context, suffix, lower, masses):
    """Adds up, for each history, p(w | h) and p(w | h') over the words seen after it."""
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(masses, 2 * np.int64(context[i + _AHEAD]))
        if occurrences[i] > 0:
            h = context[i]
            masses[h, 0] += probabilities[i]
            masses[h, 1] += lower[suffix[i]]


@compiled
def back_off(occurrences, context, suffix, weights, lower, probabilities):
    """p(w | h) times factor(h) where h w was seen, and alpha(h) p(w | h') where it was not.

    ``weights`` holds factor(h) and alpha(h).
    """
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(weights, 2 * np.int64(context[i + _AHEAD]))
        h = context[i]
        if occurrences[i] > 0:
            probabilities[i] *= weights[h, 0]
        else:
            probabilities[i] = weights[h, 1] * lower[suffix[i]]


@compiled
def relative_or_less(occurrences, context, suffix, sums, alpha, lower, out):
    """c(h w) / c(h) where h w was seen, and alpha p(w | h') where it was not."""
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(sums, 2 * np.int64(context[i + _AHEAD]))
        if occurrences[i] > 0:
            out[i] = occurrences[i] / sums[context[i], 0]
        else:
            out[i] = alpha * lower[suffix[i]]


@compiled
def find_longer(parents, words, begin, end, first, out):
    """Row of the k-gram that puts words[i] before the (k-1)-gram of row parents[i]; -1: none.

    The k-grams of that suffix stand in rows begin[i] to end[i] - 1, their first words rising.
    """
    for i in range(len(parents)):
        out[i] = -1
        if parents[i] < 0 or words[i] < 0:
            continue
        low, high = begin[i], end[i]
        while low < high:
            middle = (low + high) >> 1
            if first[middle] < words[i]:
                low = middle + 1
            else:
                high = middle
        if low < end[i] and first[low] == words[i]:
            out[i] = low


@compiled
def mix(share, bucket, suffix, weights, lower, out):
    """P(w | h) = l p(w | h) + (1 - l) P(w | h') with the weight l of the history's bucket.

    ``share`` is p(w | h); a row of the bucket -1 has a history that was never seen: P(w | h').
    """
    for i in range(len(share)):
        below = lower[suffix[i]]
        b = bucket[i]
        out[i] = weights[b] * share[i] + (1.0 - weights[b]) * below if b >= 0 else below


@compiled
def collect(
    share, probabilities, bucket, suffix, weights, gradient, lower_gradient, taken, reached
):
    """One order of the expectation step of Jelinek-Mercer, from long to short histories.

    ``gradient`` is, for each row, the sum of its events' counts times the chance to come down to
    this order, each divided by the event's probability. Adds to ``taken`` and ``reached``, for
    each bucket, how many events are expected to take this order and to come down to it.
    """
    for i in range(len(share)):
        if gradient[i] == 0.0:
            continue
        b = bucket[i]
        passed = gradient[i]
        if b >= 0:
            taken[b] += gradient[i] * weights[b] * share[i]
            reached[b] += gradient[i] * probabilities[i]
            passed *= 1.0 - weights[b]
        lower_gradient[suffix[i]] += passed


@compiled
def bucket_of(total):
    """The whole part of log2 of a history's count; -1 for none."""
    result = -1
    while total > 0:
        total >>= 1
        result += 1
    return result


@compiled
def leave_one_out(occurrences, context, sums, by_count, share, bucket):
    """Each event judged by all the others: (c(h w) - 1) / (c(h) - 1), and the bucket of the rest.

    The bucket is -1 where nothing else followed the history, else that of ``bucket_of``.
    """
    for i in range(len(occurrences)):
        if i + _AHEAD < len(occurrences):
            prefetch(sums, 2 * np.int64(context[i + _AHEAD]))
        rest = sums[context[i], 0] - 1
        bucket[i] = bucket_of(rest) if by_count else min(rest, 1) - 1
        share[i] = max(occurrences[i] - 1, 0) / rest if rest > 0 else 0.0


@compiled
def put_in_buckets(totals, by_count, out):
    """Bucket of each history: that of ``bucket_of``, or 0 for all that were seen; -1 if not."""
    for i in range(len(totals)):
        out[i] = bucket_of(totals[i]) if by_count else min(totals[i], 1) - 1


@compiled
def own_events(occurrences, suffix, out):
    """Events of a k-gram that no longer history came with: ``out`` holds c, less the c of longer.

    ``occurrences`` and ``suffix`` are those one order higher.
    """
    for i in range(len(occurrences)):
        out[suffix[i]] -= occurrences[i]


@compiled
def count_of_counts(occurrences, out):
    """Adds to out[r] how many k-grams occur r times, for all r that ``out`` has room for."""
    for i in range(len(occurrences)):
        if occurrences[i] < len(out):
            out[occurrences[i]] += 1


@compiled
def discounted_counts(occurrences, table, out):
    """table[r] for the counts r that the table has room for, r itself for all higher ones."""
    for i in range(len(occurrences)):
        r = occurrences[i]
        out[i] = table[r] if r < len(table) else np.float64(r)
