"""Sorting what ends at each word of a text: rows of words, last word first, packed into keys.

The row of a word holds it and the words before it, back to the beginning of its sentence or to
the order of the model, whichever is nearer. Sorted, rows stand in suffix order, and each k-gram
is the first k words of the rows of one stretch: one sort serves all orders.

A key holds a few words in its bits, the first of them uppermost, each as its number plus one; zero
means that there is no more word. A row takes as many keys as it needs.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch
from seqlab.lm.ngram.kernels.tokenise import BEGIN

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_DIGIT = 12  # bits sorted by in one pass, at most
_AHEAD = 32  # rows whose words are asked for before they are needed
_SHORT = 16  # rows that insertion sorts


@compiled
def first_keys(numbers, begin, low, high, bits, width, keys, places):
    """First key and place of the rows that end at numbers[begin:] in a word of [low, high).

    Returns:
        How many there are.
    """
    count = 0
    shift, drop = np.uint64(bits * (width - 1)), np.uint64(bits)
    key = _ZERO
    for i in range(max(0, begin - width), len(numbers)):
        word = numbers[i]
        if word < 0:
            key = _ZERO
            continue
        if word == BEGIN:
            key = np.uint64(word + 1) << shift
            continue
        key = (np.uint64(word + 1) << shift) | (key >> drop)
        if i >= begin and low <= word < high:
            keys[count] = key
            places[count] = i
            count += 1
    return count


@compiled
def sort_keys(keys, places, other_keys, other_places, bits):
    """Sort keys of so many bits, and places along, from the lowest digit up.

    Returns:
        True where the result is in ``other_keys`` and ``other_places``.
    """
    passes = (bits + _DIGIT - 1) // _DIGIT
    digit = (bits + passes - 1) // passes
    mask = np.uint64((1 << digit) - 1)
    histogram = np.zeros((passes, 1 << digit), np.int64)
    for i in range(len(keys)):
        key = keys[i]
        for p in range(passes):
            histogram[p, (key >> np.uint64(p * digit)) & mask] += 1
    swapped = False
    for p in range(passes):
        shift, starts, total, most = np.uint64(p * digit), histogram[p], 0, 0
        for j in range(len(starts)):
            here = starts[j]
            most = max(most, here)
            starts[j] = total
            total += here
        if most == len(keys):  # all alike in this digit
            continue
        for i in range(len(keys)):
            d = (keys[i] >> shift) & mask
            place = starts[d]
            starts[d] = place + 1
            other_keys[place] = keys[i]
            other_places[place] = places[i]
        keys, other_keys = other_keys, keys
        places, other_places = other_places, places
        swapped = not swapped
    return swapped


@compiled
def reorder(values, places, out):
    """values[places] to ``out``."""
    for i in range(len(places)):
        out[i] = values[places[i]]


@compiled
def next_keys(numbers, places, keys, part, order, bits, width):
    """Key number ``part`` of every row, from what stands before its earlier words."""
    mask = np.uint64((1 << bits) - 1)
    begin_code = np.uint64(BEGIN + 1)
    before, here = keys[part - 1], keys[part]
    most = min(width, order - part * width)
    for r in range(len(places)):
        if r + _AHEAD < len(places):
            prefetch(numbers, max(places[r + _AHEAD] - part * width, 0))
        here[r] = _ZERO
        oldest = before[r] & mask
        if oldest == _ZERO or oldest == begin_code:
            continue
        key, place = _ZERO, places[r] - part * width
        for j in range(most):
            word = numbers[place - j] if place >= j else -1
            if word < 0:
                break
            key |= np.uint64(word + 1) << np.uint64(bits * (width - 1 - j))
            if word == BEGIN:
                break
        here[r] = key


@compiled
def _insertion_sort(keys, places, begin, end):
    for i in range(begin + 1, end):
        key, place, j = keys[i], places[i], i - 1
        while j >= begin and keys[j] > key:
            keys[j + 1] = keys[j]
            places[j + 1] = places[j]
            j -= 1
        keys[j + 1] = key
        places[j + 1] = place


@compiled
def _merge(keys, places, begin, middle, end, spare_keys, spare_places):
    count = middle - begin
    spare_keys[:count] = keys[begin:middle]
    spare_places[:count] = places[begin:middle]
    i, j, to = 0, middle, begin
    while i < count:
        if j < end and keys[j] < spare_keys[i]:
            keys[to] = keys[j]
            places[to] = places[j]
            j += 1
        else:
            keys[to] = spare_keys[i]
            places[to] = spare_places[i]
            i += 1
        to += 1


@compiled
def _sort_stretch(keys, places, begin, end, spare_keys, spare_places):
    """Sort keys[begin:end], and places along; a stretch that is sorted costs one look."""
    if end - begin <= _SHORT:
        _insertion_sort(keys, places, begin, end)
        return
    for i in range(begin, end, _SHORT):
        _insertion_sort(keys, places, i, min(i + _SHORT, end))
    size = _SHORT
    while size < end - begin:
        for i in range(begin, end - size, 2 * size):
            if keys[i + size] < keys[i + size - 1]:
                last = min(i + 2 * size, end)
                _merge(keys, places, i, i + size, last, spare_keys, spare_places)
        size *= 2


@compiled
def refine(keys, places, part, spare_keys, spare_places):
    """Sort by key number ``part`` the rows whose earlier keys agree and stand together."""
    begin, count = 0, len(places)
    for r in range(1, count + 1):
        together = r < count
        if together:
            for p in range(part - 1, -1, -1):
                if keys[p, r] != keys[p, r - 1]:
                    together = False
                    break
        if not together:
            if r - begin > 1:
                _sort_stretch(keys[part], places, begin, r, spare_keys, spare_places)
            begin = r


@compiled
def merge_equal(keys, counts, total):
    """Leave one of several equal rows, with the sum of their counts; returns how many are left.

    ``total`` bounds what a count may reach; -1 says that one went beyond.
    """
    kept = -1
    for r in range(keys.shape[1]):
        same = kept >= 0
        if same:
            for p in range(keys.shape[0]):
                if keys[p, r] != keys[p, kept]:
                    same = False
                    break
        if same:
            summed = np.int64(counts[kept]) + np.int64(counts[r])
            if summed > total:
                return -1
            counts[kept] = summed
            continue
        kept += 1
        counts[kept] = counts[r]
        for p in range(keys.shape[0]):
            keys[p, kept] = keys[p, r]
    return kept + 1
