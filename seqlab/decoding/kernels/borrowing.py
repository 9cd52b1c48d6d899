"""Compiling loops that only look at the arrays they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from seqlab.compiled import can_compile


def borrowing(function):
    """As ``seqlab.compiled.compiled``, for functions that make no arrays.

    They do not count references to their arrays. Where a search calls a function for each prefix
    with dozens of arrays, that takes several times as long as all the rest. Their caller holds the
    arrays.
    """
    options = {"nogil": True, "error_model": "numpy", "_nrt": False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # raised where no cache can be written
        return numba.njit(**options)(function)


def inlined(function):
    """A part of the compiled functions that call it: handing over dozens of arrays takes long."""
    return numba.njit(inline="always", nogil=True, error_model="numpy", _nrt=False)(function)


def ready_for(function: Any, *arguments: Any) -> Callable[..., Any]:
    """A compiled function for arguments of just the types of these, layouts of arrays included.

    To find out the types of some dozens of arrays at each call takes as long as searching several
    frames. Other types than these make the function read what is not there.
    """
    if not can_compile():
        return function  # type: ignore[no-any-return]
    return function.compile(tuple(map(numba.typeof, arguments)))  # type: ignore[no-any-return]
