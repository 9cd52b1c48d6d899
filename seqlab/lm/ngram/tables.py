"""One order's hash table of an n-gram model: its sizes, and filling it in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import ModelError
from seqlab.lm.ngram.kernels.index import FLAGS, FULL, LINE, PACKED, insert
from seqlab.lm.ngram.ngrams import MAX_ROWS
from seqlab.lm.ngram.quantise import Codebook, code_bits_for

__all__ = [
    "ATTEMPTS",
    "LONGEST_TAIL",
    "MAX_WORDS",
    "OrderShape",
    "Rows",
    "aligned",
    "enter_rows",
    "fill_order",
]

LOAD, PACKED_LOAD = 0.67, 0.8  # k-grams per place
LONGEST_TAIL = 256  # lines that a query looks at; 2 ** 31 k-grams need about 50
MAX_WORDS = 1 << 28
ATTEMPTS = 16  # hashes that are tried


class Rows(NamedTuple):
    """Some of the k-grams of one order, in any order.

    Args:
        contexts: slots of their contexts one order lower (N,), uint32; word numbers for bigrams.
        words: their last words (N,), int32.
        log_prob: ln p (N,), float32.
        log_backoff: ln back-off weight as a context (N,), float32.
        marks: ``RIGHT`` where a longer k-gram begins with it and ``LEFT`` where one ends with it
            (N,), uint64.
    """

    contexts: NDArray[np.uint32]
    words: NDArray[np.int32]
    log_prob: NDArray[np.float32]
    log_backoff: NDArray[np.float32]
    marks: NDArray[np.uint64]


@dataclass(frozen=True)
class OrderShape:
    """Sizes of one order's hash table.

    Args:
        lines: home lines; see ``Tables``.
        tail: lines that are looked at from a home line on; ``lines + tail`` are stored.
        multiplier: of the hash.
        word_bits: bits of a word number in a key.
        key_bits: bits of a key.
        code_bits: bits of each of the two codes; 0 where records hold the values themselves.
    """

    lines: int
    tail: int
    multiplier: int
    word_bits: int
    key_bits: int
    code_bits: int = 0

    @classmethod
    def of(cls, count: int, words: int, contexts: int, packed: bool = False) -> OrderShape:
        """The shape for ``count`` k-grams of ``words`` words after ``contexts`` slots."""
        if count > MAX_ROWS or words > MAX_WORDS:
            raise ModelError(
                f"{count} n-grams of one order and {words} words must be at most {MAX_ROWS} and "
                f"{MAX_WORDS}; prune the model or cut its vocabulary"
            )
        room = (LINE * PACKED_LOAD) if packed else (LINE // FULL * LOAD)
        word_bits = max(1, (words - 1).bit_length()) if packed else MAX_WORDS.bit_length() - 1
        key_bits = (contexts << word_bits).bit_length() if packed else int(FLAGS) - 1
        bits = code_bits_for(key_bits) if packed else 0
        lines, tail = max(1, math.ceil(count / room)), max(1, min(count, LONGEST_TAIL))
        return cls(lines, tail, _multiplier(0), word_bits, key_bits, bits)

    def again(self, attempt: int) -> OrderShape:
        """Another hash, for a table in which too many k-grams met."""
        return replace(self, multiplier=_multiplier(attempt))

    def resized(self, lines: int, tail: int, multiplier: int) -> OrderShape:
        """The shape of a table that was made with these."""
        return replace(self, lines=lines, tail=tail, multiplier=multiplier)

    @property
    def length(self) -> int:
        """Lines that are stored."""
        return self.lines + self.tail

    @property
    def slots(self) -> int:
        """Places for k-grams in them."""
        return self.length * LINE // (PACKED if self.code_bits else FULL)

    def row(self, base: int) -> NDArray[np.uint64]:
        """As a row of ``Tables.shape``."""
        mask = (1 << self.key_bits) - 1
        row = [base, self.lines, self.tail, self.multiplier, mask, self.code_bits]
        return np.array(row, np.uint64)


def _multiplier(attempt: int) -> int:
    """An odd 64-bit number: the golden ratio's (Knuth 1973, 6.4), then SplitMix64's outputs."""
    mask = (1 << 64) - 1
    value = 0x9E3779B97F4A7C15 * (attempt + 1) & mask
    if attempt:
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & mask
        value ^= value >> 31
    return value | 1


def enter_rows(
    pieces: Iterable[tuple[Rows, NDArray[np.uint32]]],
    shape: OrderShape,
    book: Codebook | None,
    region: tuple[int, int],
    records: NDArray[np.uint64],
) -> bool:
    """Enter the k-grams whose home lines are in a region; False where too many met.

    Args:
        pieces: all k-grams of the order, and where to write their slots.
        shape: sizes of the table.
        book: codes of the values, for packed records.
        region: first home line, and one past the last.
        records: of the region's lines and ``shape.tail`` more; empty, or what was carried over.
    """
    stride, row = PACKED if book else FULL, shape.row(0)
    for rows, slots in pieces:
        marks = rows.marks
        if book:
            marks = marks | book.codes(rows.log_prob, rows.log_backoff)
        if not insert(
            records, records.view(np.float32), np.uint64(stride), np.uint64(region[0]),
            np.uint64(region[1]), row, np.uint64(shape.word_bits), rows.contexts, rows.words,
            marks, rows.log_prob, rows.log_backoff, slots,
        ):  # fmt: skip
            return False
    return True


def fill_order(
    read: Callable[[], Iterable[tuple[Rows, NDArray[np.uint32]]]],
    shape: OrderShape,
    book: Codebook | None = None,
    region: int = 1 << 20,
) -> Iterator[NDArray[np.uint64]]:
    """Records of one order's hash table, made region by region in bounded memory.

    Each region takes one pass over the k-grams; what overflows its end is carried to the next.

    Args:
        read: called for each region; gives all k-grams in pieces, and where to write their slots.
        shape: sizes of the table.
        book: codes of the values, for packed records.
        region: home lines to be held in memory at a time.

    Yields:
        The records from line 0 on, 64-bit numbers: all ``shape.length`` together. The memory is
        used again for the next ones.

    Raises:
        OverflowError: too many k-grams met in one place; take ``shape.again(...)``.
    """
    size = max(min(region, shape.lines), shape.tail)
    records = aligned(size + shape.tail)
    for low in range(0, shape.lines, size):
        high = min(low + size, shape.lines)
        if not enter_rows(read(), shape, book, (low, high), records):
            raise OverflowError(f"more than {shape.tail} lines met in one place")
        done = (high - low + (shape.tail if high == shape.lines else 0)) * LINE
        yield records[:done]
        carried = records[done : done + shape.tail * LINE].copy()
        records[:] = 0
        records[: len(carried)] = carried


def aligned(lines: int) -> NDArray[np.uint64]:
    """Zeros that fill this many whole lines of the cache."""
    memory = np.zeros((lines + 1) * LINE, np.uint64)
    skip = -memory.ctypes.data // memory.itemsize % LINE
    return memory[skip : skip + lines * LINE]
