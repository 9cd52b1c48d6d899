"""Features of many recordings, one after another or in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, cast

import torch

from seqlab.contracts import Frontend
from seqlab.data.feature_inputs import FeatureInput
from seqlab.data.feature_storage import FORMATS, is_finished, partial_path, write_array
from seqlab.data.feature_stream import feature_blocks, frame_count, measure
from seqlab.errors import DataError, SeqlabError

Picture = Callable[[Path, Path, Frontend, str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    path: str  # of its features
    frames: int = 0
    seconds: float = 0.0
    sample_rate: int = 0  # of the recording
    file_seconds: float = 0.0  # of the whole file
    skipped: bool = False  # it was finished before
    error: str | None = None


@dataclass(frozen=True)
class Extraction:
    """How recordings become files of features; goes to worker processes.

    Args:
        frontend: on the CPU.
        folder: where to.
        storage: "npy", "npz" or "lhotse".
        resample: bring recordings to the front end's rate, instead of refusing them.
        since_ns: files changed at this time or later are finished; None: begin afresh.
        draw: writes a picture, given the features' path, the picture's, the front end and a
            title; a function of a module, for workers to find.
    """

    frontend: Frontend
    folder: Path
    storage: str = "npy"
    resample: bool = False
    since_ns: int | None = None
    draw: Picture | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the front end's arguments: its buffers need not travel."""
        frontend = self.frontend
        rest = (self.folder, self.storage, self.resample, self.since_ns, self.draw)
        return _rebuild, (type(frontend), frontend.constructor_arguments, rest)

    def target(self, item: FeatureInput) -> Path:
        """Where the features of a recording go."""
        return self.folder / f"{item.key}{FORMATS[self.storage]}"

    def picture(self, item: FeatureInput) -> Path:
        """Where its picture goes."""
        return self.folder / f"{item.key}.png"

    def run(self, item: FeatureInput) -> Outcome:
        """Write the features of one recording, unless they are finished.

        A recording that cannot be used is an outcome with an error; older features of it go.

        Raises:
            OSError: the folder cannot be written to.
        """
        target = self.target(item)
        try:
            with torch.inference_mode():
                return self._run(item, target)
        except SeqlabError as error:
            target.unlink(missing_ok=True)
            text = str(error)
            return Outcome(str(target), error=text if item.path in text else f"{item.path}: {text}")

    def _run(self, item: FeatureInput, target: Path) -> Outcome:
        part = measure(item.path, item.start_s, item.duration_s)
        frames = frame_count(self.frontend, part, self.resample)
        skipped = self._is_finished(item, frames)
        if not skipped:
            blocks = feature_blocks(self.frontend, part, self.resample)
            arrays = (block.numpy() for block in blocks)
            write_array(target, arrays, frames, self.frontend, part.seconds)
            if self.draw is not None and frames:
                self.draw(target, self.picture(item), self.frontend, Path(item.path).name)
        return Outcome(
            str(target),
            frames,
            part.seconds,
            part.sample_rate,
            part.file_samples / part.sample_rate,
            skipped,
        )

    def _is_finished(self, item: FeatureInput, frames: int) -> bool:
        if self.since_ns is None:
            return False
        since_ns = max(self.since_ns, os.stat(item.path).st_mtime_ns)
        shape = (frames, self.frontend.output_dim)
        if not is_finished(self.target(item), shape, since_ns):
            return False
        return self.draw is None or frames == 0 or self.picture(item).exists()


def _rebuild(kind: type[Frontend], arguments: dict[str, Any], rest: tuple[Any, ...]) -> Extraction:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said once, where the front end was first made
        return Extraction(kind(**arguments), *rest)


def run_all(
    extraction: Extraction, items: Sequence[FeatureInput], jobs: int = 1
) -> Iterator[tuple[int, Outcome]]:
    """Write the features of all recordings.

    Each process computes on one thread, so that neither their number nor the machine's changes a
    bit. Workers are started afresh, not forked; they end with this process, however it ends.

    Args:
        extraction: what to do with each.
        items: recordings.
        jobs: processes; 1: this one, above: that many more.

    Yields:
        Number and outcome of each recording, as they are finished.

    Raises:
        DataError: a worker was killed.
        OSError: the folder cannot be written to.
    """
    if jobs == 1 or len(items) < 2:
        with _one_thread():
            for index, item in enumerate(items):
                yield index, extraction.run(item)
        return
    pool = _Pool(extraction, min(jobs, len(items)))
    try:
        yield from pool.run(items)
    finally:
        pool.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _ignoring_ctrl_c() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C from their first moment: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Pool:
    """Worker processes, each with a pipe of its own, so that it is known who works on what."""

    def __init__(self, extraction: Extraction, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.extraction = extraction
        self.processes: dict[Connection, SpawnProcess] = {}
        self.busy: dict[Connection, tuple[int, FeatureInput]] = {}
        with _ignoring_ctrl_c():
            for _ in range(jobs):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(extraction, theirs), daemon=True)
                process.start()
                theirs.close()
                self.processes[ours] = process

    def run(self, items: Sequence[FeatureInput]) -> Iterator[tuple[int, Outcome]]:
        """Hand out recordings, one at a time to each worker, and collect outcomes."""
        waiting = iter(enumerate(items))
        for pipe in self.processes:
            self._give(pipe, next(waiting, None))
        while self.busy:
            for ready in wait(list(self.busy)):
                pipe = cast("Connection", ready)
                outcome = self._take(pipe)
                index, _ = self.busy.pop(pipe)
                self._give(pipe, next(waiting, None))
                yield index, outcome

    def _give(self, pipe: Connection, job: tuple[int, FeatureInput] | None) -> None:
        if job is None:
            return
        self.busy[pipe] = job
        with contextlib.suppress(OSError):  # it died; taking its outcome says so
            pipe.send(job[1])

    def _take(self, pipe: Connection) -> Outcome:
        try:
            outcome = pipe.recv()
        except (EOFError, OSError):
            process = self.processes[pipe]
            process.join()
            raise DataError(
                f"the worker process for {self.busy[pipe][1].path} ended with code "
                f"{process.exitcode} (-9: killed, perhaps for want of memory); go on with "
                "--resume and fewer --jobs"
            ) from None
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Outcome)
        return outcome

    def close(self) -> None:
        """End all workers at once; what they had half written goes."""
        for pipe, process in self.processes.items():
            process.kill()
            process.join()
            pipe.close()
        for _, item in self.busy.values():
            for path in (self.extraction.target(item), self.extraction.picture(item)):
                with contextlib.suppress(OSError):
                    partial_path(path).unlink()


def _serve(extraction: Extraction, pipe: Connection) -> None:
    """Life of a worker: recordings in, outcomes out, until it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where starting could not see to it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    while True:
        try:
            pipe.send(extraction.run(pipe.recv()))
        except Exception as error:
            error.add_note(traceback.format_exc())
            pipe.send(error)


def _end_with_parent() -> None:
    """Leave at once when the parent is gone: nobody may write beside a resumed run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
