"""Sharing the frames of a batch among threads."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from seqlab.frontend.kernel.lanes import SINGLES

Task = TypeVar("Task")

_TASK_FRAMES = 4096  # of a task at most, so that samples to be converted need little memory
_TASKS = 2  # of each thread, so that one that starts late leaves work to the others
_THREADING_FRAMES = 1024  # of each thread; below it, handing over costs more than it saves
_PROCESS = os.getpid()


def task_frames(frames: int) -> int:
    """Frames of one task out of so many: a multiple of those that go side by side."""
    threads = _threads(frames)
    tasks = threads * _TASKS if threads > 1 else 1
    return max(SINGLES, min(-(-frames // (tasks * SINGLES)) * SINGLES, _TASK_FRAMES))


def share(work: Callable[[Task], None], tasks: Iterable[Task], frames: int) -> None:
    """Do all tasks, ``frames`` in sum, in as many threads as torch may use and as pay.

    The calling thread is one of them; but not in a forked process, where the threads that torch
    has of its own are gone, and work that asks for them never ends.
    """
    waiting = deque(tasks)
    threads = min(_threads(frames), len(waiting))
    forked = os.getpid() != _PROCESS and torch.get_num_threads() > 1
    helpers = threads if forked else threads - 1
    inference = torch.is_inference_mode_enabled()  # what a thread must be told

    def help_out() -> None:
        with torch.inference_mode(inference):
            _work_off(waiting, work)

    futures = [_pool(helpers, os.getpid()).submit(help_out) for _ in range(helpers)]
    try:
        if not forked:
            _work_off(waiting, work)
    finally:
        for future in futures:
            if forked or not future.cancel():  # who has not begun by now has nothing left to do
                future.result()


def _work_off(waiting: deque[Task], work: Callable[[Task], None]) -> None:
    while waiting:
        try:
            task = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        work(task)


def _threads(frames: int) -> int:
    return max(1, min(torch.get_num_threads(), frames // _THREADING_FRAMES))


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads kept from call to call; those of a parent ``process`` do not survive a fork.

    Torch makes its own pool anew at the first use in a forked process, and two threads that come
    to that at once can find none; so it is asked for here, before there are any.
    """
    if process != _PROCESS:
        torch.set_num_threads(torch.get_num_threads())
    return ThreadPoolExecutor(threads, thread_name_prefix="seqlab-features")
