"""Compiled loops that bring n-grams into suffix order and find their suffixes and contexts.

Tables of n-grams are (N, k) word numbers, left to right. Suffix order compares the last words
first, then the words before them, and so on.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch

_BLOCK = 64  # k-grams whose contexts are sought together
_DIGIT = 11  # bits a pass of the radix sort looks at: its counters fit the fastest cache


@compiled
def _compare(a, i, a_from, b, j, b_from, length):
    """-1, 0, 1: order of ``length`` words of a[i] from a_from on and of b[j] from b_from on."""
    for place in range(length - 1, -1, -1):
        left, right = a[i, a_from + place], b[j, b_from + place]
        if left != right:
            return -1 if left < right else 1
    return 0


@compiled
def first_disorder(grams):
    """First row that does not come after the one before it, or -1 where all rows rise."""
    for i in range(1, len(grams)):
        if _compare(grams, i - 1, 0, grams, i, 0, grams.shape[1]) >= 0:
            return i
    return -1


@compiled
def first_repeat(grams):
    """First row of a sorted table that equals the one before it, or -1."""
    for i in range(1, len(grams)):
        if _compare(grams, i - 1, 0, grams, i, 0, grams.shape[1]) == 0:
            return i
    return -1


@compiled
def _radix_pass(keys, order, shift, keys_out, order_out):
    """Move keys and order, stably, by the digit of the keys at ``shift``."""
    count = np.zeros((1 << _DIGIT) + 1, np.int64)
    mask = (1 << _DIGIT) - 1
    for i in range(len(keys)):
        count[((keys[i] >> shift) & mask) + 1] += 1
    for digit in range(1, len(count)):
        count[digit] += count[digit - 1]
    for i in range(len(keys)):
        digit = (keys[i] >> shift) & mask
        keys_out[count[digit]] = keys[i]
        order_out[count[digit]] = order[i]
        count[digit] += 1


@compiled
def suffix_order(grams, largest):
    """Rows of ``grams`` in suffix order (int32); equal n-grams keep their order.

    ``largest`` is the largest word number. Radix sort from the first word to the last.
    """
    size = len(grams)
    order = np.arange(size).astype(np.int32)
    order_out = np.empty(size, np.int32)
    keys, keys_out = np.empty(size, np.int32), np.empty(size, np.int32)
    for place in range(grams.shape[1]):
        for i in range(size):
            keys[i] = grams[order[i], place]
        shift = 0
        while shift == 0 or largest >> shift > 0:
            _radix_pass(keys, order, shift, keys_out, order_out)
            keys, keys_out = keys_out, keys
            order, order_out = order_out, order
            shift += _DIGIT
    return order


@compiled
def find_suffixes(grams, shorter, suffix):
    """Row in ``shorter`` of each n-gram without its first word; False where one is missing.

    Both tables are sorted, so that one walk through both finds all.
    """
    length, j = shorter.shape[1], 0
    for i in range(len(grams)):
        while j < len(shorter):
            sign = _compare(shorter, j, 0, grams, i, 1, length)
            if sign >= 0:
                break
            j += 1
        if j == len(shorter) or sign > 0:
            return False
        suffix[i] = j
    return True


@compiled
def child_starts(suffix, size):
    """First row whose suffix is at least r, for r = 0 ... size."""
    starts = np.zeros(size + 1, np.int32)
    for i in range(len(suffix)):
        starts[suffix[i] + 1] += 1
    for row in range(size):
        starts[row + 1] += starts[row]
    return starts


@compiled
def _merge_contexts(first, begin, end, shorter_first, low, high, context):
    """``find_contexts`` of the k-grams begin to end - 1 of one suffix, walking both lists."""
    for i in range(begin, end):
        step = 1  # first word sought within [low, high): steps that double, then halves
        while low + step < high and shorter_first[low + step] <= first[i]:
            low += step
            step *= 2
        last = min(low + step, high)
        while last - low > 1:
            middle = (low + last) // 2
            if shorter_first[middle] <= first[i]:
                low = middle
            else:
                last = middle
        if low >= high or shorter_first[low] != first[i]:
            return False
        context[i] = low
    return True


@compiled
def _search_contexts(first, begin, count, shorter_first, lows, highs, context):
    """``find_contexts`` of a few k-grams, halving all ranges in turns to wait for memory once."""
    active = True
    while active:
        active = False
        for j in range(count):
            low, high = lows[j], highs[j]
            if high - low > 1:
                middle = (low + high) >> 1
                below = shorter_first[middle] <= first[begin + j]
                lows[j] = middle if below else low
                highs[j] = high if below else middle
                active = True
    for j in range(count):
        if lows[j] >= highs[j] or shorter_first[lows[j]] != first[begin + j]:
            return False
        context[begin + j] = lows[j]
    return True


@compiled
def find_contexts(first, suffix, shorter_first, shorter_context, shorter_starts, context):
    """Row, one order lower, of each k-gram without its last word; False where one is missing.

    The context of v s is v c, with c the context of s. The children of c, one order lower, are
    sorted by their first words, and so are the k-grams v s of one s: where many of these stand
    together both lists are walked together, and elsewhere each is searched.
    """
    lows, highs = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    for begin in range(0, len(first), _BLOCK):
        count = min(_BLOCK, len(first) - begin)
        if suffix[begin] == suffix[begin + count - 1]:
            c = shorter_context[suffix[begin]]
            low, high = shorter_starts[c], shorter_starts[c + 1]
            if not _merge_contexts(first, begin, begin + count, shorter_first, low, high, context):
                return False
            continue
        for j in range(count):
            lows[j] = shorter_context[suffix[begin + j]]
            prefetch(shorter_starts, lows[j])
        for j in range(count):
            c = lows[j]
            lows[j], highs[j] = shorter_starts[c], shorter_starts[c + 1]
            prefetch(shorter_first, (lows[j] + highs[j]) >> 1)
        if not _search_contexts(first, begin, count, shorter_first, lows, highs, context):
            return False
    return True


@compiled
def distinct(grams, start):
    """The different n-grams grams[:, start : start + k - 1] of a table sorted by those words."""
    length = grams.shape[1] - 1
    result = np.empty((len(grams), length), np.int32)
    size = 0
    for i in range(len(grams)):
        if size == 0 or _compare(result, size - 1, 0, grams, i, start, length) != 0:
            for place in range(length):
                result[size, place] = grams[i, start + place]
            size += 1
    return result[:size]


@compiled
def merge_tables(given, source, added):
    """Union of two sorted tables, and the source of each row: -1 where ``added`` alone has it."""
    length = given.shape[1]
    result = np.empty((len(given) + len(added), length), np.int32)
    result_source = np.empty(len(result), np.int64)
    i, j, size = 0, 0, 0
    while i < len(given) or j < len(added):
        sign = -1
        if i == len(given):
            sign = 1
        elif j < len(added):
            sign = _compare(given, i, 0, added, j, 0, length)
        for place in range(length):
            result[size, place] = given[i, place] if sign <= 0 else added[j, place]
        result_source[size] = source[i] if sign <= 0 else -1
        if sign <= 0:
            i += 1
        if sign >= 0:
            j += 1
        size += 1
    return result[:size], result_source[:size]
