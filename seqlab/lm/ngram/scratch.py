"""Large arrays, in memory or in a scratch folder on disk, where they cost little memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from seqlab.lm.ngram.folders import TemporaryFolder

CHUNK = 2**22  # rows that are worked on before the pages of arrays on disk are given back


class Scratch:
    """Makes arrays: in memory, or as files that the operating system may page out.

    Arrays on disk look like any other; ``release`` gives their pages back. The folder goes with
    the scratch. Where systems allow it (Linux, macOS), its files lose their names at once: nothing
    but an empty folder is left of a process that was killed, and arrays outlive the scratch.

    Args:
        folder: where the files go; None keeps arrays in memory.
        memory: bytes that a process with arrays on disk may have resident in all.
    """

    def __init__(self, folder: str | Path | None = None, memory: int = 2**30) -> None:
        self.memory = memory
        self._temporary = None if folder is None else TemporaryFolder(folder)
        self._folder = self._temporary.path if self._temporary else None

    @property
    def on_disk(self) -> bool:
        """Whether arrays are files."""
        return self._folder is not None

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        return Scratch, ()  # in another process arrays go to memory

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files; arrays that still exist keep their contents where the system can."""
        if self._temporary is not None:
            self._temporary.remove()

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of any contents."""
        return self.zeros(shape, dtype) if self.on_disk else np.empty(shape, dtype)

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self._folder is None or size == 0:
            return np.zeros(shape, dtype)
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.truncate(size)
            array: NDArray[Any] = np.memmap(file, dtype, "r+", 0, shape)
        return array

    def appended(self, dtype: DTypeLike) -> Appender:
        """An array whose length is not known yet."""
        return Appender(self._folder, dtype)


class Appender:
    """Collects parts of one array, in memory or in a file of the scratch folder."""

    def __init__(self, folder: str | None, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: list[NDArray[Any]] = []
        self._length = 0
        self._file: Any = None
        if folder is not None:
            self._file = tempfile.NamedTemporaryFile(dir=folder)  # noqa: SIM115

    def append(self, part: NDArray[Any]) -> None:
        """Add a part; it is copied to disk or kept."""
        self._length += len(part)
        if self._file is None:
            self._parts.append(part)
        else:
            self._file.write(np.ascontiguousarray(part, self._dtype).data)

    def array(self) -> NDArray[Any]:
        """The parts as one array."""
        if self._file is None:
            if len(self._parts) == 1:
                return self._parts[0]
            return np.concatenate([np.empty(0, self._dtype), *self._parts])
        if self._length == 0:
            return np.empty(0, self._dtype)
        self._file.flush()
        array: NDArray[Any] = np.memmap(self._file, self._dtype, "r+", 0, (self._length,))
        self._file.close()
        return array


def release(*arrays: NDArray[Any]) -> None:
    """Give back the memory that holds pages of arrays on disk; others are left alone."""
    for array in arrays:
        base: Any = array
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "_mmap", None) or getattr(base, "base", None)
        if base is not None and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


def chunks(length: int, size: int | None = None) -> Iterator[slice]:
    """Slices of at most ``size``, ``CHUNK`` by default, that cover ``length`` rows, in order."""
    size = size or CHUNK
    for begin in range(0, length, size):
        yield slice(begin, min(begin + size, length))


def released(length: int, *arrays: NDArray[Any]) -> Iterator[slice]:
    """``chunks`` of ``length`` rows; after each one the pages of these arrays are given back."""
    for part in chunks(length):
        yield part
        release(*arrays)
