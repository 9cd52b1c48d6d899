"""How the C library treats the memory that a training frees and takes again at every step."""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
SETTINGS = (
    "GLIBC_TUNABLES",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
)


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next step instead of giving it back to the system.

    Large tensors otherwise come as new zeroed pages at every operation, which on a CPU takes
    longer than many an operation itself. It holds for the rest of the process, so only programs
    call it, no library function. Environment variables of the user's that say otherwise win.

    Returns:
        Whether anything was changed: only with glibc.

    Source: mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SETTINGS):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_TRIM_THRESHOLD, -1)) and bool(mallopt(_M_MMAP_MAX, 0))
