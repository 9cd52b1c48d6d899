"""Ctrl-C is held back where it would break something, and is never lost.

What raises signals runs in processes of its own: a fault there must not stop the tests.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqlab.cli.interrupt import interruptible

# A shell that runs the tests in the background has them ignore Ctrl-C. `wait` ends by itself, so
# that a signal that does not come fails a test and does not block it.
START = """
import ctypes, os, signal, sys, threading, time, types
from seqlab.cli import interrupt
from seqlab.cli.interrupt import interruptible
signal.signal(signal.SIGINT, signal.default_int_handler)
def press():
    signal.raise_signal(signal.SIGINT)
def wait():
    for _ in range(2000):
        time.sleep(0.005)
    os._exit(9)
"""


def run(code: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What a process prints that runs ``code`` after ``START``."""
    command = [sys.executable, "-c", START + textwrap.dedent(code)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def printed(code: str, folder: Path | None = None) -> str:
    """Its standard output; it must not fail, nor print errors."""
    done = run(code, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.fixture
def restored() -> Iterator[None]:
    """The handler of SIGINT is afterwards what it was before."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """The folder of a module in whose body Ctrl-C is pressed."""
    path = tmp_path / "pressing.py"
    path.write_text(
        "import signal, sys\n"
        "for _ in range(sys.presses):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "sys.presses = -1\n",
        encoding="ascii",
    )
    return tmp_path


def test_an_import_is_not_broken(module: Path) -> None:
    code = """
    sys.presses = 1
    try:
        with interruptible():
            import pressing
            wait()
    except KeyboardInterrupt:
        print(sys.presses, "pressing" in sys.modules)
    """
    assert printed(code, module) == "-1 True"


def test_without_it_the_import_would_be_broken(module: Path) -> None:
    code = """
    sys.presses = 1
    try:
        import pressing
    except KeyboardInterrupt:
        print(sys.presses)
    """
    assert printed(code, module) == "1"


def test_a_press_in_the_last_moment_counts(module: Path) -> None:
    code = """
    sys.presses, interrupt.RETRY_S = 2, 60
    try:
        with interruptible():
            import pressing
            done = True
    except KeyboardInterrupt:
        print(sys.presses, done)
    """
    assert printed(code, module) == "-1 True"


def test_another_error_is_not_hidden(module: Path) -> None:
    code = """
    sys.presses, interrupt.RETRY_S = 1, 60
    try:
        with interruptible():
            import pressing
            raise OSError("disk")
    except OSError as error:
        print(error)
    """
    assert printed(code, module) == "disk"


def test_three_presses_break_through(module: Path) -> None:
    code = """
    sys.presses = 9
    try:
        with interruptible():
            import pressing
    except KeyboardInterrupt:
        print(sys.presses, "pressing" in sys.modules)
    """
    assert printed(code, module) == "9 False"


def test_work_that_an_import_does_is_stopped_at_once(tmp_path: Path) -> None:
    """Where the work itself goes on within an import, all of it would be unsafe."""
    (tmp_path / "script.py").write_text(
        "from __main__ import interruptible, press, wait\n"
        "with interruptible():\n"
        "    press()\n"
        "    wait()\n",
        encoding="ascii",
    )
    code = """
    try:
        import script
    except KeyboardInterrupt:
        print("stopped")
    """
    assert printed(code, tmp_path) == "stopped"


LOST = {
    "callback": "ctypes.CFUNCTYPE(None)(press)()",
    "finalizer": "Finalized()",
    "again": "ctypes.CFUNCTYPE(None)(press)(); Finalized(); Finalized()",
}
REST = {"works": "wait()", "waits for input": "os.read(pipe, 1)", "waits": "locked.acquire()"}


@pytest.mark.skipif(sys.platform == "win32", reason="other waits cannot be interrupted there")
@pytest.mark.parametrize("rest", REST)
@pytest.mark.parametrize("lost", LOST)
def test_a_lost_press_comes_again(lost: str, rest: str) -> None:
    code = f"""
    class Finalized:
        def __del__(self):
            press()
    pipe, _ = os.pipe()
    locked = threading.Lock()
    locked.acquire()
    threading.Timer(20, os._exit, [9]).start()
    try:
        with interruptible():
            {LOST[lost]}
            {REST[rest]}
    except KeyboardInterrupt:
        print("stopped", flush=True)
        os._exit(0)
    """
    assert printed(code) == "stopped"


def test_others_may_ignore_it_for_a_while() -> None:
    """As a command does while it starts workers."""
    code = """
    try:
        with interruptible():
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            sys.unraisablehook(types.SimpleNamespace(exc_value=KeyboardInterrupt()))
            time.sleep(0.1)
            print("started")
            signal.signal(signal.SIGINT, before)
            wait()
    except KeyboardInterrupt:
        print("stopped")
    """
    assert printed(code).split() == ["started", "stopped"]


def test_each_press_raises_once() -> None:
    """Work that is stopped may take its time to clean up."""
    code = """
    try:
        with interruptible():
            try:
                ctypes.CFUNCTYPE(None)(press)()
                wait()
            except KeyboardInterrupt:
                time.sleep(0.2)
                print("cleaned up")
    finally:
        print("done")
    """
    assert printed(code).split() == ["cleaned", "up", "done"]


def test_a_press_while_a_thread_starts_does_not_block(tmp_path: Path) -> None:
    """The handler must not want the locks of what it interrupts."""
    (tmp_path / "starting.py").write_text(
        "import threading\n"
        "from __main__ import press\n"
        "with threading._active_limbo_lock:\n"
        "    press()\n",
        encoding="ascii",
    )
    code = """
    try:
        with interruptible():
            import starting
            wait()
    except KeyboardInterrupt:
        print("stopped")
    """
    assert printed(code, tmp_path) == "stopped"


def test_other_exceptions_are_still_reported() -> None:
    code = """
    def fail():
        raise OSError("no room")
    with interruptible():
        ctypes.CFUNCTYPE(None)(fail)()
    """
    done = run(code)
    assert done.returncode == 0
    assert "OSError: no room" in done.stderr and "fail" in done.stderr


def test_all_is_as_before() -> None:
    code = """
    hook = sys.unraisablehook = lambda unraisable: print("mine", unraisable.exc_value)
    def fail():
        raise OSError("no room")
    for error in (None, ValueError, KeyboardInterrupt):
        try:
            with interruptible():
                ctypes.CFUNCTYPE(None)(fail)()
                if error:
                    raise error
        except BaseException as raised:
            print(type(raised).__name__)
        assert sys.unraisablehook is hook
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    time.sleep(0.1)
    print(threading.active_count())
    """
    mine = "mine no room"
    expected = [mine, mine, "ValueError", mine, "KeyboardInterrupt", "1"]
    assert printed(code).splitlines() == expected


def _handler(number: int, frame: object) -> None:
    raise AssertionError("no signal was sent")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL, _handler])
def test_handlers_of_others_are_left_alone(handler: signal._HANDLER) -> None:
    signal.signal(signal.SIGINT, handler)
    hook = sys.unraisablehook
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is handler
        assert sys.unraisablehook is hook
    assert signal.getsignal(signal.SIGINT) is handler
    assert sys.unraisablehook is hook


@pytest.mark.usefixtures("restored")
def test_nothing_is_touched_outside_the_main_thread() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hook = sys.unraisablehook
    found: list[object] = []

    def work() -> None:
        with interruptible():
            found.extend([signal.getsignal(signal.SIGINT), sys.unraisablehook])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler, hook]


@pytest.mark.usefixtures("restored")
def test_it_may_be_nested() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with interruptible():
        handler, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
        with interruptible():
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler and sys.unraisablehook is hook
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
def test_any_moment_of_entering_and_leaving() -> None:
    """Pressed once in each round: one KeyboardInterrupt a press, and no handler stays behind."""
    code = """
    main, stopped, rounds = threading.main_thread().ident, 0, 300
    for i in range(rounds):
        go = threading.Event()
        def send():
            go.wait()
            time.sleep((i % 30) * 2e-6)
            signal.pthread_kill(main, signal.SIGINT)
        try:
            sender = threading.Thread(target=send)
            sender.start()
            go.set()
            for _ in range(5):
                with interruptible():
                    pass
            sender.join()
            time.sleep(0)
        except KeyboardInterrupt:
            stopped += 1
        sender.join()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, i
    print(stopped == rounds)
    """
    assert printed(code) == "True"
