"""What workers do when n-grams are counted across machines.

Each task is a pure function of files and numbers: it reads the text or files of earlier tasks and
writes files of its own, which appear all at once under a name that the task alone determines. So
any task may be done again, by any worker, at any time, and leaves the same bytes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.numbering import Numbering, number_text
from seqlab.lm.ngram.partitions import Partition, span_blocks
from seqlab.lm.ngram.runs import RowShape, Run, merge_runs, sort_run
from seqlab.lm.ngram.scratch import Scratch, chunks, release
from seqlab.lm.ngram.text import Unit, unit_parts

__all__ = [
    "MergeTask",
    "NumberTask",
    "Piece",
    "SortTask",
    "StoredRun",
    "load_run",
    "merge_pieces",
    "number_partition",
    "sort_partition",
    "written",
]


@dataclass(frozen=True)
class NumberTask:
    """Number the words of a partition by themselves.

    Args:
        partition: of the text.
        unit: what a word is.
        space: for characters, the word that stands for white space.
        marks: whether sentences have marks.
        folder: for files, seen by all machines.
        name: of the partition.
    """

    partition: Partition
    unit: Unit
    space: str
    marks: bool
    folder: str
    name: str


@dataclass(frozen=True)
class SortTask:
    """Sort and count the rows of a partition.

    Args:
        folder: of the files.
        name: of the partition.
        words: of the partition, how many numbers there are.
        shape: of the rows.
        rows: that are sorted at once, at most.
        cuts: word numbers at which runs will be cut into shards.
    """

    folder: str
    name: str
    words: int
    shape: RowShape
    rows: int
    cuts: tuple[int, ...]


@dataclass(frozen=True)
class StoredRun:
    """A run in a file.

    Args:
        path: of the file.
        rows: how many rows it has.
        places: where the rows begin that end in the words at which it is cut; () if it is not.
    """

    path: str
    rows: int
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Piece:
    """The rows ``begin`` to ``end`` - 1 of a run in a file that has ``rows`` of them."""

    path: str
    rows: int
    begin: int
    end: int


@dataclass(frozen=True)
class MergeTask:
    """Merge what several runs have between two cuts.

    Args:
        path: of the file to write.
        pieces: of the runs, at least one.
        shape: of the rows.
    """

    path: str
    pieces: tuple[Piece, ...]
    shape: RowShape

    @property
    def rows(self) -> int:
        """Of all pieces."""
        return sum(piece.end - piece.begin for piece in self.pieces)


def number_partition(task: NumberTask) -> int:
    """Write the numbers of a partition's words (``NAME.numbers``) and its words (``NAME.npz``).

    Returns:
        How many numbers there are, marks and gaps included.

    Raises:
        DataError: the text cannot be read or holds sentence marks.
    """
    _check_folder(task.folder)
    part = unit_parts(task.unit, task.space)
    blocks = (part(block) for span in task.partition for block in span_blocks(span))
    first = next(blocks, None)
    if first is None:  # packed files may hold nothing
        return 0
    with Scratch(task.folder) as scratch:
        try:
            text = number_text(
                itertools.chain([first], blocks), Numbering(marks=task.marks), scratch
            )
        except DataError as error:
            raise DataError(f"{error}; that text is {_told(task.partition)}") from None
        with written(_numbers(task.folder, task.name)) as file:
            for place in chunks(len(text.numbers)):
                file.write(np.ascontiguousarray(text.numbers[place]).data)
                release(text.numbers)
    with written(os.path.join(task.folder, f"{task.name}.npz")) as file:
        np.savez(
            file, store=text.words.store, starts=text.words.starts, occurrences=text.occurrences
        )
    return len(text.numbers)


def _told(partition: Partition) -> str:
    parts = []
    for span in partition[:3]:
        of = "all" if span.end is None else f"bytes {span.begin} to {span.end}"
        parts.append(f"{of} of {span.path}")
    return ", ".join(parts) + (", ..." if len(partition) > 3 else "")


def _check_folder(folder: str) -> None:
    if not os.path.isdir(folder):
        raise DataError(
            f"folder {folder} is not to be found on worker {socket.gethostname()}; name as "
            "scratch_folder one that all machines share"
        )


def _numbers(folder: str, name: str) -> str:
    return os.path.join(folder, f"{name}.numbers")


def sort_partition(task: SortTask) -> list[StoredRun]:
    """Write the runs of a partition, one for each stretch of it that can be sorted at once."""
    new = np.load(os.path.join(task.folder, f"{task.name}.npy"))
    runs: list[StoredRun] = []
    for block in chunks(task.words, task.rows):
        look_back = min(task.shape.order - 1, block.start)
        begin = block.start - look_back
        numbers = np.fromfile(
            _numbers(task.folder, task.name), np.int32, block.stop - begin, offset=4 * begin
        )
        run = sort_run(new[numbers], task.shape, begin=look_back)
        if len(run):
            path = os.path.join(task.folder, f"{task.name}.{len(runs)}.run")
            places = run.places(np.array(task.cuts, np.int64), task.shape)
            _store_run(run, path)
            runs.append(StoredRun(path, len(run), tuple(places.tolist())))
    return runs


def merge_pieces(task: MergeTask) -> StoredRun:
    """Write the run of one shard, merged from those of the partitions."""
    runs = [
        load_run(piece.path, piece.rows, task.shape).between(piece.begin, piece.end)
        for piece in task.pieces
    ]
    run = merge_runs(runs, task.shape)
    _store_run(run, task.path)
    return StoredRun(task.path, len(run))


def _store_run(run: Run, path: str) -> None:
    """Keys, part after part, and then counts."""
    with written(path) as file:
        for array in (*run.keys, run.counts):
            file.write(np.ascontiguousarray(array).data)


def load_run(path: str, rows: int, shape: RowShape) -> Run:
    """The run of a file, which is read where it is used; at least one row."""
    # "c": changes, of which there are none, would stay in memory; loops are compiled for arrays
    # that may be written
    keys: NDArray[np.uint64] = np.memmap(path, np.uint64, "c", 0, (shape.parts, rows))
    counts: NDArray[np.int32] = np.memmap(path, np.int32, "c", keys.nbytes, (rows,))
    return Run(keys, counts)


@contextlib.contextmanager
def written(path: str) -> Iterator[BinaryIO | Any]:
    """A file that appears under ``path`` when all of it is written, or not at all."""
    temporary = f"{path}.{uuid.uuid4().hex}"
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
