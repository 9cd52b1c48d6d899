"""The binary file of an n-gram model: hash tables and words, memory-mapped and checked.

Layout, little-endian: 64 bytes (``_START``: magic, version, byte-order mark, length of the
description, length of the file, checksum of all that follows the description, checksum of these
fields and the description), the description in JSON up to a multiple of 4096 bytes, then the
sections of ``_arrays`` in turn, each at the next multiple of 4096. Nothing in it is executed.

The checksum is XXH64: it finds damage, not malice. So that even a file that was forged cannot do
harm, a query never follows a number in the file out of its array: a place in a hash table is
computed from a key and the table's size, which is held against the length of the file, and at
most ``LONGEST_TAIL`` lines of it are looked at. The vocabulary's own table is checked when a file
is opened, whatever ``verify`` says.
"""

from __future__ import annotations

import json
import mmap
import os
import secrets
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import ModelError
from seqlab.lm.ngram.binary_layout import PAGE, Layout, cut, damaged, padded
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.kernels.checksum import checksum
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.numbering import Progress
from seqlab.lm.ngram.scratch import Scratch, chunks, release
from seqlab.lm.ngram.words import Words

__all__ = ["is_binary", "open_binary", "write_binary"]

MAGIC = b"\x89SeqLM\r\n"  # no text; damaged where line ends are translated
VERSION = 1
_MARK = 0x01020304
_START = struct.Struct("<8sIIQQQQ16x")  # of 64 bytes
_LARGEST_DESCRIPTION = 1 << 20
_PIECE = 1 << 21  # numbers that are checked at a time
_OTHERS = {
    b"mmap lm http": "a binary file of KenLM; read the ARPA file that it was made from",
    b"\x1f\x8b": "compressed by gzip; if it is an ARPA file, read it as one, else run gunzip",
    b"\xfd7zXZ": "compressed by xz; if it is an ARPA file, read it as one, else run xz -d",
    b"BZh": "compressed by bzip2; if it is an ARPA file, read it as one, else run bunzip2",
    b"\\data\\": "an ARPA file; read it as one",
    b"blmt": "a binary file of IRSTLM; read an ARPA file that compile-lm makes of it",
    b"\x80\x04": "a pickle, which could run any code; it is never read",
    b"PK\x03\x04": "a zip archive; unpack it",
}


def is_binary(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like a binary n-gram model of any version, however it goes on."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def write_binary(
    model: QueryIndex | BackoffTable,
    path: str | os.PathLike[str],
    quantise: bool = False,
    note: str = "",
    scratch: Scratch | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a model to a file, which is there whole or not at all.

    Args:
        model: the model; a table is indexed first.
        path: file to be written; one of that name is replaced.
        quantise: whether to round values to 256 different ones for each order and kind.
        note: a few words on the model, at most 10,000 characters; that of the index by default.
        scratch: where the tables of a model that outgrows memory are made; see ``build``.
        progress: told ``"n-grams indexed"``, then ``"bytes written"``.

    Raises:
        ModelError: the model is too large to be indexed or quantised.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> words = Words(["a"])
        >>> table = BackoffTable(
        ...     NGrams(words, (unigram_level(words),)), (np.full(4, -1, np.float32),), ()
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_binary(table, Path(folder) / "a.ngram")
        ...     words, index = open_binary(Path(folder) / "a.ngram")
        >>> list(words), index.order
        (['<unk>', '<s>', '</s>', 'a'], 1)
    """
    if isinstance(model, BackoffTable):
        index = QueryIndex.build(model, quantise, scratch, progress)
    elif quantise and not model.quantised and model.order > 1:
        index = QueryIndex.build(model.to_table(), True, progress=progress)
    else:
        index = model
    arrays = _arrays(index)
    description = _described(index, note or index.note)
    size = _START.size + len(description) + sum(padded(array.nbytes) for array in arrays)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(bytes(_START.size) + description)
            data_sum = _write_sections(file, arrays, progress)
            file.seek(0)
            file.write(_start(description, size, data_sum))
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write_sections(file: IO[bytes], arrays: list[NDArray[Any]], progress: Progress | None) -> int:
    """Write the arrays, each up to a whole page; returns the checksum of it all."""
    lanes, total, result = np.zeros(4, np.uint64), 0, 0
    for array in arrays:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        whole = len(data) // PAGE * PAGE
        last = np.zeros(padded(len(data)) - whole, np.uint8)
        last[: len(data) - whole] = data[whole:]
        parts = [data[part] for part in chunks(whole, _PIECE * 8)]
        for part in (*parts, last):
            file.write(part.data)
            numbers = part.view(np.uint64)
            result = int(checksum(numbers, total, lanes))
            total += len(numbers)
            release(array)
            if progress is not None:
                progress("bytes written", 8 * total, sum(padded(array.nbytes) for array in arrays))
    return result


def open_binary(path: str | os.PathLike[str], verify: bool = True) -> tuple[Words, QueryIndex]:
    """Open a file that ``write_binary`` wrote; its pages are read when they are needed.

    Processes that open the same file share its memory. The file is mapped until the words and the
    index are gone; where systems do not let mapped files be replaced or deleted (Windows), drop
    them first.

    Args:
        path: the file.
        verify: whether to compare the checksum of all its bytes, some GB/s. Without, opening
            takes milliseconds; damage to the n-grams then goes unnoticed, but can do no harm
            beyond wrong scores.

    Raises:
        ModelError: the file is missing, something else, of another version, cut or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(_START.size)
            size, description = _checked_start(path, start, os.fstat(file.fileno()).st_size, file)
            pages = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            layout = Layout(path, description, size, _START.size + len(description))
            copied = mmap.mmap(file.fileno(), layout.words_end, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}; check the path and its rights"
        ) from error
    if verify:
        _verify(path, pages, layout.begin, _START.unpack(start)[5])
    return layout.opened(pages, copied)


def _arrays(index: QueryIndex) -> list[NDArray[Any]]:
    """The sections' contents, in order."""
    words, tables = index.words, index.tables
    return [
        words.starts, words.hashes, words.table, words.store, tables.unigrams, tables.centres,
        tables.records,
    ]  # fmt: skip


def _described(index: QueryIndex, note: str) -> bytes:
    """The description, filled with spaces up to where the sections begin."""
    fields = {
        "counts": list(index.counts),
        "quantised": index.quantised,
        "unseen_backoff": index.unseen_backoff,
        "note": note[:10_000],
        "word_bytes": len(index.words.store),
        "word_table": len(index.words.table),
        "orders": [[int(value) for value in row[1:4]] for row in index.tables.shape[2:]],
    }
    text = json.dumps(fields, allow_nan=False).encode()
    return text.ljust(padded(_START.size + len(text)) - _START.size)


def _start(description: bytes, size: int, data_sum: int) -> bytes:
    fields = (MAGIC, VERSION, _MARK, len(description), size, data_sum)
    return _START.pack(*fields, _sum_of(_START.pack(*fields, 0) + description))


def _sum_of(data: bytes) -> int:
    return int(checksum(np.frombuffer(data, np.uint64), 0, np.zeros(4, np.uint64)))


def _checked_start(path: Path, start: bytes, size: int, file: IO[bytes]) -> tuple[int, bytes]:
    """Length of the file and its description; ModelError where the beginning is not sound."""
    if start[: len(MAGIC)] != MAGIC:
        raise ModelError(f"{path} is not a binary n-gram model: {_guess(start, size)}")
    if len(start) < _START.size:
        raise cut(path, size, "more")
    _, version, mark, length, whole, _, own = _START.unpack(start)
    if mark != _MARK:
        swapped = mark == int.from_bytes(_MARK.to_bytes(4, "little"), "big")
        raise ModelError(
            f"{path} has the byte-order mark {mark:#010x}, must be {_MARK:#010x}; "
            + ("write it anew on a little-endian machine" if swapped else "it is damaged, "
               "copy or build it anew")
        )  # fmt: skip
    if version != VERSION:
        remedy = "update seqlab" if version > VERSION else "build it anew from its ARPA file"
        raise ModelError(f"{path} is of version {version}, must be {VERSION}; {remedy}")
    if not 0 < length <= _LARGEST_DESCRIPTION or (_START.size + length) % PAGE:
        raise damaged(path, f"a description of {length} bytes")
    if whole != size:
        raise cut(path, size, str(whole))
    description = file.read(length)
    if len(description) != length:
        raise cut(path, size, "more")
    if _sum_of(start[:40] + bytes(8) + start[48:] + description) != own:
        raise damaged(path, "a beginning that does not fit its checksum")
    return whole, description


def _guess(start: bytes, size: int) -> str:
    if size == 0:
        return "it is empty; build it anew"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for head, what in _OTHERS.items():
        if start.startswith(head) or (head == b"\\data\\" and text.startswith(head)):
            return f"it is {what}"
    if start[:1] == MAGIC[:1] and b"SeqLM" in start[:8]:
        return "its line ends were translated; copy it as a binary file"
    return f"it begins with {start[:8]!r}; give a file that write_binary made, or read it as ARPA"


def _verify(path: Path, pages: mmap.mmap, begin: int, expected: int) -> None:
    numbers = np.frombuffer(pages, np.uint64, offset=begin)
    lanes, value = np.zeros(4, np.uint64), 0
    for i in range(0, len(numbers), _PIECE):
        value = int(checksum(numbers[i : i + _PIECE], i, lanes))
    if value != expected:
        raise damaged(path, "contents that do not fit their checksum")
