"""The steps of counting n-grams across machines, as the one sees them who gives out the tasks."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, MissingDependencyError, SeqlabError
from seqlab.lm.ngram.counting import Resources
from seqlab.lm.ngram.distributed_tasks import (
    MergeTask,
    NumberTask,
    Piece,
    SortTask,
    StoredRun,
    merge_pieces,
    number_partition,
    sort_partition,
    written,
)
from seqlab.lm.ngram.needs import parse_size
from seqlab.lm.ngram.numbering import NumberedText, Numbering, Progress, restriction
from seqlab.lm.ngram.partitions import Partition, partition_files
from seqlab.lm.ngram.runs import RowShape
from seqlab.lm.ngram.scratch import Scratch, chunks
from seqlab.lm.ngram.text import TextSource, source_size, text_blocks
from seqlab.lm.ngram.words import GAP, SPECIAL, Words

if TYPE_CHECKING:
    from seqlab.lm.ngram.estimation import Estimation

__all__ = ["Job", "dask_distributed"]

PARTITION_BYTES = 2**26  # of text, at most, unless a number of partitions is asked for
TASK_MEMORY = 2**29  # bytes that sorting takes on a worker, unless the estimation has a limit
PER_THREAD = 4  # tasks of a step for each thread, so that none waits long for the last one
PATIENCE_S = 30.0  # for a task, before it is asked whether there is any worker, and for that

Result = TypeVar("Result")


def dask_distributed() -> Any:
    """The module of Dask that is used.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import dask.distributed
    except ImportError as error:
        raise MissingDependencyError(
            "counting across machines needs dask.distributed; run pip install "
            f'"seqlab[distributed]" here and on all workers ({error})'
        ) from None
    return dask.distributed


@dataclasses.dataclass(frozen=True)
class Job:
    """Counting one text."""

    client: Any
    folder: str
    estimation: Estimation
    progress: Progress

    def partitions(self, source: TextSource, count: int | None) -> list[Partition]:
        """The text, cut; one that is no files is written first."""
        size = source_size(source)
        paths: Sequence[str | os.PathLike[str]]
        if size is None:
            paths = [os.path.join(self.folder, "text")]
            with written(os.fspath(paths[0])) as file:
                for block in text_blocks(source):
                    file.write(block.data)
            size = os.path.getsize(paths[0])
        else:
            one = isinstance(source, str | os.PathLike)
            paths = [source] if one else list(source)  # type: ignore[list-item, arg-type]
        target = -(-size // (count or PER_THREAD * self.threads()))
        return partition_files(paths, max(1, target if count else min(target, PARTITION_BYTES)))

    def threads(self) -> int:
        """Of all workers there are now."""
        return max(1, sum(map(int, self.client.nthreads().values())))

    def numbered(
        self, cut: Sequence[Partition], numbering: Numbering
    ) -> tuple[NumberedText, list[int]]:
        """The vocabulary of the text, without its numbers, and how many each partition has.

        What becomes of a partition's own numbers is left in ``NAME.npy``.
        """
        estimation = self.estimation
        space, marks = estimation.space, numbering.marks
        unit = estimation.unit
        if os.path.isfile(unit):
            unit = os.path.abspath(unit)
        tasks = [
            NumberTask(partition, unit, space, marks, self.folder, str(number))
            for number, partition in enumerate(cut)
        ]
        words = Words(numbering.vocabulary or ())
        fixed = len(words)
        occurrences = np.zeros(fixed, np.int64)
        counts: list[int] = []

        def add(count: int) -> None:
            nonlocal occurrences
            if count:
                occurrences = self._learn(words, occurrences, str(len(counts)))
            counts.append(count)
            self.progress("words read", sum(counts), None)

        self._all(number_partition, tasks, "words are numbered", add)
        if not any(counts):
            raise DataError("the text is empty; give at least one line")
        return self._restricted(words, occurrences, fixed, numbering, counts), counts

    def _learn(self, words: Words, occurrences: NDArray[np.int64], name: str) -> NDArray[np.int64]:
        """Enter the words of one partition; returns how often all occur so far."""
        with np.load(os.path.join(self.folder, f"{name}.npz")) as found:
            numbers = _entered(words, found["store"], found["starts"])
            result = np.zeros(len(words), np.int64)
            result[: len(occurrences)] = occurrences
            result[numbers[:-1]] += found["occurrences"]
        self._write_mapping(name, numbers)
        return result

    def _restricted(
        self,
        words: Words,
        occurrences: NDArray[np.int64],
        fixed: int,
        numbering: Numbering,
        counts: Sequence[int],
    ) -> NumberedText:
        """Leave the words that a model is to know, in the mappings of the partitions as well."""
        none = np.empty(0, np.int32)
        restricted = restriction(words, occurrences, fixed, numbering)
        if restricted is None:
            return NumberedText(words, none, occurrences)
        for name, count in enumerate(counts):
            if count:
                numbers = np.load(os.path.join(self.folder, f"{name}.npy"))
                self._write_mapping(str(name), restricted.numbers[numbers])
        new = restricted.numbers[:-1]
        total = np.zeros(len(restricted.words), np.int64)
        np.add.at(total, new[new >= 0], occurrences[new >= 0])
        return NumberedText(restricted.words, none, total)

    def _write_mapping(self, name: str, numbers: NDArray[np.int32]) -> None:
        with written(os.path.join(self.folder, f"{name}.npy")) as file:
            np.save(file, numbers)

    def merged(self, text: NumberedText, counts: Sequence[int], shape: RowShape) -> list[StoredRun]:
        """The different rows of the text, as runs that follow one another."""
        memory = self.estimation.memory
        limit = TASK_MEMORY if memory is None else parse_size(memory) // 2
        rows = Resources(Scratch(), limit).rows(shape)
        cuts = _cuts(text.occurrences, rows, PER_THREAD * self.threads())
        runs = self._sorted(counts, shape, rows, cuts)
        tasks = [
            MergeTask(os.path.join(self.folder, f"{shard}.merged"), _pieces(runs, shard), shape)
            for shard in range(len(cuts) - 1)
        ]
        tasks = [task for task in tasks if task.pieces]
        result: list[StoredRun] = []
        done = iter(itertools.accumulate(task.rows for task in tasks))
        total = sum(task.rows for task in tasks)

        def add(run: StoredRun) -> None:
            result.append(run)
            self.progress("rows merged", next(done), total)

        self._all(merge_pieces, tasks, "rows are merged", add)
        _remove(run.path for run in runs)
        return result

    def _sorted(
        self, counts: Sequence[int], shape: RowShape, rows: int, cuts: Sequence[int]
    ) -> list[StoredRun]:
        tasks = [
            SortTask(self.folder, str(name), count, shape, rows, tuple(cuts))
            for name, count in enumerate(counts)
            if count
        ]
        result: list[StoredRun] = []
        done = iter(itertools.accumulate(task.words for task in tasks))

        def add(runs: list[StoredRun]) -> None:
            result.extend(runs)
            self.progress("words sorted", next(done), sum(counts))

        self._all(sort_partition, tasks, "rows are sorted", add)
        for kind in ("numbers", "npy", "npz"):
            _remove(os.path.join(self.folder, f"{task.name}.{kind}") for task in tasks)
        return result

    def _all(
        self,
        work: Callable[[Any], Result],
        tasks: Sequence[Any],
        what: str,
        add: Callable[[Result], None],
    ) -> None:
        """Have all tasks done; ``add`` is given the results in order."""
        futures = self.client.map(work, tasks, pure=False)
        try:
            for future in futures:
                while not _finished(future):
                    self._wait_for_worker()
                add(_result(future, what))
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong before matters
                self.client.cancel(futures)
            raise

    def _wait_for_worker(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE_S)
        except TimeoutError:
            raise SeqlabError(
                f"the Dask scheduler has had no worker for {PATIENCE_S:.0f} s; start some with "
                "dask worker ADDRESS"
            ) from None


def _finished(future: Any) -> bool:
    """Whether a task is done or has failed; waits for that, but not for long."""
    try:
        future.exception(timeout=PATIENCE_S)
    except TimeoutError:
        return bool(future.done())
    except Exception:  # it was cancelled, as ``_result`` will tell
        return True
    return True


def _result(future: Any, what: str) -> Any:
    """What a worker has found; errors that a user can put right come as they are."""
    killed = dask_distributed().KilledWorker
    try:
        return future.result()
    except SeqlabError:
        raise
    except killed as error:
        raise SeqlabError(
            f"worker after worker died while {what}, as happens for want of memory; give each "
            f"more, set a lower memory, or cut the text into more partitions ({error})"
        ) from None
    except Exception as error:
        raise SeqlabError(
            f"a worker failed while {what}: {type(error).__name__}: {error}; see that all workers "
            "have this version of seqlab, and the scratch folder room"
        ) from error


def _entered(
    words: Words, store: NDArray[np.uint8], starts: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Numbers of words that lie in ``store``, entered where new; GAP is last (V + 1,)."""
    marks = len(SPECIAL)  # they have the same numbers everywhere
    pieces = [np.arange(marks, dtype=np.int32)]
    for part in chunks(len(starts) - 1 - marks, 2**20):
        ends = starts[marks + part.start : marks + part.stop + 1]
        lengths = np.diff(ends)
        text = np.full(ends[-1] - ends[0] + len(lengths), ord(" "), np.uint8)
        spaces = np.repeat(np.arange(len(lengths)), lengths)  # before each byte
        text[np.arange(len(spaces)) + spaces] = store[ends[0] : ends[-1]]
        pieces.append(words.numbers(text, learn=True))
    pieces.append(np.array([GAP], np.int32))
    return np.concatenate(pieces)


def _pieces(runs: Sequence[StoredRun], shard: int) -> tuple[Piece, ...]:
    pieces = (Piece(run.path, run.rows, *run.places[shard : shard + 2]) for run in runs)
    return tuple(piece for piece in pieces if piece.end > piece.begin)


def _cuts(occurrences: NDArray[np.int64], rows: int, least: int) -> list[int]:
    """Cut the word numbers into shards of at most ``rows`` rows, but for words that have more."""
    total = np.cumsum(occurrences)
    pieces = max(least, -(-int(total[-1]) // rows))
    inner = np.searchsorted(total, total[-1] * np.arange(1, pieces) / pieces) + 1
    inner = np.unique(inner[inner < len(total)])
    return [0, *(int(cut) for cut in inner), len(total)]


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
