"""Text from wherever it comes, as blocks of bytes that can be numbered at full speed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least, did_you_mean
from seqlab.errors import DataError, MissingDependencyError
from seqlab.lm.ngram.kernels.text import part_characters
from seqlab.lm.ngram.text_files import file_blocks, stored_size
from seqlab.lm.ngram.text_files import unpacked_size as size_unpacked
from seqlab.lm.ngram.words import SPECIAL, UNKNOWN
from seqlab.values import shown

__all__ = [
    "SPACE",
    "TextSource",
    "Unit",
    "can_reread",
    "source_size",
    "text_blocks",
    "unit_parts",
    "unpacked_size",
]

TextSource: TypeAlias = (
    "str | os.PathLike[str] | Iterable[str] | Iterable[Sequence[str]] | Iterable[os.PathLike[str]]"
)
Unit: TypeAlias = "str | os.PathLike[str]"  # "word", "character", or a sentencepiece model
Progress: TypeAlias = "Callable[[str, int, int | None], None]"  # what, how far, of how many

SPACE = "\u2581"  # the sign of sentencepiece for a space
_Block: TypeAlias = NDArray[np.uint8]
_CONTROLS = bytes(b if b > 32 or b == 10 else 32 for b in range(256))


def text_blocks(
    source: TextSource,
    unit: Unit = "word",
    size: int = 2**24,
    progress: Progress | None = None,
    space: str = SPACE,
) -> Iterator[NDArray[np.uint8]]:
    r"""Read a text as blocks of bytes; the input of ``Words.numbers(block, marks=True)``.

    A block holds whole lines, a line is a sentence, and bytes up to 32 (space, tab, NUL, ...)
    part its words. Memory holds a few blocks at a time. Text that is no UTF-8 stays as it is.

    Args:
        source: a file (``-`` is standard input): plain, gzip, bzip2 or xz, by its content, not
            its name; or an iterable of sentences (str), of sentences cut into words (lists or
            tuples of str), or of files (``Path``). An iterator is used up: what reads twice must
            check ``can_reread``.
        unit: ``"word"``; ``"character"``, where each character (code point) is a word and white
            space between words is the word ``space``; or a sentencepiece model file, where each
            piece is a word and what has no piece is ``<unk>``.
        size: bytes of a block, at least 1. Of characters and pieces a block is larger.
        progress: told ``"bytes read"``, how many, and of how many (None where that is unknown).
        space: for characters, the word that stands for white space; empty leaves it out. White
            space at either end of a line has none.

    Yields:
        Bytes (uint8), the last one a newline. The caller may keep and change them.

    Raises:
        DataError: a file that cannot be read or is no text; a sentence that is no str or list;
            a word of a list that is empty or holds white space.

    Example:
        >>> [block.tobytes() for block in text_blocks(["go on", ["stop", "now"]])]
        [b'go on\nstop now\n']
        >>> [block.tobytes() for block in text_blocks(["go on"], "character", space="_")]
        [b'g o _ o n \n']
    """
    check_at_least("size", size, 1)
    part = unit_parts(unit, space)
    for block in _lines(source, size, _reporter(source, progress)):
        yield part(block)


def source_size(source: TextSource) -> int | None:
    """Bytes of all files of a source as they are stored; what progress is told. None if unknown.

    Unknown are standard input, pipes and sentences. An iterator is not touched.

    >>> source_size(["go on"]) is None
    True
    """
    return _summed(stored_size, source)


def unpacked_size(source: TextSource) -> int | None:
    """Bytes of the text in all files of a source; what says how much memory it will need.

    Of packed files it is guessed from their beginnings. None where ``source_size`` gives None.

    Raises:
        DataError: a file cannot be read, or is no text.
    """
    return _summed(size_unpacked, source)


def _summed(size_of: Callable[[str], int | None], source: TextSource) -> int | None:
    """Sum over the files of a source; None where one has no size, or there are none."""
    if isinstance(source, str | os.PathLike):
        paths: list[Any] = [source]
    elif isinstance(source, list | tuple) and all(isinstance(s, os.PathLike) for s in source):
        paths = list(source)
    else:
        return None
    sizes = [size_of(os.fspath(path)) for path in paths]
    known = [size for size in sizes if size is not None]
    return sum(known) if paths and len(known) == len(sizes) else None


def can_reread(source: TextSource) -> bool:
    """Whether a source gives its text again each time: files and lists, not streams and iterators.

    >>> can_reread(["go on"]), can_reread(iter(["go on"])), can_reread("-")
    (True, False, False)
    """
    if isinstance(source, str | os.PathLike):
        return stored_size(os.fspath(source)) is not None
    return iter(source) is not source


def _reporter(source: TextSource, progress: Progress | None) -> Callable[[int], None]:
    """Tells ``progress`` how much has been read of all."""
    if progress is None:
        return lambda done: None
    total = source_size(source)
    return lambda done: progress("bytes read", done, total)


def _lines(source: TextSource, size: int, consumed: Callable[[int], None]) -> Iterator[_Block]:
    """Blocks of the words as they stand."""
    if isinstance(source, bytes | bytearray):
        raise DataError(f"text {shown(source)} must be a file or sentences; decode it")
    if isinstance(source, str | os.PathLike):
        yield from file_blocks(os.fspath(source), size, consumed)
        return
    try:
        items: Iterator[Any] = iter(source)
    except TypeError:
        raise DataError(
            f"text {shown(source)} must be a file or an iterable of sentences; put one sentence "
            "in a list"
        ) from None
    before, numbers = 0, itertools.count(1)
    for is_file, group in itertools.groupby(items, lambda item: isinstance(item, os.PathLike)):
        if not is_file:
            for block in _sentence_blocks(group, size, numbers):
                before += len(block)
                consumed(before)
                yield block
            continue
        for path in group:
            read = 0

            def count(done: int, before: int = before) -> None:
                nonlocal read
                read = done
                consumed(before + done)

            yield from file_blocks(os.fspath(path), size, count)
            before += read


def _sentence_blocks(items: Iterable[Any], size: int, numbers: Iterator[int]) -> Iterator[_Block]:
    """Blocks of sentences; ``numbers`` counts them for messages."""
    lines: list[str] = []
    length = number = 0
    for item, number in zip(items, numbers, strict=False):
        line = item if isinstance(item, str) else _joined(item, number)
        if "\n" in line:
            line = line.rstrip("\n").replace("\n", " ")
        lines.append(line)
        length += len(line) + 1
        if length >= size:
            yield _encoded(lines, number)
            lines, length = [], 0
    if lines:
        yield _encoded(lines, number)


def _encoded(lines: list[str], last: int) -> _Block:
    """The lines as bytes; ``last`` is the number of the last sentence."""
    lines.append("")
    try:
        text = "\n".join(lines).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        number = last - (len(lines) - 2) + "\n".join(lines).count("\n", 0, error.start)
        raise DataError(
            f"sentence {number} holds half a surrogate pair ({error.object[error.start]!r}); "
            "decode the text as UTF-8"
        ) from None
    return np.frombuffer(bytearray(text), np.uint8)


def _joined(words: object, number: int) -> str:
    """The words of sentence ``number`` with spaces between; DataError unless each is a word."""
    if not isinstance(words, list | tuple):
        remedy = "; open the file as text, or decode it" if isinstance(words, bytes) else ""
        raise DataError(
            f"sentence {number} is {shown(words)}, must be a str or a list of words{remedy}"
        )
    line = " ".join(words) if all(isinstance(word, str) for word in words) else "\n"
    if line.isprintable() and line.count(" ") == max(len(words) - 1, 0) and "" not in words:
        return line
    for word in words:
        if not isinstance(word, str):
            raise DataError(f"word {shown(word)} of sentence {number} must be a str")
        if not word or min(word) <= " ":
            raise DataError(
                f"word {shown(word)} of sentence {number} must be one word without white space; "
                "split or remove it"
            )
    return line


def unit_parts(unit: Unit, space: str = SPACE) -> Callable[[_Block], _Block]:
    """What turns a block of lines of words into one of lines of units, as ``text_blocks`` does.

    Raises:
        DataError: ``unit`` names no unit, or a sentencepiece model that cannot be read.
        MissingDependencyError: sentencepiece is needed and not installed.
    """
    if unit == "word":
        return lambda block: block
    if unit == "character":
        return _character_parts(space)
    if isinstance(unit, str) and not unit.endswith(".model") and not os.path.exists(unit):
        hint = did_you_mean(unit, ["word", "character"])
        raise DataError(
            f"unit={unit!r} must be 'word', 'character' or a sentencepiece model file{hint}"
        )
    return _piece_parts(Path(unit))


def _character_parts(space: str) -> Callable[[_Block], _Block]:
    if any(c <= " " for c in space):
        raise DataError(f"space={space!r} must be a word without white space, such as {SPACE!r}")
    sign = np.frombuffer(space.encode(), np.uint8)

    def part(block: _Block) -> _Block:
        out = np.empty(max(2, len(sign) + 1) * len(block), np.uint8)
        return out[: part_characters(block, sign, out)]

    return part


def _piece_parts(path: Path) -> Callable[[_Block], _Block]:
    try:
        import sentencepiece
    except ImportError:
        raise MissingDependencyError(
            "pieces need sentencepiece: pip install sentencepiece"
        ) from None
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError) as error:
        cause = getattr(error, "strerror", None) or "it is no sentencepiece model"
        raise DataError(
            f"unit={str(path)!r} cannot be read: {cause}; give the .model file of sentencepiece"
        ) from None

    names = [processor.id_to_piece(i).encode() for i in range(len(processor))]
    names[processor.unk_id()] = SPECIAL[UNKNOWN].encode()

    def part(block: _Block) -> _Block:
        lines = block.tobytes().translate(_CONTROLS).split(b"\n")[:-1]
        numbers = processor.encode(lines, out_type=int, num_threads=1)
        text = b"\n".join([b" ".join([names[i] for i in line]) for line in numbers])
        return np.frombuffer(bytearray(text + b"\n"), np.uint8)

    return part
