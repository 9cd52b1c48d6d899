"""What all benchmarks share: interleaved timing, memory, versions, tables."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Task = Callable[[], object]
_MEGABYTE = 1e6
_PAUSE = 0.005  # seconds


def interleave(tasks: Mapping[str, Task], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task, taken in turns so that a noisy moment hits all of them alike.

    Each runs once unmeasured first: compiling and caches are not what is compared. Before each
    there is a pause, for OpenMP's threads spin for a while after their work and would take the
    processor from whoever comes next.
    """
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            time.sleep(_PAUSE)
            begin = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def status_bytes(field: str) -> int:
    """A field of Linux' /proc/self/status, such as VmHWM (peak memory) or VmRSS, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status; peak memory is measured on Linux only")


def memory_growth(task: Task) -> float:
    """Megabytes (1e6 bytes) of resident memory that a task adds at its peak."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before = status_bytes("VmRSS")
    kept = task()
    growth = status_bytes("VmHWM") - before
    del kept
    return growth / _MEGABYTE


def in_a_process(module: str, arguments: Sequence[str], threads: int) -> Any:
    """What ``python -m module arguments`` prints as JSON, with every library at ``threads``."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    limits = {f"{name}_NUM_THREADS": str(threads) for name in names}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Installed versions of packages, of Python, and the machine."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {**found, "python": platform.python_version(), "machine": platform.machine()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
