"""Compiled loops that fill the hash tables of an n-gram model and walk them back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch

# columns of Tables.shape
BASE, LINES, TAIL, MULTIPLIER, KEY_MASK, CODE_BITS = range(6)
RIGHT, LEFT = np.uint64(1 << 62), np.uint64(1 << 63)
FLAGS = np.uint64(62)  # shift of the two flags
FULL, PACKED = 2, 1  # 64-bit numbers in a record
LINE = 8  # 64-bit numbers in a line of the cache
_BLOCK = 128
_ONE, _TWO, _THREE, _HALF = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(32)


class Tables(NamedTuple):
    """What query loops read; numba takes it as one argument.

    Orders k >= 2 have a hash table each, whose unit is a line of the cache: 64 bytes, 4 or 8
    records. A k-gram's record stands in its home line, at the first place that was free, or,
    where that was full, in one of the following ``TAIL`` - 1; there is no wrap-around. Places are
    counted through all lines, and a k-gram's *slot* is its place in its order's table. A record
    is one or two 64-bit numbers. The first is 0 where the place is free, else

        bit 63 LEFT | bit 62 RIGHT | codes | 1 + (slot of the context << word_bits | last word)

    LEFT says that a longer n-gram ends with this k-gram, RIGHT that one begins with it. Where
    records are two numbers (stride 2), the second holds log_prob and log_backoff as float32.
    Where they are one, the codes below the flags are those of log_prob and, lower, log_backoff.

    Args:
        records: those of all orders, 64-bit numbers.
        values: the same memory as float32.
        unigrams: log_prob and log_backoff of each word in turn, float32 (2 V,).
        centres: of each order what the codes of log_prob and log_backoff mean (K, 2, C).
        shape: of each order BASE (its first line), LINES (home lines), TAIL (lines that are
            looked at), MULTIPLIER (of its hash), KEY_MASK (bits of the key), CODE_BITS (of each
            of the two codes); uint64 (K + 1, 6), the rows 0 and 1 are not used.
        word_bits: bits of a word number in a key.
        stride: 64-bit numbers in a record, 2 or 1.
        order: length K of the longest n-grams.
        words: size V of the vocabulary.
        unseen: log weight of a context that is no k-gram of the model.
    """

    records: Any
    values: Any
    unigrams: Any
    centres: Any
    shape: Any
    word_bits: Any
    stride: Any
    order: int
    words: int
    unseen: Any


@compiled
def home(key, multiplier, lines):
    """Line where a key belongs: multiply-shift hash (Dietzfelbinger et al. 1997).

    The folding is a bijection, the product's high half is spread evenly over ``lines`` < 2 ** 32.
    """
    key = (key ^ (key >> _HALF)) * multiplier
    return ((key >> _HALF) * lines) >> _HALF


@compiled
def insert(
    records, values, stride, low, high, shape, word_bits,
    contexts, words, marks, log_prob, log_backoff, slots,
):  # fmt: skip
    """Enter those of some k-grams whose home line is within [low, high).

    Args:
        records: of the lines low to high + TAIL - 1, 64-bit numbers.
        values: the same memory as float32.
        stride: 64-bit numbers in a record.
        low: first home line of this region.
        high: one past the last.
        shape: row of ``Tables.shape`` of this order.
        word_bits: bits of a word number in a key.
        contexts: slots of the k-grams' contexts (N,), uint32.
        words: their last words (N,), int32.
        marks: flags and codes in place (N,), uint64.
        log_prob: (N,) float32; not read where records are one number.
        log_backoff: likewise.
        slots: receives the slot of each that is entered (N,), uint32.

    Returns:
        False where TAIL lines did not suffice.
    """
    homes, line = np.empty(_BLOCK, np.uint64), np.uint64(LINE)
    for begin in range(0, len(words), _BLOCK):
        count = min(_BLOCK, len(words) - begin)
        for i in range(count):
            row = begin + i
            key = ((np.uint64(contexts[row]) << word_bits) | np.uint64(words[row])) + _ONE
            homes[i] = home(key, shape[MULTIPLIER], shape[LINES])
            if homes[i] >= low and homes[i] < high:
                prefetch(records, (homes[i] - low) * line)
        for i in range(count):
            if homes[i] < low or homes[i] >= high:
                continue
            row = begin + i
            place = (homes[i] - low) * line
            end = place + shape[TAIL] * line
            while place < end and records[place] != 0:
                place += stride
            if place == end:
                return False
            key = ((np.uint64(contexts[row]) << word_bits) | np.uint64(words[row])) + _ONE
            records[place] = key | marks[row]
            if stride == FULL:
                values[_TWO * place + _TWO] = log_prob[row]
                values[_TWO * place + _THREE] = log_backoff[row]
            slots[row] = np.uint32((place + low * line) // stride)
    return True


@compiled
def occupied(tables, order, slots):
    """Write the slots of an order that hold a k-gram, rising; returns how many there are."""
    row, line = tables.shape[order], np.uint64(LINE)
    count, first = 0, row[BASE] * line
    for slot in range((row[LINES] + row[TAIL]) * line // tables.stride):
        record = tables.records[first + np.uint64(slot) * tables.stride]
        if record & row[KEY_MASK] != 0:
            if count < len(slots):
                slots[count] = slot
            count += 1
    return count


@compiled
def read_keys(tables, order, slots, contexts, words):
    """Slot of the context, and last word, of the k-grams in some slots (N,)."""
    row = tables.shape[order]
    for i in range(len(slots)):
        place = row[BASE] * np.uint64(LINE) + np.uint64(slots[i]) * tables.stride
        key = (tables.records[place] & row[KEY_MASK]) - _ONE
        contexts[i] = key >> tables.word_bits
        words[i] = key & ((_ONE << tables.word_bits) - _ONE)
