"""Stopping on Ctrl-C or SIGTERM between two steps, never within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class TrainingInterrupted(KeyboardInterrupt):
    """Training stopped on request; a checkpoint is saved and the message says how to go on."""


@dataclass
class StopRequest:
    """Whether somebody asked the training to stop."""

    requested: bool = False


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one interrupts at once.

    Outside the main thread, where signal handlers cannot be set, the request never comes.

    Yields:
        The request, to be looked at between two steps.
    """
    stop = StopRequest()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, request)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
