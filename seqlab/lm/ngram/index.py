"""Hash tables of an n-gram model, in which a query costs one memory access per order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import ModelError
from seqlab.lm.ngram.kernels.index import (
    FULL,
    LINE,
    LINES,
    PACKED,
    TAIL,
    Tables,
    occupied,
    read_keys,
)
from seqlab.lm.ngram.kernels.lookup import find_slots, read_values
from seqlab.lm.ngram.ngrams import BackoffTable, Level, NGrams, unigram_level
from seqlab.lm.ngram.numbering import Progress
from seqlab.lm.ngram.quantise import CODES, Codebook
from seqlab.lm.ngram.scratch import Scratch, chunks, release
from seqlab.lm.ngram.table_rows import OrderRows
from seqlab.lm.ngram.tables import ATTEMPTS, OrderShape, aligned, enter_rows, fill_order
from seqlab.lm.ngram.words import Words

__all__ = ["QueryIndex", "order_shapes", "unigram_values"]

_REGION_SHARE = 6  # the part of the memory that the region of a table may take which is filled


@dataclass(frozen=True)
class QueryIndex:
    """An n-gram model in hash tables, from memory or from a file: what scores text.

    Built from a ``BackoffTable``; ``Scorer`` asks it.

    Args:
        words: the vocabulary.
        counts: how many k-grams there are, for k = 1, 2, ...
        tables: the arrays that compiled loops read.
        note: what the file says of the model, such as how it was estimated.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> words = Words(["a"])
        >>> log_prob = np.log(np.array([0.1, 0, 0.4, 0.5], np.float32) + 1e-9)
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> QueryIndex.build(table).order
        1
    """

    words: Words
    counts: tuple[int, ...]
    tables: Tables
    note: str = ""

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.counts)

    @property
    def quantised(self) -> bool:
        """Whether probabilities are rounded to one of a few hundred values for each order."""
        return bool(self.tables.stride != FULL)

    @property
    def unseen_backoff(self) -> float:
        """Log weight of a context that is no k-gram of the model."""
        return float(self.tables.unseen)

    @classmethod
    def build(
        cls,
        table: BackoffTable,
        quantise: bool = False,
        scratch: Scratch | None = None,
        progress: Progress | None = None,
    ) -> QueryIndex:
        """The index of a model.

        Args:
            table: the model.
            quantise: whether to round values, so that an n-gram takes 10 bytes instead of 24.
            scratch: where the tables go. On disk they are filled region by region, so that memory
                holds one region and a few bytes for each n-gram but the longest.
            progress: told ``"n-grams indexed"``, order by order.

        Raises:
            ModelError: more n-grams or words than can be numbered, or, to be quantised, longer
                keys than leave room for codes.
        """
        sizes = table.ngrams.sizes
        shapes = order_shapes(sizes, quantise)
        lines = sum(shape.length for shape in shapes)
        on_disk = scratch is not None and scratch.on_disk
        records = scratch.zeros(lines * LINE, np.uint64) if scratch and on_disk else aligned(lines)
        centres = np.zeros((table.order + 1, 2, CODES), np.float32)
        base, contexts = 0, np.arange(len(table.ngrams.words), dtype=np.uint32)
        for k, shape in enumerate(shapes, 2):
            if progress is not None:
                progress("n-grams indexed", sum(sizes[: k - 1]), sum(sizes))
            book = None
            if quantise:
                backoff = table.log_backoff[k - 1] if k < table.order else np.zeros(1, np.float32)
                book = Codebook.fit(table.log_prob[k - 1], backoff, shape.code_bits)
                centres[k] = book.padded()
            rows = OrderRows(table, k, contexts)
            place = records[base * LINE : (base + shape.length) * LINE]
            region = scratch.memory // _REGION_SHARE // 64 if scratch and on_disk else shape.lines
            shapes[k - 2] = _fill(rows, shape, book, place, region)
            contexts, base = rows.slots, base + shape.length
        return cls.of_arrays(
            table.ngrams.words, table.ngrams.sizes, shapes, records, unigram_values(table),
            centres, table.unseen_backoff,
        )  # fmt: skip

    @classmethod
    def of_arrays(
        cls,
        words: Words,
        counts: tuple[int, ...],
        shapes: list[OrderShape],
        records: NDArray[np.uint64],
        unigrams: NDArray[np.float32],
        centres: NDArray[np.float32],
        unseen_backoff: float,
        note: str = "",
    ) -> QueryIndex:
        """The index whose arrays are there; see ``Tables``. They are not copied."""
        order = len(counts)
        rows, base = np.zeros((order + 1, len(OrderShape.of(0, 1, 1).row(0))), np.uint64), 0
        for k, shape in enumerate(shapes, 2):
            rows[k] = shape.row(base)
            base += shape.length
        bits = np.uint64(shapes[0].word_bits if shapes else 1)
        stride = np.uint64(PACKED if shapes and shapes[0].code_bits else FULL)
        tables = Tables(
            _read_only(records), _read_only(records.view(np.float32)), _read_only(unigrams),
            _read_only(centres), _read_only(rows), bits, stride, order, len(words),
            np.float32(unseen_backoff),
        )  # fmt: skip
        return cls(words, tuple(counts), tables, note)

    def to_table(self) -> BackoffTable:
        """The model's sorted n-grams, as they were before ``build``.

        Raises:
            ModelError: the tables contradict themselves; they come from a file that was forged.
        """
        level = unigram_level(self.words)
        links = _Links(level.first, level.first, level.first)
        levels, log_prob = [level], [self.tables.unigrams[::2].copy()]
        log_backoff = [self.tables.unigrams[1::2].copy()]
        for k in range(2, self.order + 1):
            slots = self._occupied(k)
            level, order, links = self._level(k, slots, links)
            levels.append(level)
            values = np.empty((2, len(slots)), np.float32)
            read_values(self.tables, k, slots[order], values)
            log_prob.append(values[0])
            log_backoff.append(values[1])
        ngrams = NGrams(self.words, tuple(levels))
        weights = tuple(log_backoff[: self.order - 1])
        return BackoffTable(ngrams, tuple(log_prob), weights, self.unseen_backoff)

    def _occupied(self, k: int) -> NDArray[np.int64]:
        """Slots of order k that hold a k-gram, rising."""
        slots = np.empty(self.counts[k - 1], np.int64)
        count = occupied(self.tables, k, slots)
        if count != len(slots):
            raise ModelError(
                f"the table of the {k}-grams holds {count}, must hold {len(slots)}; it was forged "
                "or written by a broken program, build it anew"
            )
        return slots

    def _level(
        self, k: int, slots: NDArray[np.int64], below: _Links
    ) -> tuple[Level, NDArray[np.int64], _Links]:
        """Level k of the k-grams in ``slots``, their order in it, and its links."""
        contexts, words = np.empty(len(slots), np.int64), np.empty(len(slots), np.int64)
        read_keys(self.tables, k, slots, contexts, words)
        rows = _looked_up(k, below.ranks, contexts)
        if k == 2:
            suffixes = words
        else:
            suffixes = np.empty(len(slots), np.int64)
            find_slots(self.tables, k - 1, below.suffixes[rows], words, suffixes)
        suffix_rows, first = _looked_up(k, below.ranks, suffixes), below.first[rows]
        pairs = suffix_rows.astype(np.int64) << 32 | first
        order = np.argsort(pairs)
        if (np.diff(pairs[order]) == 0).any():
            raise _contradiction(k)
        row = self.tables.shape[k]
        places = int(row[LINES] + row[TAIL]) * LINE // int(self.tables.stride)
        ranks = np.full(places, -1, np.int32)
        ranks[slots[order]] = np.arange(len(slots), dtype=np.int32)
        level = Level(first[order], suffix_rows[order], rows[order])
        return level, order, _Links(ranks, suffixes[order], level.first)


class _Links(NamedTuple):
    """What finding the next longer k-grams needs of these: by slot and by row."""

    ranks: NDArray[np.int32]  # row of each slot, -1 where it is empty
    suffixes: NDArray[Any]  # slot, one order lower, of each row's suffix
    first: NDArray[np.int32]  # first word of each row


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view like those of files, so that the loops are compiled once for both."""
    view = array.view()
    view.setflags(write=False)
    return view


def _looked_up(k: int, ranks: NDArray[np.int32], slots: NDArray[np.int64]) -> NDArray[np.int32]:
    """Rows of these slots; ModelError where one is not there."""
    if len(slots) and not (slots.min() >= 0 and slots.max() < len(ranks)):
        raise _contradiction(k)
    rows = ranks[slots]
    if (rows < 0).any():
        raise _contradiction(k)
    return rows


def _contradiction(k: int) -> ModelError:
    return ModelError(
        f"a {k}-gram's words are no n-gram of the model, or it stands twice; the file was forged "
        "or written by a broken program, build it anew"
    )


def order_shapes(sizes: Sequence[int], quantise: bool) -> list[OrderShape]:
    """Shapes of the tables of the orders 2, 3, ... of a model with this many k-grams of each."""
    shapes: list[OrderShape] = []
    for count in sizes[1:]:
        contexts = shapes[-1].slots if shapes else sizes[0]
        shapes.append(OrderShape.of(count, sizes[0], contexts, quantise))
    return shapes


def unigram_values(table: BackoffTable) -> NDArray[np.float32]:
    """Log-probability and log back-off weight of each word in turn (2 V,)."""
    values = np.zeros((len(table.ngrams.words), 2), np.float32)
    values[:, 0] = table.log_prob[0]
    if table.order > 1:
        values[:, 1] = table.log_backoff[0]
    return values.ravel()


def _fill(
    rows: OrderRows,
    shape: OrderShape,
    book: Codebook | None,
    records: NDArray[np.uint64],
    region: int,
) -> OrderShape:
    """Fill an order's table region by region; returns the shape that fitted."""
    for attempt in range(ATTEMPTS):
        shape = shape.again(attempt)
        if region >= shape.lines:  # in place
            if enter_rows(rows.pieces(), shape, book, (0, shape.lines), records):
                return shape
            records[:] = 0
            continue
        begin = 0
        try:
            for part in fill_order(rows.pieces, shape, book, region):
                for piece in chunks(len(part)):
                    records[begin : begin + piece.stop - piece.start] = part[piece]
                    begin += piece.stop - piece.start
                    release(records)
        except OverflowError:
            continue
        return shape
    raise ModelError(
        f"the n-grams of one order do not spread over a hash table with any of {ATTEMPTS} hashes; "
        "they were chosen to do harm, or memory is damaged"
    )
