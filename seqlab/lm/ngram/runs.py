"""Sorted runs: the different rows of a text, or of a part of it, in suffix order with counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.kernels.rows import (
    first_keys,
    merge_equal,
    next_keys,
    refine,
    reorder,
    sort_keys,
)
from seqlab.lm.ngram.scratch import release

ROW_BYTES = 36  # of memory for each row while rows of one key are sorted, and 8 for each key more
_MOST = 2**31 - 1


@dataclass(frozen=True)
class RowShape:
    """How rows of words are packed into 64-bit keys.

    Args:
        order: words of a row, at most.
        bits: of each word.
    """

    order: int
    bits: int

    @classmethod
    def of(cls, order: int, num_words: int) -> RowShape:
        """The shape for words numbered below ``num_words``; a word is packed as its number + 1."""
        return cls(order, int(num_words).bit_length())

    @property
    def width(self) -> int:
        """Words of a key: what one sort looks at; more would cost passes that few rows need."""
        return min(3, 64 // self.bits, self.order)

    @property
    def parts(self) -> int:
        """Keys of a row."""
        return -(-self.order // self.width)


@dataclass(frozen=True)
class Run:
    """Different rows in suffix order.

    Args:
        keys: of each row (parts, R), uint64.
        counts: how often each occurs (R,), int32.
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.counts)

    def places(self, words: NDArray[np.int64], shape: RowShape) -> NDArray[np.int64]:
        """Where the rows that end in each of ``words`` begin."""
        codes = (words.astype(np.uint64) + np.uint64(1)) << np.uint64(
            shape.bits * (shape.width - 1)
        )
        return np.searchsorted(self.keys[0], codes).astype(np.int64)

    def between(self, begin: int, end: int) -> Run:
        """The rows ``begin`` to ``end`` - 1."""
        return Run(self.keys[:, begin:end], self.counts[begin:end])


def sort_run(
    numbers: NDArray[np.int32], shape: RowShape, low: int = 0, high: int = _MOST, begin: int = 0
) -> Run:
    """Rows of a text, sorted and counted.

    Args:
        numbers: of the words, with BEGIN, END and GAP (N,).
        shape: of the rows.
        low: smallest number of a last word.
        high: number after the largest of a last word.
        begin: place of the first last word; those before are only looked back on.

    Returns:
        The rows that end at numbers[begin:] in a word of [low, high).
    """
    tail = numbers[begin:]
    count = int(np.count_nonzero((tail >= low) & (tail < high)))
    keys = np.empty((shape.parts, count), np.uint64)
    places = np.empty(count, np.int32)
    count = first_keys(numbers, begin, low, high, shape.bits, shape.width, keys[0], places)
    keys, places = keys[:, :count], places[:count]
    spare, spare_places = np.empty(count, np.uint64), np.empty(count, np.int32)
    if sort_keys(keys[0], places, spare, spare_places, shape.bits * shape.width):
        keys[0] = spare
        places, spare_places = spare_places, places
    for part in range(1, shape.parts):
        next_keys(numbers, places, keys, part, shape.order, shape.bits, shape.width)
        refine(keys, places, part, spare, spare_places)
    del spare, spare_places, places
    return _counted(keys, np.ones(count, np.int32))


def merge_runs(runs: Sequence[Run], shape: RowShape) -> Run:
    """One run of the rows of several, whichever parts of the text they come from."""
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([run.keys for run in runs], axis=1)
    counts = np.concatenate([run.counts for run in runs])
    places = np.arange(len(counts), dtype=np.int32)
    spare, spare_places = np.empty(len(counts), np.uint64), np.empty_like(places)
    if sort_keys(keys[0], places, spare, spare_places, shape.bits * shape.width):
        keys[0] = spare
        places, spare_places = spare_places, places
    for part in range(1, shape.parts):
        reorder(keys[part], places, spare)
        keys[part] = spare
        refine(keys, places, part, spare, spare_places)
    return _counted(keys, counts[places])


def _counted(keys: NDArray[np.uint64], counts: NDArray[np.int32]) -> Run:
    kept = merge_equal(keys, counts, _MOST)
    if kept < 0:
        raise DataError(f"an n-gram occurs more than {_MOST} times; count parts of the text apart")
    return Run(keys[:, :kept], counts[:kept])


def shards(runs: Sequence[Run], shape: RowShape, num_words: int, rows: int) -> Iterator[list[Run]]:
    """Cut runs at the same last words, so that the pieces together have about ``rows`` rows.

    A single last word may have more.
    """
    words = np.arange(num_words + 1, dtype=np.int64)
    found = []
    for run in runs:
        found.append(run.places(words, shape))
        release(run.keys)
    places = np.stack(found)
    total = places.sum(axis=0)
    begin = 0
    while begin < num_words:
        end = max(begin + 1, int(np.searchsorted(total, total[begin] + rows, "right")) - 1)
        end = min(end, num_words)
        if total[end] > total[begin]:
            yield [
                run.between(int(place[begin]), int(place[end]))
                for run, place in zip(runs, places, strict=True)
            ]
        begin = end
