"""What estimating a model will need, before it starts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError

_WORD_BYTES = 4.5  # of text for each word, its space included; English has rather more
_CHARACTER_BYTES = 1.0
_PIECE_BYTES = 2.5
_NUMBER_BYTES = 4
_ROW_BYTES = 44  # for each word while rows are sorted
_NGRAM_BYTES = 60  # for each n-gram: counts and probabilities, and the file's tables when saved
PROGRAM_BYTES = 2**27 + 2**26  # of the program itself and its compiled code
_NEW = (0.02, 0.25, 0.6, 0.8, 0.9, 0.95)  # different k-grams for each word of text, at most
_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Needs:
    """Estimates on the high side, in bytes.

    Args:
        memory: at most resident at a time.
        disk: of scratch files, 0 where everything is done in memory.
    """

    memory: int
    disk: int


def expected_needs(
    text_bytes: int, order: int, memory: int | None = None, unit: str | os.PathLike[str] = "word"
) -> Needs:
    """What estimating and saving take for a text of so many bytes (unpacked).

    Args:
        text_bytes: size of the text.
        order: of the longest n-grams.
        memory: the limit asked for; None works in memory.
        unit: what a word of the model is, as for ``text_blocks``.

    Example:
        >>> needs = expected_needs(300_000_000, order=3)
        >>> round(needs.memory / 1e9, 1), needs.disk
        (3.9, 0)
    """
    known = {"word": _WORD_BYTES, "character": _CHARACTER_BYTES}
    words = text_bytes / known.get(str(unit), _PIECE_BYTES)
    ngrams = words * sum(_NEW[min(k, len(_NEW) - 1)] for k in range(order))
    numbers, rows = words * _NUMBER_BYTES, words * (_ROW_BYTES + 8 * ((order - 1) // 3))
    all_at_once = int(numbers + max(rows, ngrams * _NGRAM_BYTES)) + PROGRAM_BYTES
    if memory is None or all_at_once <= memory:
        return Needs(all_at_once, 0)
    return Needs(memory, int(numbers + rows + ngrams * _NGRAM_BYTES))


def fits(
    text_bytes: int | None, order: int, memory: int, unit: str | os.PathLike[str] = "word"
) -> bool:
    """Whether a text can be worked on in memory; one of unknown size is taken to be too large."""
    return text_bytes is not None and (
        expected_needs(text_bytes, order, unit=unit).memory <= memory
    )


def parse_size(text: str | int) -> int:
    """Bytes of a size such as ``"2G"``, ``"500M"``, or a plain number.

    Raises:
        SeqlabError: it is not a size, or below 512 MB, about what the program takes itself.

    Example:
        >>> parse_size("1.5G")
        1610612736
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    if match is None:
        raise SeqlabError(f"memory={text!r} must be a size such as 1.5G or 800M")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    check_at_least("memory", size, 2**29, "it is in bytes, the program's own included; give 512M")
    return size
