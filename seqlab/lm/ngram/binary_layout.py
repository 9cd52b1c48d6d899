"""Where the parts of a binary n-gram model lie, held against the length of the file."""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from seqlab.errors import ModelError
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.kernels.checksum import words_are_sound
from seqlab.lm.ngram.kernels.index import LINE
from seqlab.lm.ngram.ngrams import MAX_ORDER, MAX_ROWS
from seqlab.lm.ngram.quantise import CODES
from seqlab.lm.ngram.tables import LONGEST_TAIL, MAX_WORDS, OrderShape
from seqlab.lm.ngram.words import SPECIAL, Words

__all__ = ["PAGE", "Layout", "cut", "damaged", "padded"]

PAGE = 4096
_LONGEST_RUN = 1 << 16  # words that may stand in a row in the vocabulary's table
_LARGEST_FILE = 1 << 48


def padded(size: int) -> int:
    """The size up to the end of its last page."""
    return -(-size // PAGE) * PAGE


def cut(path: Path, size: int, whole: str) -> ModelError:
    """The error for a file of the wrong length."""
    return ModelError(f"{path} has {size} bytes, must have {whole}; it was cut, copy it again")


def damaged(path: Path, what: str) -> ModelError:
    """The error for a file with something that cannot be."""
    return ModelError(f"{path} has {what}; it is damaged, copy or build it anew")


class Layout:
    """Where the sections of a file lie, held against its size.

    Args:
        path: the file, for messages.
        description: its bytes.
        size: length of the file.
        begin: where the sections begin.

    Raises:
        ModelError: the description contradicts itself or the length of the file.
    """

    def __init__(self, path: Path, description: bytes, size: int, begin: int) -> None:
        self.path, self.begin = path, begin
        try:
            fields = json.loads(description)
            self.counts = _integers(fields["counts"], 0, MAX_ROWS)
            self.quantised = fields["quantised"] is True
            self.unseen = float(fields["unseen_backoff"])
            self.note = str(fields["note"])
            (word_bytes,) = _integers([fields["word_bytes"]], 1, _LARGEST_FILE)
            (word_table,) = _integers([fields["word_table"]], 1, 1 << 31)
            if not 1 <= len(self.counts) <= MAX_ORDER or not math.isfinite(self.unseen):
                raise ValueError
            if not len(SPECIAL) <= self.counts[0] <= MAX_WORDS or word_table & (word_table - 1):
                raise ValueError
            self.shapes = self._shapes(fields["orders"])
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise damaged(path, "a description that is none") from error
        words, order = self.counts[0], len(self.counts)
        lengths: list[tuple[type[np.generic], int]] = [
            (np.int64, words + 1), (np.uint64, words), (np.int32, word_table),
            (np.uint8, word_bytes), (np.float32, 2 * words), (np.float32, (order + 1) * 2 * CODES),
            (np.uint64, sum(shape.length for shape in self.shapes) * LINE),
        ]  # fmt: skip
        self.sections, place = [], begin
        for kind, length in lengths:
            self.sections.append((kind, length, place))
            place += padded(length * np.dtype(kind).itemsize)
        if place != size:
            raise cut(path, size, str(place))
        self.words_end = self.sections[4][2]

    def _shapes(self, orders: Any) -> list[OrderShape]:
        shapes: list[OrderShape] = []
        if len(orders) != len(self.counts) - 1:
            raise ValueError
        for count, (lines, tail, multiplier) in zip(self.counts[1:], orders, strict=True):
            _integers([lines], 1, (1 << 32) - 1)
            _integers([tail], 1, LONGEST_TAIL)
            _integers([multiplier], 0, (1 << 64) - 1)
            contexts = shapes[-1].slots if shapes else self.counts[0]
            shape = OrderShape.of(count, self.counts[0], contexts, self.quantised)
            shape = shape.resized(lines, tail, multiplier)
            if shape.slots >= 1 << 32:
                raise ValueError
            shapes.append(shape)
        return shapes

    def opened(self, pages: mmap.mmap, copied: mmap.mmap) -> tuple[Words, QueryIndex]:
        """The words and the index; ModelError where the words could do harm."""
        starts, hashes, table, store, unigrams, centres, records = (
            # words may be learnt, so theirs are private copies of the pages that are written
            np.frombuffer(copied if i < 4 else pages, kind, length, place)
            for i, (kind, length, place) in enumerate(self.sections)
        )
        first = "".join(SPECIAL).encode()
        sound = words_are_sound(starts, len(store), table, min(_LONGEST_RUN, len(table)))
        marks = np.cumsum([0, *(len(word) for word in SPECIAL)])
        if not sound or store[: len(first)].tobytes() != first or (starts[:4] != marks).any():
            raise damaged(self.path, "words that contradict themselves")
        words = Words.from_bytes(store, starts, hashes, table)
        index = QueryIndex.of_arrays(
            words, self.counts, self.shapes, records, unigrams,
            centres.reshape(len(self.counts) + 1, 2, CODES), self.unseen, self.note,
        )  # fmt: skip
        return words, index


def _integers(values: Any, low: int, high: int) -> tuple[int, ...]:
    """The values as a tuple; ValueError unless all are integers within [low, high]."""
    result = tuple(values)
    if not all(type(value) is int and low <= value <= high for value in result):
        raise ValueError
    return result
