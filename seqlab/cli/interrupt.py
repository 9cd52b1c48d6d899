"""Ctrl-C that always stops a command, and never in a place where that would break something.

Python raises KeyboardInterrupt wherever the main thread happens to be. Within an import, modules
written in C turn it into an ImportError; within a callback from C or a finalizer it is printed and
lost, and the command goes on as if nothing had been pressed.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["interruptible"]

RETRY_S = 0.02
IMPATIENT = 3  # so many presses of Ctrl-C are obeyed wherever the program is
UNSAFE = ("importlib", "llvmlite")  # packages; and imports as such, and this module


class _Interrupter:
    """Raises KeyboardInterrupt in the main thread as soon as it is at a safe place.

    Args:
        outer: the frame that waits for the work; where it is itself does not matter.
    """

    def __init__(self, outer: FrameType | None) -> None:
        self.held = False  # a press that is not obeyed yet
        self._outer = outer
        self._presses = 0  # not obeyed yet
        self._sent = False  # the signal on its way is the sender's
        self._sending = False
        self._over = False
        self._lock = threading.Lock()  # never taken by the handler, which may interrupt its owner

    def pressed(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal, pressed by the user or sent again.

        Raises:
            KeyboardInterrupt: where it is safe.
        """
        self._presses += not self._sent
        self._sent = False
        if self._over or (self._presses < IMPATIENT and self._unsafe(frame)):
            self._hold()
            return
        self.held, self._presses = False, 0
        raise KeyboardInterrupt

    def lost(self, unraisable: Any) -> bool:
        """Whether Python could not raise a Ctrl-C; it comes again."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            return False
        self._hold()
        return True

    def close(self) -> None:
        """From now on presses are only noted, in ``held``."""
        with self._lock:
            self._over = True

    def _hold(self) -> None:
        self.held = True
        if not (self._sending or self._over):
            self._sending = True
            # Not by threading: its locks may be those of the very frame that is interrupted.
            _thread.start_new_thread(self._send, ())

    def _send(self) -> None:
        """Send the signal again whenever it is held, to the end."""
        while True:
            time.sleep(RETRY_S)
            with self._lock:
                if self._over:
                    return
                # Others may ignore the signal for a while.
                if self.held and signal.getsignal(signal.SIGINT) == self.pressed:
                    self._sent = True
                    _signal_main_thread()

    def _unsafe(self, frame: FrameType | None) -> bool:
        while frame is not None and frame is not self._outer:
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith("_frozen_importlib") or name == __name__:
                return True
            if name.partition(".")[0] in UNSAFE:
                return True
            frame = frame.f_back
        return False


def _signal_main_thread() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # wakes it up, too, where it waits for input or a lock
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, Ctrl-C raises KeyboardInterrupt at the next place that is safe, at the end at last.

    Left alone are the handlers of others: of threads that are not the main one, of shells that
    start a command in the background, where Ctrl-C is ignored.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    interrupter = _Interrupter(sys._getframe(2))  # 1 is contextlib's
    hook = sys.unraisablehook

    def report(unraisable: Any) -> None:
        if not interrupter.lost(unraisable):
            hook(unraisable)

    try:
        signal.signal(signal.SIGINT, interrupter.pressed)
        sys.unraisablehook = report
        yield
    finally:
        interrupter.close()
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupter.held:
        raise KeyboardInterrupt
