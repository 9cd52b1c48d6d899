"""One word after a state, as quickly as Python can call compiled code.

Checking the types of a call's arguments costs more than the query. Numbers and one writable array
are checked quickest, so the arrays of a model go as addresses; who calls keeps them alive.
"""

from __future__ import annotations

import numpy as np
from numba import carray
from numba.core import types
from numba.extending import intrinsic

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.index import Tables
from seqlab.lm.ngram.kernels.query import NOTHING, step

_SIZE = 8  # entries of the longest state


def handle_of(tables):
    """Addresses, sizes and numbers of a model's tables, int64, for ``advance``."""
    arrays = tables.records, tables.unigrams, tables.centres, tables.shape
    places = [(array.ctypes.data, array.size) for array in arrays]
    numbers = [int(tables.word_bits), int(tables.stride), tables.order, tables.words]
    handle = np.array([*np.ravel(places), *numbers, 0], np.int64)
    handle[-1:].view(np.float64)[0] = tables.unseen
    return handle


def _pointer_to(kind):
    @intrinsic
    def pointer(typing, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return pointer


_integers, _numbers = _pointer_to(types.uint64), _pointer_to(types.float32)


@compiled
def advance(handle, word, one, two, three, four, five, six, seven, eight):
    """Ln p of a word after a state, and the entries of the state after it."""
    order = handle[10]
    tables = Tables(
        carray(_integers(handle[0]), (handle[1],)),
        carray(_numbers(handle[0]), (2 * handle[1],)),
        carray(_numbers(handle[2]), (handle[3],)),
        carray(_numbers(handle[4]), (order + 1, 2, handle[5] // (2 * order + 2))),
        carray(_integers(handle[6]), (order + 1, handle[7] // (order + 1))),
        np.uint64(handle[8]),
        np.uint64(handle[9]),
        order,
        handle[11],
        np.float32(handle[12:].view(np.float64)[0]),
    )
    state, new = np.empty(_SIZE, np.int64), np.full(_SIZE, NOTHING, np.int64)
    state[0], state[1], state[2], state[3] = one, two, three, four
    state[4], state[5], state[6], state[7] = five, six, seven, eight
    score = step(tables, state, word, new)
    return score, new[0], new[1], new[2], new[3], new[4], new[5], new[6], new[7]
