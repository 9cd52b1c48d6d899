"""Programs run in processes of their own, and what they took: seconds, CPU seconds, memory.

Nothing large is imported here: Linux counts the memory of the process that starts a program to
the program's peak.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import spread

WORKER = "tests.benchmarks.ngram_worker"
LIMIT_S = 3600.0  # of a worker
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMBA")


@dataclass(frozen=True)
class Usage:
    """What a program took from its start to its end.

    Args:
        wall_s: seconds.
        cpu_s: seconds of the processor, user and system.
        peak_mb: largest resident memory, in 1e6 bytes.
        failure: why there is no such figure; empty where all went well.
        parts: figures that the program itself measured, by name.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    failure: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict)


def run(
    command: Sequence[str],
    stdin: Path | None = None,
    stdout: Path | None = None,
    limit_s: float = 1800.0,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run a program to its end and measure it.

    Args:
        command: program and arguments.
        stdin: file that it reads; none by default.
        stdout: file that receives what it prints; nowhere by default.
        limit_s: seconds after which it is ended.
        environment: variables beside those of this process.
    """
    with (
        (stdin or Path(os.devnull)).open("rb") as source,
        (stdout or Path(os.devnull)).open("wb") as target,
        tempfile.TemporaryFile() as errors,
    ):
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=target,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        failure = ""
        if process.returncode != 0:
            late = wall >= limit_s
            failure = f"over {limit_s:.0f} s" if late else _last_line(errors, process.returncode)
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, failure)


def _last_line(errors: Any, code: int) -> str:
    """The last thing that a program said before it failed."""
    errors.seek(0)
    lines = [line for line in errors.read().decode("utf-8", "replace").splitlines() if line]
    return f"failed ({code}): {lines[-1].strip()[:100] if lines else 'without a word'}"


def worker(task: str, **arguments: Any) -> Usage:
    """Run one task of ``ngram_worker``; its own figures are in ``parts``.

    Libraries use one thread, or as many as an argument ``threads`` says.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-W", "ignore", "-m", WORKER, task, json.dumps(arguments)]
    limits = {f"{name}_NUM_THREADS": str(arguments.get("threads", 1)) for name in THREADS}
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said")
        usage = run(command, stdout=said, limit_s=LIMIT_S, environment=limits)
        if usage.failure:
            raise RuntimeError(f"{shlex.join(command)}: {usage.failure}")
        parts = json.loads(said.read_text(encoding="utf-8").splitlines()[-1])
    return Usage(usage.wall_s, usage.cpu_s, usage.peak_mb, "", parts)


def in_turns(
    tasks: Mapping[str, Callable[[], Usage]], rounds: Mapping[str, int]
) -> dict[str, list[Usage]]:
    """Usages of each task, taken in turns; one that fails is not run again.

    Args:
        tasks: by name.
        rounds: how often each is run.
    """
    found: dict[str, list[Usage]] = {name: [] for name in tasks}
    for number in range(max(rounds.values(), default=0)):
        for name, task in tasks.items():
            failed = any(usage.failure for usage in found[name])
            if number < rounds[name] and not failed:
                found[name].append(task())
    return found


def summary(usages: Sequence[Usage]) -> dict[str, Any]:
    """Medians of several runs and the quartiles of their CPU seconds, or why there are none."""
    failures = [usage.failure for usage in usages if usage.failure]
    if failures:
        return {"failure": failures[0]}
    low, middle, high = spread([usage.cpu_s for usage in usages])
    return {
        "wall_s": spread([usage.wall_s for usage in usages])[1],
        "cpu_s": middle,
        "cpu_quartiles_s": [low, high],
        "peak_mb": spread([usage.peak_mb for usage in usages])[1],
        "rounds": len(usages),
    }
