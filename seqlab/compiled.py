"""Compiling loops that NumPy and torch cannot vectorise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, nogil: bool = True) -> Function:
    """Machine code of a function of arrays and numbers, made at its first call and kept on disk.

    Additions are never reordered, so the same input gives the same bits in every call and thread.
    It runs without the interpreter's lock, unless ``nogil`` is False: for very short functions
    giving the lock back takes longer than the rest.

    Where no folder for the code is writable (a read-only container), it is compiled anew in each
    process.
    """
    options = {"nogil": nogil, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # raised where no cache can be written
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


def can_compile() -> bool:
    """False where the environment variable NUMBA_DISABLE_JIT has switched compiling off."""
    return not numba.config.DISABLE_JIT
