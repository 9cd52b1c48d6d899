"""Reading and writing single and bfloat16 numbers in compiled loops, which know no bfloat16.

Arrays of bfloat16 come as their bits, uint16; all arithmetic is in single precision.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload


def load(value):
    """A float32, or the bits of a bfloat16, as a float32."""
    raise NotImplementedError("compiled loops only")


@overload(load)
def _load(value):
    if value == types.uint16:
        return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)
    return lambda value: value


def store(row, index, value):
    """Write the float32 ``value`` to a row of float32, or of bfloat16 bits, rounded to nearest."""
    raise NotImplementedError("compiled loops only")


@overload(store)
def _store(row, index, value):
    if row.dtype == types.uint16:
        return _store_rounded

    def plain(row, index, value):
        row[index] = value

    return plain


def _store_rounded(row, index, value):
    bits = np.float32(value).view(np.uint32)
    if (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):  # not a number: rounding may lose it
        row[index] = np.uint16(0x7FC0)
    else:
        to_even = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        row[index] = np.uint16((bits + to_even) >> np.uint32(16))
