"""Files of n-gram models: their sizes, how fast they load, and how fast ARPA is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.ngram_peers import Peers
from tests.benchmarks.ngram_process import Usage, in_turns, run, worker
from tests.benchmarks.timing import spread, table

UNVERIFIED, VERIFIED = "seqlab, verify=False", "seqlab, verify=True (default)"
LAZY, POPULATE = "KenLM query -l lazy, probing", "KenLM query, probing (default)"
READING, READY = "seqlab reads ARPA", "seqlab reads ARPA, ready to score"
PEER_ARPA = "KenLM query reads ARPA, ready to score"
GOAL_MS, GOAL_GB = 50, 1.0
NOTE = """A binary file is loaded, up to the first score, while the system holds it in memory.
KenLM's figures are of the whole process of `query` with an empty text."""


def measure(folder: Path, peers: Peers, rounds: int, arpa: bool) -> dict[str, Any]:
    """Seconds of loading the files that ``ngram_query.build`` made.

    Args:
        folder: of the files.
        peers: the toolkits that are there.
        rounds: how often each is run.
        arpa: whether ARPA is read as well.
    """
    model = str(folder / "model.ngram")
    tasks = {
        UNVERIFIED: partial(worker, "load", model=model, verify=False),
        VERIFIED: partial(worker, "load", model=model, verify=True),
    }
    if peers.query and (folder / "probing.kenlm").exists():
        tasks[LAZY] = partial(run, [peers.query, "-l", "lazy", str(folder / "probing.kenlm")])
        tasks[POPULATE] = partial(run, [peers.query, str(folder / "probing.kenlm")])
    if arpa:
        tasks[READY] = partial(worker, "read_arpa", arpa=str(folder / "model.arpa"))
        if peers.query:
            tasks[PEER_ARPA] = partial(run, [peers.query, str(folder / "model.arpa")])
    for path in folder.glob("*.*"):
        _touch(path)
    usages = in_turns(tasks, dict.fromkeys(tasks, rounds))
    if arpa:
        both = usages.pop(READY)
        usages[READING] = [_own(usage, "reading") for usage in both]
        usages[READY] = [_own(usage, "ready") for usage in both]
    names = [UNVERIFIED, VERIFIED, LAZY, POPULATE]
    names += [READING, READY, PEER_ARPA] if arpa else []
    found = {name: _seconds(usages.get(name)) for name in names}
    if arpa:
        found["lines"] = both[0].parts["lines"]
    return found


def _touch(path: Path) -> None:
    """Read a file, so that the system holds it in memory."""
    with path.open("rb") as file:
        while file.read(2**24):
            pass


def _own(usage: Usage, part: str) -> Usage:
    figures = usage.parts[part]
    return Usage(figures["wall_s"], figures["cpu_s"], figures["peak_mb"])


def _seconds(usages: list[Usage] | None) -> dict[str, Any]:
    if not usages:
        return {"failure": "not found"}
    if usages[0].failure:
        return {"failure": usages[0].failure}
    used = [
        replace(usage, wall_s=usage.parts["wall_s"], cpu_s=usage.parts["cpu_s"])
        if "wall_s" in usage.parts
        else usage
        for usage in usages
    ]
    return {
        "wall_s": spread([usage.wall_s for usage in used])[1],
        "cpu_s": spread([usage.cpu_s for usage in used])[1],
    }


def show(title: str, built: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Print the tables for people."""
    print(f"\nFiles, {title}")
    sizes = sorted(built["sizes"].items(), key=lambda item: -item[1])
    print(table(["", "MB"], [[name, f"{size / 1e6:.1f}"] for name, size in sizes]))
    gigabytes = built["sizes"]["model.ngram"] / 1e9
    theirs = built["sizes"].get("probing.kenlm", 0) / 1e9
    volume = {UNVERIFIED: gigabytes, VERIFIED: gigabytes, LAZY: theirs, POPULATE: theirs}
    rows = []
    for name, amount in volume.items():
        if "failure" in found[name]:
            rows.append([name, found[name]["failure"], "", "", ""])
            continue
        wall, cpu = found[name]["wall_s"], found[name]["cpu_s"]
        goal = {UNVERIFIED: f"{GOAL_MS} ms", VERIFIED: f"{GOAL_GB} GB/s"}.get(name, "")
        rows.append([name, f"{wall * 1e3:.1f}", f"{cpu * 1e3:.1f}", f"{amount / cpu:.2f}", goal])
    print(table(["loading", "ms", "CPU ms", "GB/CPU s", "goal"], rows))
    if "lines" in found:
        _show_arpa(found)


def _show_arpa(found: Mapping[str, Any]) -> None:
    rows = []
    for name in (READING, READY, PEER_ARPA):
        if "failure" in found[name]:
            rows.append([name, found[name]["failure"], "", ""])
            continue
        wall, cpu = found[name]["wall_s"], found[name]["cpu_s"]
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{found['lines'] / cpu / 1e6:.2f}"])
    print(table(["ARPA", "wall s", "CPU s", "M lines/CPU s"], rows))
