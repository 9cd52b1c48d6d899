"""From sorted rows of words to the levels of n-grams and their counts, in one walk."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.tokenise import BEGIN


@compiled
def _unpack(keys, r, order, bits, width, words):
    """Words of row r, last word first; returns how many it has."""
    mask = np.uint64((1 << bits) - 1)
    for k in range(order):
        shift = np.uint64(bits * (width - 1 - k % width))
        code = np.int64((keys[k // width, r] >> shift) & mask)
        if code == 0:
            return k
        words[k] = code - 1
    return order


@compiled
def count_new(keys, order, bits, width, sizes):
    """Add to ``sizes`` how many k-grams of each order the rows hold."""
    words, before = np.full(order, -1, np.int64), np.full(order, -1, np.int64)
    for r in range(keys.shape[1]):
        length = _unpack(keys, r, order, bits, width, words)
        k = 0
        while k < length and words[k] == before[k]:
            k += 1
        for j in range(k, length):
            sizes[j] += 1
            before[j] = words[j]
        for j in range(length, order):
            before[j] = -1


@compiled
def fill_levels(keys, counts, order, bits, width, rows, first, suffix, occurrences, left_types):
    """Write the k-grams of the rows to the levels.

    Args:
        keys: sorted, different rows (parts, R).
        counts: how often each occurs (R,).
        order: words of a row, at most.
        bits: of a word in a key.
        width: words of a key.
        rows: the next free row of each level, moved on; unigrams have the row of their number.
        first: for each level the first words to write.
        suffix: for each level the suffix rows to write.
        occurrences: for each level, zero or begun.
        left_types: for each level, zero or begun.
    """
    words, before = np.full(order, -1, np.int64), np.full(order, -1, np.int64)
    current = np.zeros(order, np.int64)
    for r in range(keys.shape[1]):
        length = _unpack(keys, r, order, bits, width, words)
        k = 0
        while k < length and words[k] == before[k]:
            k += 1
        if k == 0:
            current[0] = words[0]
            before[0] = words[0]
            k = 1
        for j in range(k, length):
            row = rows[j]
            rows[j] = row + 1
            first[j][row] = words[j]
            suffix[j][row] = current[j - 1]
            left_types[j - 1][current[j - 1]] += 1
            current[j] = row
            before[j] = words[j]
        for j in range(length, order):
            before[j] = -1
        for j in range(length):
            occurrences[j][current[j]] += counts[r]
        if length < order and words[length - 1] != BEGIN:  # after a gap
            left_types[length - 1][current[length - 1]] += 1
