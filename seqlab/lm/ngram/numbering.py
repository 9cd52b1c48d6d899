"""A text as word numbers: which words there are, and what stands for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least, check_choice
from seqlab.errors import DataError
from seqlab.lm.ngram.scratch import Scratch, chunks, release
from seqlab.lm.ngram.words import GAP, SPECIAL, UNKNOWN, Words

Unknown = Literal["class", "word", "gap"]
Progress = Callable[[str, int, int | None], None]  # what is done, how far, of how many


@dataclass(frozen=True)
class Numbering:
    """Which words a model knows, and what becomes of the others.

    Args:
        vocabulary: the words of the model; None takes all of the text.
        min_count: words of the text that occur less often are left out.
        unknown: what words left out, and ``<unk>`` in the text, are. ``"class"``: both are the
            word ``<unk>``. ``"word"``: ``<unk>`` in the text is a word like the others, and words
            left out are a gap. ``"gap"``: both are a gap, and no n-gram reaches across it.
        marks: whether sentences begin with ``<s>`` and end with ``</s>``. Without, a gap ends
            them.

    Raises:
        SeqlabError: a value out of its range.
    """

    vocabulary: tuple[str, ...] | None = None
    min_count: int = 1
    unknown: Unknown = "class"
    marks: bool = True

    def __post_init__(self) -> None:
        check_at_least("min_count", self.min_count, 1)
        check_choice("unknown", self.unknown, ("class", "word", "gap"))


@dataclass(frozen=True)
class NumberedText:
    """Word numbers of a text, and how often each word occurs.

    Args:
        words: the vocabulary.
        numbers: of all words, with BEGIN, END and GAP (N,), int32.
        occurrences: of each word (V,), int64; BEGIN counts sentences.
    """

    words: Words
    numbers: NDArray[np.int32]
    occurrences: NDArray[np.int64]


def number_text(
    blocks: Iterable[NDArray[np.uint8]],
    numbering: Numbering,
    scratch: Scratch,
    progress: Progress | None = None,
) -> NumberedText:
    """Read a text once and number its words in the order of their first occurrence.

    Args:
        blocks: of whole lines, each ending in a newline, as ``text_blocks`` gives them.
        numbering: which words to know.
        scratch: where the numbers are kept.
        progress: told how many words were read.

    Raises:
        DataError: the text holds no line, or sentence marks.
    """
    words = Words(numbering.vocabulary or ())
    fixed = len(words)
    stream = scratch.appended(np.int32)
    total, lines = 0, 0
    for block in blocks:
        try:
            numbers = words.numbers(block, learn=True, marks=numbering.marks)
        except DataError as error:
            raise DataError(f"{error} (counted from line {lines + 1} of the text)") from None
        stream.append(numbers)
        if not numbering.marks:
            stream.append(np.array([GAP], np.int32))
        total += len(numbers)
        lines += int(np.count_nonzero(block == ord("\n")))
        if progress is not None:
            progress("words read", total, None)
    if lines == 0:
        raise DataError("the text is empty; give at least one line")
    text = stream.array()
    occurrences = _occurrences(text, len(words))
    return _restrict(words, text, occurrences, fixed, numbering)


def _occurrences(numbers: NDArray[np.int32], num_words: int) -> NDArray[np.int64]:
    result = np.zeros(num_words + 1, np.int64)
    for part in chunks(len(numbers)):
        result += np.bincount(numbers[part] + 1, minlength=num_words + 1)
        release(numbers)
    return result[1:]


@dataclass(frozen=True)
class Restriction:
    """The words that a model knows, and what becomes of those of a text.

    Args:
        words: the vocabulary.
        numbers: new number of each word of the text, and GAP for GAP, which is last (V + 1,),
            int32.
    """

    words: Words
    numbers: NDArray[np.int32]


def restriction(
    words: Words, occurrences: NDArray[np.int64], fixed: int, numbering: Numbering
) -> Restriction | None:
    """Which words of a text a model is to know, and what stands for the others.

    Args:
        words: of the text, after those that were given.
        occurrences: of each word in the text (V,), int64.
        fixed: how many words there were before the text was read.
        numbering: which words to know.

    Returns:
        None where all words stay as they are.
    """
    number = np.arange(len(words))
    known = number < fixed if numbering.vocabulary is not None else number >= 0
    special = number < len(SPECIAL)
    kept = special | (known & (occurrences >= numbering.min_count))
    if numbering.vocabulary is not None:
        kept |= (number < fixed) & (numbering.min_count == 1)  # a word given is known, seen or not
    if kept.all() and (numbering.unknown != "gap" or not occurrences[UNKNOWN]):
        return None
    left_out = UNKNOWN if numbering.unknown == "class" else GAP
    new = np.where(kept, np.cumsum(kept) - 1, left_out).astype(np.int32)
    if numbering.unknown == "gap":
        new[UNKNOWN] = GAP
    if not kept.all():
        words = Words(words[int(n)] for n in np.flatnonzero(kept)[len(SPECIAL) :])
    return Restriction(words, np.append(new, np.int32(GAP)))


def _restrict(
    words: Words,
    text: NDArray[np.int32],
    occurrences: NDArray[np.int64],
    fixed: int,
    numbering: Numbering,
) -> NumberedText:
    """Leave the words that a model is to know, and put what stands for the others in the text."""
    restricted = restriction(words, occurrences, fixed, numbering)
    if restricted is None:
        return NumberedText(words, text, occurrences)
    for part in chunks(len(text)):
        text[part] = restricted.numbers[text[part]]
        release(text)
    return NumberedText(restricted.words, text, _occurrences(text, len(restricted.words)))


__all__ = [
    "NumberedText",
    "Numbering",
    "Progress",
    "Restriction",
    "Unknown",
    "number_text",
    "restriction",
]
