"""One word after a state, as quickly as Python can call compiled code.

Finding out the types of a call's arguments costs more than the query, and so does giving the
interpreter's lock back for so short a time. So the code for states of one length is called as
such, which takes its arguments for what they should be; and the arrays of a model go as one
address; who calls keeps them alive.
"""

from __future__ import annotations

import numpy as np
from numba import carray
from numba.core import cgutils, types
from numba.extending import intrinsic

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.index import Tables
from seqlab.lm.ngram.kernels.query import step

_HANDLE = 13  # numbers


def handle_of(tables):
    """Addresses, sizes and numbers of a model's tables, int64 (13,), for ``advance``."""
    arrays = tables.records, tables.unigrams, tables.centres, tables.shape
    places = [(array.ctypes.data, array.size) for array in arrays]
    numbers = [int(tables.word_bits), int(tables.stride), tables.order, tables.words]
    handle = np.array([*np.ravel(places), *numbers, 0], np.int64)
    handle[-1:].view(np.float64)[0] = tables.unseen
    return handle


def advance_for(order):
    """``advance`` as a function of Python, for models of an order."""
    return advance.compile((types.int64, types.int64, types.UniTuple(types.int64, order - 1)))


def _pointer_to(kind):
    @intrinsic
    def pointer(typing, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return pointer


_integers, _numbers = _pointer_to(types.uint64), _pointer_to(types.float32)


@intrinsic
def _unpacked(typing, state):
    """A state as an array on the stack."""

    def generate(context, builder, signature, arguments):
        place = cgutils.alloca_once_value(builder, arguments[0])
        return builder.bitcast(place, context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(state), generate


@intrinsic
def _packed(typing, entries, state):
    """Such an array as a state, which is like another."""

    def generate(context, builder, signature, arguments):
        kind = context.get_value_type(signature.return_type)
        return builder.load(builder.bitcast(arguments[0], kind.as_pointer()))

    return state(entries, state), generate


def _advance(address, word, state):
    """Ln p of a word after a state, and the state after it.

    Args:
        address: of what ``handle_of`` made.
        word: number of the word.
        state: entries of the contexts, a tuple of order - 1 integers.
    """
    handle = carray(_integers(address), (_HANDLE,)).view(np.int64)
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
    new = _unpacked(state)
    score = step(tables, _unpacked(state), word, new)
    return score, _packed(new, state)


advance = compiled(_advance, nogil=False)
