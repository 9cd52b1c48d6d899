"""A pipe of raw samples or WAV, made into one that libsndfile reads."""

from __future__ import annotations

import os
import struct
import threading
from typing import Any, BinaryIO

from seqlab.audio_file import check_rate
from seqlab.errors import AudioError

_HEADERS = (b"RIFF", b"RIFX", b"RF64", b".snd", b"dns.")  # of formats that a pipe can carry
_CHUNK = 1 << 16


def audio_pipe(file: BinaryIO, raw_rate: int) -> BinaryIO:
    """A pipe that carries WAV or AU: as it came, or with a header before raw samples.

    Args:
        file: Open for reading bytes, such as ``sys.stdin.buffer``.
        raw_rate: Of raw samples (16-bit little-endian, one channel), in Hz.

    Raises:
        AudioError: Nothing came, or the rate is out of range.
    """
    check_rate("raw_rate", raw_rate)
    first = file.read(4)
    if not first:
        raise AudioError("standard input is empty, must carry WAV or raw 16-bit samples")
    header = b"" if first in _HEADERS else _endless_header(raw_rate)
    return _fed(file, header + first)


def _endless_header(sample_rate: int) -> bytes:
    """The header of a WAV of 16 bits and one channel, whose length nobody knows."""
    unknown = 0xFFFFFFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16,
        b"data", unknown,
    )  # fmt: skip


def _fed(file: BinaryIO, first: bytes) -> BinaryIO:
    """A pipe that carries ``first`` and the rest of a file, whatever kind of file it is."""
    reading, writing = os.pipe()
    read = getattr(file, "read1", file.read)

    def feed() -> None:
        try:
            with os.fdopen(writing, "wb", 0) as pipe:
                chunk = first
                while chunk:
                    _write_all(pipe, chunk)
                    chunk = read(_CHUNK)
        except (OSError, ValueError):  # either end was closed
            return

    threading.Thread(target=feed, daemon=True).start()
    return os.fdopen(reading, "rb", 0)


def _write_all(pipe: Any, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while len(rest):
        rest = rest[pipe.write(rest) :]
