"""Reading one record of the hash tables of an n-gram model; see ``kernels.index.Tables``.

Loops hand the tables to these functions as a ``View``: a call with arrays counts references to
them, which takes longer than all the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from seqlab.compiled import can_compile, compiled
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

_ONE, _TWO, _THREE, _LINE = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(LINE)


class View(NamedTuple):
    """The tables of a model, which others keep alive.

    Args:
        records: where ``Tables.records`` begin; with the next four, addresses of their numbers.
        values: where ``Tables.values`` begin.
        unigrams: where ``Tables.unigrams`` begin.
        centres: where ``Tables.centres`` begin.
        shape: where ``Tables.shape`` begins.
        columns: of a row of ``shape``.
        codes: how many there are for each of the two values.
        word_bits: as in ``Tables``.
        stride: as in ``Tables``.
    """

    records: Any
    values: Any
    unigrams: Any
    centres: Any
    shape: Any
    columns: Any
    codes: Any
    word_bits: Any
    stride: Any


if can_compile():

    @intrinsic
    def _begin(typing, array):
        """Address of the numbers of an array."""

        def generate(context, builder, signature, arguments):
            return context.make_array(signature.args[0])(context, builder, arguments[0]).data

        return types.CPointer(array.dtype)(array), generate

else:

    def _begin(array):
        """The numbers of an array."""
        return array.reshape(-1)


@compiled
def view_of(tables):
    """The tables as the functions below take them."""
    return View(
        _begin(tables.records),
        _begin(tables.values),
        _begin(tables.unigrams),
        _begin(tables.centres),
        _begin(tables.shape),
        tables.shape.shape[1],
        tables.centres.shape[2],
        tables.word_bits,
        tables.stride,
    )


@compiled
def key_of(view, context, word):
    """Key of the k-gram of a context's slot and a word."""
    return ((np.uint64(context) << view.word_bits) | np.uint64(word)) + _ONE


@compiled
def home_of(view, order, key):
    """Where the home line of a key of an order begins."""
    row = order * view.columns
    start = home(key, view.shape[row + MULTIPLIER], view.shape[row + LINES])
    return (view.shape[row + BASE] + start) * _LINE


@compiled
def find(view, order, place, key):
    """Whether there is a key, its place, from that of its home on, and the record there."""
    row, stride = order * view.columns, view.stride
    mask, end = view.shape[row + KEY_MASK], place + view.shape[row + TAIL] * _LINE
    record = np.uint64(0)
    while place < end:
        record = view.records[place]
        if record & mask == key or record & mask == 0:
            break
        place += stride
    return record & mask == key, place, record


@compiled
def slot_of(view, order, place):
    """Slot of a place."""
    return (place - view.shape[order * view.columns + BASE] * _LINE) >> (view.stride - _ONE)


@compiled
def slots_of(view, order):
    """How many slots the table of an order has."""
    row = order * view.columns
    return (view.shape[row + LINES] + view.shape[row + TAIL]) * _LINE >> (view.stride - _ONE)


@compiled
def place_of(view, order, slot):
    """Place of a slot."""
    return view.shape[order * view.columns + BASE] * _LINE + np.uint64(slot) * view.stride


@compiled
def log_prob_of(view, order, place, record):
    """Log-probability of the k-gram of a record."""
    if view.stride == FULL:
        return view.values[_TWO * place + _TWO]
    bits = view.shape[order * view.columns + CODE_BITS]
    code = (record >> (FLAGS - bits)) & ((_ONE << bits) - _ONE)
    return view.centres[np.uint64(2 * order * view.codes) + code]


@compiled
def log_backoff_of(view, order, place, record):
    """Log back-off weight of the k-gram of a record."""
    if view.stride == FULL:
        return view.values[_TWO * place + _THREE]
    bits = view.shape[order * view.columns + CODE_BITS]
    code = (record >> (FLAGS - _TWO * bits)) & ((_ONE << bits) - _ONE)
    return view.centres[np.uint64((2 * order + 1) * view.codes) + code]
