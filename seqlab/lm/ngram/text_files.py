"""Text files as blocks of whole lines: plain, gzip, bzip2 or xz, told apart by what they hold."""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.values import shown

__all__ = ["STANDARD_INPUT", "file_blocks", "plain_begin", "stored_size", "unpacked_size"]

STANDARD_INPUT = "-"
LONGEST_LINE = 2**30  # bytes; one sentence must fit into memory several times over
_NEWLINE = 10
_BOM = b"\xef\xbb\xbf"
_HEAD = 8  # bytes that tell what a file is
_PROBE = 2**22  # bytes that tell how well a file is packed
_CHUNK = 2**18  # stored bytes that are unpacked at once
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_FOREIGN = {
    b"\x28\xb5\x2f\xfd": "zstd-compressed; pipe it in: zstdcat FILE | seqlab ... -",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"mmap lm ": "a binary model of KenLM; give a text",
    b"\x89SeqLM\r\n": "a binary n-gram model; give a text",
}
_NO_TEXT = {
    b"\\data\\": "an ARPA model; give a text",
    b"\xff\xfe": "UTF-16 (or UTF-32), must be UTF-8; convert it: iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16, must be UTF-8; convert it: iconv -f UTF-16 -t UTF-8",
}


def file_blocks(
    path: str, size: int, consumed: Callable[[int], None]
) -> Iterator[NDArray[np.uint8]]:
    """The lines of a file in blocks of about ``size`` bytes, each block ending with a newline.

    A missing newline at the end of the file is added, a byte order mark at its beginning dropped;
    everything else stays as it is. A line longer than ``size`` makes a larger block.

    Args:
        path: of the file; ``-`` is standard input.
        size: bytes of a block, at least 1.
        consumed: told how many bytes of the file, as stored, were read so far.

    Raises:
        DataError: the file is missing, damaged, cut off, in another encoding, or no text file.
    """
    name = "standard input" if path == STANDARD_INPUT else path
    with _opened(path) as raw:
        content = _Content(name, raw)
        for block in _whole_lines(content, size):
            consumed(content.count)
            yield block


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file, unbuffered; standard input stays open."""
    if path == STANDARD_INPUT:
        if getattr(sys.stdin, "buffer", None) is None:
            raise DataError("standard input is closed or no byte stream; name a file")
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed below
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, must be a text file; name files in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        cause = getattr(error, "strerror", None) or error
        raise DataError(
            f"text file {shown(path)} cannot be opened: {cause}; name a file, or give sentences "
            "as a list"
        ) from None
    with file:
        yield file


def _refuse(name: str, head: bytes, kinds: dict[bytes, str]) -> None:
    for magic, what in kinds.items():
        if head.startswith(magic):
            raise DataError(f"{name} is {what}")


class _Content:
    """The bytes of a file, unpacked where it is compressed; ``count`` of those stored were read."""

    def __init__(self, name: str, raw: Any, chunk: int = _CHUNK) -> None:
        self.name = name
        self._chunk = chunk
        self.count = 0
        self._raw = raw
        self._kind: str | None = None
        self._errors: tuple[type[Exception], ...] = (OSError, EOFError)
        self._ahead = b""  # stored bytes that are not yet used
        self._ahead = self._stored(_HEAD)
        _refuse(name, self._ahead, _FOREIGN)
        for magic, kind in _COMPRESSED.items():
            if self._ahead.startswith(magic):
                self._kind = kind
                self._new, *errors = _unpacker(kind)
                self._errors = (*self._errors, *errors)
                self._member = self._new()

    @property
    def packed(self) -> bool:
        """Whether the file is compressed."""
        return self._kind is not None

    def fill(self, view: memoryview) -> int:
        """Fill the view, or as much of it as the file has; returns how many bytes."""
        count = 0
        try:
            while count < len(view):
                read = self._readinto(view[count:])
                if read == 0:
                    break
                count += read
        except self._errors as error:
            cause = getattr(error, "strerror", None) or error
            remedy = "give a file that can be read"
            if self._kind:
                remedy = f"the {self._kind} file is damaged or cut off, so fetch or make it again"
            raise DataError(f"{self.name} cannot be read: {cause}; {remedy}") from None
        return count

    def _readinto(self, view: memoryview) -> int:
        if self._kind is not None:
            unpacked = self._unpack(len(view))
        elif self._ahead:
            unpacked, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
        else:
            return self._counted(self._raw.readinto(view))
        view[: len(unpacked)] = unpacked
        return len(unpacked)

    def _unpack(self, most: int) -> bytes:
        """The next bytes, of one member of the file after the other; none at its end."""
        while True:
            if self._member.eof:
                self._ahead = self._member.unused_data.lstrip(b"\0")
                while not self._ahead:  # members may be padded with zeros
                    stored = self._stored(self._chunk)
                    if not stored:
                        return b""
                    self._ahead = stored.lstrip(b"\0")
                self._member = self._new()
            unpacked: bytes = self._member.decompress(self._ahead, most)
            self._ahead = getattr(self._member, "unconsumed_tail", b"")
            if unpacked:
                return unpacked
            if not self._member.eof and not self._ahead:
                self._ahead = self._stored(self._chunk)
                if not self._ahead:
                    raise EOFError("it ends too early")

    def _stored(self, most: int) -> bytes:
        """Up to ``most`` bytes as stored, fewer only at the end."""
        buffer = bytearray(most)
        count = 0
        while count < most:
            read = self._counted(self._raw.readinto(memoryview(buffer)[count:]))
            if read == 0:
                break
            count += read
        return bytes(buffer[:count])

    def _counted(self, read: int | None) -> int:
        if read is None:
            raise OSError("no bytes are ready, and it does not wait for them")
        self.count += read
        return read


def _unpacker(kind: str) -> tuple[Any, ...]:
    """What makes the decompressor of one member, and the errors it raises."""
    if kind == "gzip":
        return partial(zlib.decompressobj, wbits=31), zlib.error
    if kind == "bzip2":
        import bz2

        return (bz2.BZ2Decompressor,)
    import lzma

    return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=2**30), lzma.LZMAError


def _whole_lines(content: _Content, size: int) -> Iterator[NDArray[np.uint8]]:
    """Cut what a file holds into blocks after newlines."""
    buffer = np.empty(max(size, _HEAD) + 1, np.uint8)  # room for a newline at the end
    begin = kept = 0  # bytes in front that are dropped, and that were read before
    first = True
    while True:
        room = len(buffer) - 1 - kept
        count = content.fill(buffer.data[kept:-1])
        end = kept + count
        if first:
            head = buffer[:_HEAD][:end].tobytes()
            _refuse(content.name, head, _NO_TEXT)
            begin, first = len(_BOM) if head.startswith(_BOM) else 0, False
        if count < room:  # the file has ended
            if end > begin:
                if buffer[end - 1] != _NEWLINE:
                    buffer[end] = _NEWLINE
                    end += 1
                yield buffer[begin:end]
            return
        cut = _after_last_newline(buffer, kept, end)
        if cut == 0:
            if len(buffer) > LONGEST_LINE:
                raise DataError(
                    f"{content.name} has a line of more than {LONGEST_LINE} bytes; a line is a "
                    "sentence, so break it"
                )
            buffer, kept = _larger(buffer[:end], 2 * len(buffer)), end
            continue
        rest = buffer[cut:end]
        following = _larger(rest, max(size, 2 * len(rest), _HEAD) + 1)
        yield buffer[begin:cut]
        buffer, begin, kept = following, 0, len(rest)


def _larger(start: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    result = np.empty(length, np.uint8)
    result[: len(start)] = start
    return result


def _after_last_newline(buffer: NDArray[np.uint8], begin: int, end: int) -> int:
    """Place after the last newline of buffer[begin:end]; 0 where there is none."""
    step = 2**12
    while end > begin:
        start = max(begin, end - step)
        found = np.flatnonzero(buffer[start:end] == _NEWLINE)
        if len(found):
            return start + int(found[-1]) + 1
        end, step = start, 4 * step
    return 0


def plain_begin(path: str) -> int | None:
    """Place of a plain file's text, after a byte order mark if there is one; None if it is packed.

    Raises:
        DataError: the file cannot be read, is in another encoding, or no text.
    """
    with _opened(path) as raw:
        content = _Content(path, raw)
        if content.packed:
            return None
        head = bytearray(_HEAD)
        filled = content.fill(memoryview(head))
    _refuse(path, bytes(head[:filled]), _NO_TEXT)
    return len(_BOM) if head.startswith(_BOM) else 0


def unpacked_size(path: str) -> int | None:
    """Bytes that a regular file holds, of a packed one guessed from its beginning; None for others.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    stored = stored_size(path)
    if not stored:
        return stored
    with _opened(path) as raw:
        content = _Content(path, raw, chunk=2**14)  # small, so that the count is close
        if not content.packed:
            return stored
        filled = content.fill(memoryview(bytearray(_PROBE)))
        return filled * max(stored, content.count) // content.count


def stored_size(path: str) -> int | None:
    """Bytes of a regular file as stored; None for anything else."""
    try:
        return os.path.getsize(path) if os.path.isfile(path) else None
    except (OSError, ValueError):
        return None
