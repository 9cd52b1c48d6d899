"""Compiled loops over aligned models: matching n-grams, sums over contexts, normalisers."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled

_ROUNDING = 1e-6  # probability that float32 logarithms of a distribution leave undecided


@compiled
def match_rows(first, suffix, below, word_of, starts, other_first, out):
    """Row of each k-gram in another model's level, or -1.

    Args:
        first: words the k-grams begin with.
        suffix: rows of the k-grams without them.
        below: row in the other model of the k-grams one order lower.
        word_of: number in the other model of each word.
        starts: first row in the other level of each suffix, and one entry more.
        other_first: first words of the other level.
        out: receives the rows (int32).
    """
    for row in range(len(first)):
        out[row] = -1
        shorter = below[suffix[row]]
        if shorter < 0:
            continue
        word = word_of[first[row]]
        low, end = starts[shorter], starts[shorter + 1]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if other_first[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < end and other_first[low] == word:
            out[row] = low


@compiled
def add_children(context, suffix, log_prob, lower, high, low, counts):
    """For each context sum p(w|h) and p(w|h') over its n-grams h w, and count them."""
    for row in range(len(context)):
        place = context[row]
        high[place] += np.exp(np.float64(log_prob[row]))
        low[place] += np.exp(np.float64(lower[suffix[row]]))
        counts[place] += 1


@compiled
def balance(high, low, counts, events, fallback, out):
    """Back-off weights that make each context sum to one.

    Where rounding decides what is left, ``fallback`` holds; where every word is listed, 0.
    """
    for place in range(len(high)):
        left, lower_left = 1.0 - high[place], 1.0 - low[place]
        if counts[place] == 0 or counts[place] >= events:
            out[place] = 0.0
        elif left < _ROUNDING or lower_left < _ROUNDING:
            out[place] = fallback[place]
        else:
            out[place] = np.log(left) - np.log(lower_left)


@compiled
def _add(exponents, columns, row, weights, x, sums):
    """Add q, q x_i and q x_i x_j of one word, with q = exp(sum_i weight_i x_i)."""
    models = len(weights)
    exponent = 0.0
    for i in range(models):
        x[i] = columns[i, row]
        if weights[i] != 0.0:
            exponent += weights[i] * x[i]
    exponents[row] = exponent
    q = np.exp(exponent)
    if q == 0.0:
        return
    sums[0] += q
    if len(sums) == 1:
        return
    for i in range(models):
        sums[1 + i] += q * x[i]
        for j in range(models):
            sums[1 + models + i * models + j] += q * x[i] * x[j]


@compiled
def add_moments(context, weights, columns, lower, listed, shorter, exponents):
    """Sums of q, q x_i, q x_i x_j over the n-grams h w of each context, after h and after h'.

    Args:
        context: of the n-grams.
        weights: of the models (M,).
        columns: x_i = ln p_i(w|h) of the n-grams (M, N).
        lower: ln p_i(w|h') of the same (M, N).
        listed: receives the sums after h (C, 1 + M + M M), or of q alone (C, 1).
        shorter: receives the sums after h', likewise.
        exponents: receives ln q of the n-grams after h (N,).
    """
    x, unused = np.empty(len(weights)), np.empty(len(context))
    for row in range(len(context)):
        _add(exponents, columns, row, weights, x, listed[context[row]])
        _add(unused, lower, row, weights, x, shorter[context[row]])


@compiled
def shift_moments(suffix, weights, backoffs, below, listed, shorter):
    """Turn sums over listed words into sums over the whole vocabulary, in ``listed``.

    Words without an n-gram have x_i(w|h) = b_i(h) + x_i(w|h'), so their sums follow from those
    after h', ``below``, without a look at the words.
    """
    models, width = len(weights), listed.shape[1]
    b, rest = np.empty(models), np.empty(width)
    for place in range(len(listed)):
        scale = 0.0
        for i in range(models):
            b[i] = backoffs[i, place]
            if weights[i] != 0.0:
                scale += weights[i] * b[i]
        scale = np.exp(scale)
        for k in range(width):
            rest[k] = below[suffix[place], k] - shorter[place, k]
        result = listed[place]
        if rest[0] <= 0.0 or scale == 0.0:
            continue
        result[0] += scale * rest[0]
        if width == 1:
            continue
        for i in range(models):
            result[1 + i] += scale * (rest[1 + i] + b[i] * rest[0])
            for j in range(models):
                k = 1 + models + i * models + j
                square = rest[k] + b[i] * rest[1 + j] + b[j] * rest[1 + i] + b[i] * b[j] * rest[0]
                result[k] += scale * square
