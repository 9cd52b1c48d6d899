"""Counting the n-grams of a text, in memory or, where the text outgrows it, by way of the disk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.kernels.link import child_starts, find_contexts
from seqlab.lm.ngram.kernels.scan import count_new, fill_levels
from seqlab.lm.ngram.ngrams import MAX_ROWS, Level, NGrams, unigram_level
from seqlab.lm.ngram.numbering import NumberedText, Progress
from seqlab.lm.ngram.runs import ROW_BYTES, RowShape, Run, merge_runs, shards, sort_run
from seqlab.lm.ngram.scratch import Scratch, chunks, release
from seqlab.lm.ngram.words import BEGIN

Result = TypeVar("Result")


@dataclass(frozen=True)
class Resources:
    """What counting may use.

    Args:
        scratch: where large arrays go.
        memory: bytes that sorting may take, or None for as many as it likes.
        threads: of the processor.
    """

    scratch: Scratch
    memory: int | None = None
    threads: int = 1

    def rows(self, shape: RowShape) -> int:
        """Rows that fit into the memory of one thread while they are sorted."""
        if self.memory is None:
            return MAX_ROWS
        return max(2**16, self.memory // self.threads // (ROW_BYTES + 8 * shape.parts))

    def share(self, work: Callable[[Any], Result], tasks: Sequence[Any]) -> Iterator[Result]:
        """Results of all tasks, in order."""
        if self.threads == 1 or len(tasks) < 2:
            yield from map(work, tasks)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(work, tasks)


def count_numbers(
    text: NumberedText, order: int, resources: Resources, progress: Progress | None = None
) -> NGramCounts:
    """Counts of the n-grams of a numbered text.

    The result does not depend on the memory or the threads.

    Args:
        text: word numbers.
        order: of the longest n-grams, 1 to 9.
        resources: what counting may use.
        progress: told how many words were sorted, then how many different rows were merged.

    Raises:
        DataError: more n-grams of one order than can be told apart by 32 bits.
    """
    shape = RowShape.of(order, len(text.words))
    runs = sorted_shards(text, shape, resources, progress)
    return counts_of_runs(text, runs, shape, resources)


def sorted_shards(
    text: NumberedText, shape: RowShape, resources: Resources, progress: Progress | None = None
) -> list[Run]:
    """The different rows of a text, cut by last words into runs that follow one another."""
    most = resources.rows(shape)
    if len(text.numbers) <= most:
        cuts = _cut_words(text.occurrences, resources.threads)
        tasks = list(itertools.pairwise(cuts))
        return list(
            resources.share(lambda cut: sort_run(text.numbers, shape, cut[0], cut[1]), tasks)
        )
    runs = [
        _kept(run, resources.scratch)
        for run in _runs_of_blocks(text.numbers, shape, most, resources, progress)
    ]
    pieces = shards(runs, shape, len(text.words), most)
    merged, done = [], 0
    for piece in pieces:
        merged.append(_kept(merge_runs(piece, shape), resources.scratch))
        release(*(array for run in piece for array in (run.keys, run.counts)))
        done += sum(map(len, piece))
        if progress is not None:
            progress("rows merged", done, sum(map(len, runs)))
    return merged


def _runs_of_blocks(
    numbers: NDArray[np.int32],
    shape: RowShape,
    most: int,
    resources: Resources,
    progress: Progress | None,
) -> Iterator[Run]:
    def sort_block(block: slice) -> Run:
        look_back = min(shape.order - 1, block.start)
        part = np.array(numbers[block.start - look_back : block.stop])
        return sort_run(part, shape, begin=look_back)

    blocks = list(chunks(len(numbers), most))
    for number, run in enumerate(resources.share(sort_block, blocks)):
        release(numbers)
        if progress is not None:
            progress("words sorted", blocks[number].stop, len(numbers))
        yield run


def _kept(run: Run, scratch: Scratch) -> Run:
    """The run in the arrays of the scratch."""
    if not scratch.on_disk:
        return run
    keys = scratch.empty(run.keys.shape, np.uint64)
    keys[:] = run.keys
    counts = scratch.empty(len(run), np.int32)
    counts[:] = run.counts
    release(keys, counts)
    return Run(keys, counts)


def _cut_words(occurrences: NDArray[np.int64], pieces: int) -> list[int]:
    """Cut the word numbers so that the words of each piece occur about equally often."""
    total = np.cumsum(occurrences)
    inner = np.searchsorted(total, total[-1] * np.arange(1, pieces) / pieces) + 1
    return [0, *(int(cut) for cut in np.unique(np.minimum(inner, len(total)))), len(total)]


def counts_of_runs(
    text: NumberedText, runs: Sequence[Run], shape: RowShape, resources: Resources
) -> NGramCounts:
    """Counts of the n-grams of runs that follow one another, of a text's words."""

    def sizes_of(run: Run) -> NDArray[np.int64]:
        sizes = np.zeros(shape.order, np.int64)
        count_new(run.keys, shape.order, shape.bits, shape.width, sizes)
        release(run.keys, run.counts)
        return sizes

    sizes = np.array(list(resources.share(sizes_of, runs)), np.int64).reshape(-1, shape.order)
    begins = np.cumsum(sizes, axis=0) - sizes
    totals = sizes.sum(axis=0)
    if totals.max(initial=0) > MAX_ROWS:
        raise DataError(
            f"{totals.max()} n-grams of one order must be at most {MAX_ROWS}; "
            "lower the order or use less text"
        )
    totals[0] = len(text.words)
    scratch = resources.scratch
    first = tuple(scratch.empty(size, np.int32) for size in totals)
    suffix = tuple(scratch.empty(size, np.int32) for size in totals)
    kind = np.int32 if len(text.numbers) <= MAX_ROWS else np.int64
    occurrences = tuple(scratch.zeros(size, kind) for size in totals)
    left_types = tuple(scratch.zeros(size, kind) for size in totals)

    def fill(task: tuple[Run, NDArray[np.int64]]) -> None:
        run, rows = task
        for array in (*first, *suffix, *occurrences, *left_types):
            release(array)
        fill_levels(
            run.keys, run.counts, shape.order, shape.bits, shape.width, rows,
            first, suffix, occurrences, left_types,
        )  # fmt: skip
        release(run.keys, run.counts)

    for _ in resources.share(fill, list(zip(runs, begins, strict=True))):
        pass
    occurrences[0][BEGIN] = text.occurrences[BEGIN]
    levels = _linked(text, first, suffix, scratch)
    return NGramCounts(NGrams(text.words, levels), occurrences, left_types[:-1])


def _linked(
    text: NumberedText,
    first: Sequence[NDArray[np.int32]],
    suffix: Sequence[NDArray[np.int32]],
    scratch: Scratch,
) -> tuple[Level, ...]:
    """The levels with the contexts of their k-grams."""
    levels = [unigram_level(text.words)]
    for k in range(1, len(first)):
        if k == 1:
            levels.append(Level(first[1], suffix[1], first[1]))  # the context of a b is a
            continue
        lower = levels[k - 1]
        starts = child_starts(lower.suffix, len(levels[k - 2]))
        context = scratch.empty(len(first[k]), np.int32)
        for part in chunks(len(first[k])):
            find_contexts(
                first[k][part], suffix[k][part], lower.first, lower.context, starts, context[part]
            )
            release(first[k], suffix[k], context)
        release(lower.first, lower.suffix, lower.context)
        levels.append(Level(first[k], suffix[k], context))
    return tuple(levels)


def default_threads() -> int:
    """Threads that counting uses unless told otherwise: at most four, since memory is the limit."""
    return min(4, os.cpu_count() or 1)
