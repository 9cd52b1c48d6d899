"""Compiled loops that read the hash tables of an n-gram model one k-gram after the other."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.index import (
    BASE,
    CODE_BITS,
    FLAGS,
    FULL,
    KEY_MASK,
    LINE,
    LINES,
    MULTIPLIER,
    TAIL,
    home,
)

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@compiled
def find_slots(tables, order, contexts, words, slots):
    """Slots of the k-grams of these contexts' slots and last words (N,); -1 where missing."""
    row, records = tables.shape[order], tables.records
    first, tail = row[BASE] * np.uint64(LINE), row[TAIL] * np.uint64(LINE)
    mask, stride = row[KEY_MASK], tables.stride
    for i in range(len(slots)):
        key = ((np.uint64(contexts[i]) << tables.word_bits) | np.uint64(words[i])) + _ONE
        place = first + home(key, row[MULTIPLIER], row[LINES]) * np.uint64(LINE)
        end, slots[i] = place + tail, -1
        while place < end:
            if records[place] & mask == key:
                slots[i] = (place - first) >> (stride - _ONE)
                break
            if records[place] & mask == 0:
                break
            place += stride


@compiled
def read_values(tables, order, slots, values):
    """Log-probability and log back-off weight of the k-grams in some slots (N,), to (2, N)."""
    stride, first = tables.stride, tables.shape[order, BASE] * np.uint64(LINE)
    bits = tables.shape[order, CODE_BITS]
    codes = (_ONE << bits) - _ONE
    for i in range(len(slots)):
        place = first + np.uint64(slots[i]) * stride
        if stride == FULL:
            values[0, i] = tables.values[_TWO * place + _TWO]
            values[1, i] = tables.values[_TWO * place + _THREE]
        else:
            record = tables.records[place]
            values[0, i] = tables.centres[order, 0, (record >> (FLAGS - bits)) & codes]
            values[1, i] = tables.centres[order, 1, (record >> (FLAGS - _TWO * bits)) & codes]
