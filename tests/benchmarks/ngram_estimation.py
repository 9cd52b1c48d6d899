"""Estimating modified Kneser-Ney models: seconds, CPU seconds and memory of every toolkit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.ngram_peers import (
    LMPLZ_MEMORY,
    Peers,
    lmplz,
    lmplz_memory,
    tlm,
    tlm_smoothing,
)
from tests.benchmarks.ngram_process import Usage, in_turns, summary, worker
from tests.benchmarks.ngram_texts import Text, with_marks
from tests.benchmarks.timing import table

MODEL, ARPA, WHOLE = "seqlab, text to model", "seqlab, ARPA written", "seqlab, whole process"
TWO = "seqlab, text to model, 2 threads"
PEER = "KenLM lmplz, ARPA written"
OTHER = "IRSTLM tlm, ARPA written"
GOALS = {MODEL: {3: 3.0, 5: 4.0}, ARPA: {3: 2.5, 5: 2.5}}
NOTE = """CPU is user and system time of all threads. seqlab's measured part begins with the file of
text; what is left out, starting Python and loading compiled code, is in 'whole process'.
lmplz uses as many threads as it likes. x less CPU: lmplz's median over the row's."""


def measure(
    text: Text, orders: Sequence[int], peers: Peers, folder: Path, rounds: int, irstlm_s: float
) -> dict[str, Any]:
    """Figures of every system for each order.

    Args:
        text: to estimate from.
        orders: of the models.
        peers: the toolkits that are there.
        folder: for what they write.
        rounds: how often each is run; IRSTLM once.
        irstlm_s: seconds after which IRSTLM is given up; 0 leaves it out.
    """
    found: dict[str, Any] = {"lmplz_memory": None, "tlm_smoothing": None, "orders": {}}
    with ExitStack() as stack:
        if peers.lmplz:
            trial = partial(lmplz_memory, peers.lmplz, text.train, min(orders), folder)
            found["lmplz_memory"] = LMPLZ_MEMORY[0] if rounds == 1 else trial()
        marked = None
        if peers.tlm and irstlm_s:
            marked = stack.enter_context(with_marks(text.train, folder))
            found["tlm_smoothing"] = tlm_smoothing(peers.tlm, marked, folder)
        for order in orders:
            tasks = _ours(text.train, order, folder)
            if peers.lmplz:
                memory = found["lmplz_memory"]
                tasks[PEER] = partial(lmplz, peers.lmplz, text.train, order, memory, folder)
            if peers.tlm and marked:
                smoothing = found["tlm_smoothing"]
                tasks[OTHER] = partial(tlm, peers.tlm, marked, order, smoothing, folder, irstlm_s)
            turns = {name: 1 if name == OTHER else rounds for name in tasks}
            figures = _figures(in_turns(tasks, turns))
            for name, program in {PEER: peers.lmplz, OTHER: peers.tlm}.items():
                reason = {"failure": "left out" if program else "not found"}
                figures.setdefault(name, reason)
            found["orders"][order] = figures
    return found


def _ours(text: Path, order: int, folder: Path) -> dict[str, Callable[[], Usage]]:
    task = partial(worker, "estimate", text=str(text), order=order)
    return {
        ARPA: partial(task, threads=1, arpa=str(folder / "seqlab.arpa")),
        TWO: partial(task, threads=2),
    }


def _part(usage: Usage, name: str) -> Usage:
    """What a worker measured itself."""
    part = usage.parts[name]
    return Usage(part["wall_s"], part["cpu_s"], part["peak_mb"])


def _figures(usages: dict[str, list[Usage]]) -> dict[str, Any]:
    """Medians of all systems; a run of ours gives three."""
    ours, two = usages.pop(ARPA), usages.pop(TWO)
    runs = {
        MODEL: [_part(usage, "model") for usage in ours],
        ARPA: [_part(usage, "arpa") for usage in ours],
        TWO: [_part(usage, "model") for usage in two],
        WHOLE: [replace(usage, parts={}) for usage in ours],
        **usages,
    }
    figures = {name: summary(of_one) for name, of_one in runs.items()}
    writing = summary([_part(usage, "writing") for usage in ours])
    lines = ours[0].parts["ngrams"]
    figures[ARPA]["lines_written_per_cpu_s"] = lines / writing["cpu_s"]
    return figures


def ratios(figures: dict[str, Any]) -> dict[str, float]:
    """How many times the CPU seconds of a row lmplz takes, for each row."""
    peer = figures[PEER].get("cpu_s")
    if peer is None:
        return {}
    return {name: peer / row["cpu_s"] for name, row in figures.items() if "cpu_s" in row}


def show(name: str, found: dict[str, Any]) -> None:
    """Print the tables for people."""
    for order, figures in found["orders"].items():
        memory = f", lmplz -S {found['lmplz_memory']}" if found["lmplz_memory"] else ""
        other = f", tlm -lm={found['tlm_smoothing']}" if found.get("tlm_smoothing") else ""
        print(f"\nEstimation, order {order}, {name}{memory}{other}")
        less = ratios(figures)
        rows = [_row(system, row, less, int(order)) for system, row in figures.items()]
        head = ["", "wall s", "CPU s", "quartiles", "peak MB", "x less CPU", "goal"]
        print(table(head, rows))
        lines = figures[ARPA]["lines_written_per_cpu_s"]
        print(f"seqlab writes {lines / 1e6:.1f} M lines of ARPA in each CPU second")


def _row(system: str, row: dict[str, Any], less: dict[str, float], order: int) -> list[str]:
    if "failure" in row:
        return [system, row["failure"], "", "", "", "", ""]
    low, high = row["cpu_quartiles_s"]
    goal = GOALS.get(system, {}).get(order)
    return [
        system,
        f"{row['wall_s']:.2f}",
        f"{row['cpu_s']:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{row['peak_mb']:.0f}",
        f"{less[system]:.2f}" if system in less else "",
        f"{goal}" if goal else "",
    ]
