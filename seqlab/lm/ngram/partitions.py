"""Text files cut into partitions of whole lines that can be read apart from one another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.text_files import LONGEST_LINE, file_blocks, plain_begin, stored_size

__all__ = ["Partition", "Span", "partition_files", "span_blocks"]

_NEWLINE = ord("\n")
_STEP = 2**16  # bytes looked at for the end of a line
_PACKED = 4  # bytes of text for each byte of a packed file, roughly


@dataclass(frozen=True)
class Span:
    """Whole lines of a file.

    Args:
        path: of the file, absolute.
        begin: place of the first byte.
        end: place after the last byte; None for a packed file, which is read as a whole.
        size: bytes of the file as stored, which tell whether a reader sees the same file.
    """

    path: str
    begin: int
    end: int | None
    size: int


Partition = tuple[Span, ...]


def partition_files(paths: Sequence[str | os.PathLike[str]], target: int) -> list[Partition]:
    """Cut files into partitions of about ``target`` bytes, in the order of the text.

    Small files share a partition, large ones are cut after newlines. A packed file cannot be cut.

    Args:
        paths: of regular files.
        target: bytes of a partition, at least 1.

    Raises:
        DataError: a file cannot be read, is in another encoding, or no text.
    """
    partitions: list[Partition] = []
    spans: list[Span] = []
    filled = 0
    for path in paths:
        for span in _spans(os.path.abspath(path), target):
            spans.append(span)
            filled += _PACKED * span.size if span.end is None else span.end - span.begin
            if filled >= target:
                partitions.append(tuple(spans))
                spans, filled = [], 0
    return [*partitions, tuple(spans)] if spans else partitions


def _spans(path: str, target: int) -> Iterator[Span]:
    begin, size = plain_begin(path), stored_size(path)
    if size is None:
        raise DataError(f"{path} must be a regular file; it was removed, or is a pipe")
    if begin is None:
        yield Span(path, 0, None, size)
        return
    with open(path, "rb") as file:
        while begin < size:
            end = _line_end(file, begin + target, size)
            yield Span(path, begin, end, size)
            begin = end


def _line_end(file: BinaryIO, place: int, size: int) -> int:
    """The first place from ``place`` on where a line has just ended, or the end of the file."""
    place -= 1  # the byte before may be the newline
    file.seek(place)
    while place < size and (data := file.read(_STEP)):
        found = data.find(b"\n")
        if found >= 0:
            return place + found + 1
        place += len(data)
    return size


def span_blocks(span: Span, size: int = 2**24) -> Iterator[NDArray[np.uint8]]:
    """The lines of a span in blocks of about ``size`` bytes, as ``file_blocks`` gives them.

    Raises:
        DataError: the file cannot be read, or is not the one that was cut.
    """
    found = stored_size(span.path)
    if found != span.size:
        seen = "is missing" if found is None else f"has {found} bytes"
        raise DataError(
            f"{span.path} {seen} here and had {span.size} bytes when it was cut into partitions; "
            "put the text where all workers see it under the same path, and leave it unchanged"
        )
    if span.end is None:
        yield from file_blocks(span.path, size, lambda done: None)
        return
    begin = span.begin
    while begin < span.end:
        block = _whole_lines(_read(span.path, begin, min(begin + size, span.end)), span.end - begin)
        if len(block) == 0:
            size *= 2
            if size > LONGEST_LINE:
                raise DataError(
                    f"{span.path} has a line of more than {LONGEST_LINE} bytes; a line is a "
                    "sentence, so break it"
                )
            continue
        begin += len(block)
        if block[-1] != _NEWLINE:  # the file ends without
            block = np.append(block, np.uint8(_NEWLINE))
        yield block


def _read(path: str, begin: int, end: int) -> NDArray[np.uint8]:
    try:
        block = np.fromfile(path, np.uint8, end - begin, offset=begin)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; give a file that can be read"
        ) from None
    if len(block) < end - begin:
        raise DataError(f"{path} ends at byte {begin + len(block)}, must reach {end}; it was cut")
    return block


def _whole_lines(block: NDArray[np.uint8], left: int) -> NDArray[np.uint8]:
    """The block up to its last newline, or all of it where it is what is left."""
    if len(block) == left:
        return block
    backwards = block[::-1] == _NEWLINE
    return block[: len(block) - int(np.argmax(backwards))] if backwards.any() else block[:0]
