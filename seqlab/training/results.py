"""Measured results beside a recipe: ``results.json``, and the README's table made from it."""

from __future__ import annotations

import json
import math
import re
import shlex
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from seqlab.errors import DataError
from seqlab.intervals import bootstrap_interval, wilson_interval
from seqlab.training.validate import HIGHER_IS_BETTER

BEGIN = "<!-- results: made by `seqlab results {folder}`, do not edit -->"
END = "<!-- end of results -->"
_SHORT_NAMES = {"accuracy": "accuracy", "word_error_rate": "WER", "event_f1": "event F1"}
_OPTIONAL = {  # fields and their titles in the table
    "real_time_factor": "real-time factor",
    "macs": "MACs for 1 s",
    "clip_ms": "ms for 1 s",
}
MIN_SPEAKERS = 5  # to draw speakers, not utterances, for an interval
_MARKED = re.compile(r"<!-- results: [^\n]*-->\n.*?<!-- end of results -->", re.DOTALL)


class Result(TypedDict):
    """One measured system.

    Args:
        system: What was trained.
        split: What it was measured on.
        metric: "word_error_rate", "accuracy" or "event_f1".
        values: The figure of each run.
        runs: What tells the runs apart, in the same order: a seed, or the speaker left out.
        confidence_interval: 95 % of the mean, see `measure_runs`.
        command: What trains the first run, as a shell takes it.
        seconds: Training time of each run.
        machine: Where, with the threads used.
        parameters: Of the model.
        real_time_factor: Median over the runs' evaluations by ``seqlab evaluate -o``; absent where
            the figures are those of the trainings.
        macs: Of the first run's model for a second of audio, see `measure_costs`; may be absent.
        clip_ms: Processor milliseconds of it for a clip of one second; likewise.
    """

    system: str
    split: str
    metric: str
    values: list[float]
    runs: list[str]
    confidence_interval: list[float]
    command: str
    seconds: list[float]
    machine: str
    parameters: int
    real_time_factor: NotRequired[float]
    macs: NotRequired[int]
    clip_ms: NotRequired[float]


def read_results(path: Path) -> list[Result]:
    """The entries of ``results.json``; none where the file is missing.

    Raises:
        DataError: It is not a list of entries with the fields of `Result`.
    """
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({error}); write it with seqlab results") from error
    known = set(Result.__annotations__)
    fields = known - set(_OPTIONAL)
    for number, entry in enumerate(entries if isinstance(entries, list) else [None]):
        if not isinstance(entry, dict) or not fields <= set(entry) <= known:
            raise DataError(
                f"{path}: entry {number} must have exactly {', '.join(sorted(fields))}; "
                "write it with seqlab results"
            )
        lists = [entry[name] for name in ("values", "runs", "seconds")]
        if not all(isinstance(own, list) and own for own in lists) or len({*map(len, lists)}) > 1:
            raise DataError(
                f"{path}: entry {number} must have as many values as runs and seconds, at least "
                "one; write it with seqlab results"
            )
    results: list[Result] = entries
    return results


def measure_runs(
    folders: Sequence[Path],
    names: Sequence[str],
    system: str,
    split: str,
    title: str | None = None,
    evaluated: Sequence[Path] = (),
) -> Result:
    """One entry from finished run folders that differ in their seed, or in the held-out speaker.

    The interval is that of the mean over the runs. It draws speakers where the test set has at
    least five, else utterances, each with its errors in all runs; an accuracy over utterances
    has Wilson's interval, as in `Evaluation.interval`.

    Args:
        folders: Run folders, each with ``evaluation.json`` and ``run.json``.
        names: What tells them apart, one a folder.
        system: Name of the system.
        split: Split of the evaluation, such as "test".
        title: What to call the split in the entry; None: its name.
        evaluated: Folders that ``seqlab evaluate -o`` left, one a run, with the figures to take in
            place of those of the runs: of a search with a language model, say.

    Raises:
        DataError: A folder is not a finished run, has no such split, or another metric.
    """
    if len(folders) != len(names) or not folders:
        raise DataError(
            f"{len(folders)} run folders and {len(names)} names must be one each; name every run"
        )
    for text in (system, title or split, *names):
        if "|" in text or "\n" in text or not text.strip():
            raise DataError(f"{text!r} must be text without | or line breaks, for a table's cell")
    facts, found = _collected(folders, evaluated or folders, split)
    evaluations = [evaluation[split] for evaluation in found]
    commands = [facts[0]["command"]]
    if evaluated:
        commands.append(_read(evaluated[0] / "run.json")["command"])
    metrics = sorted({evaluation["metric"] for evaluation in evaluations})
    if len(metrics) > 1:
        raise DataError(f"the runs measure {' and '.join(metrics)}, must be one metric; split them")
    result: Result = {
        "system": system,
        "split": title or split,
        "metric": evaluations[0]["metric"],
        "values": [round(evaluation["value"], 6) for evaluation in evaluations],
        "runs": list(names),
        "confidence_interval": [round(bound, 6) for bound in _interval(evaluations)],
        "command": " && ".join(map(shlex.join, commands)),
        "seconds": [round(fact["seconds"], 1) for fact in facts],
        "machine": _machine(facts[0]),
        "parameters": facts[0]["parameters"],
    }
    factors = [e["speed"]["real_time_factor"] for e in evaluations if "speed" in e]
    if factors:
        result["real_time_factor"] = round(statistics.median(factors), 4)
    return result


def _collected(
    folders: Sequence[Path], measured: Sequence[Path], split: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The facts of trainings and the evaluations, checked."""
    if len(measured) != len(folders):
        raise DataError(
            f"{len(measured)} evaluations for {len(folders)} runs must be one each; name all"
        )
    facts = [_read(folder / "run.json") for folder in folders]
    found = [_read(folder / "evaluation.json") for folder in measured]
    for folder, fact in zip(folders, facts, strict=True):
        if "seconds" not in fact:  # written by seqlab evaluate
            raise DataError(f"{folder} is no training run; name folders that seqlab train left")
    for folder, evaluation in zip(measured, found, strict=True):
        if split not in evaluation:
            raise DataError(
                f"{folder}/evaluation.json has no {split!r}, has {', '.join(evaluation)}; "
                "name one of them"
            )
    return facts, found


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); name finished run folders") from error
    return content


def _interval(evaluations: Iterable[dict[str, Any]]) -> tuple[float, float]:
    errors: dict[str, float] = {}
    weights: dict[str, float] = {}
    speakers: dict[str, str] = {}
    accuracy = higher = False
    for evaluation in evaluations:
        accuracy = evaluation["metric"] == "accuracy"
        higher = evaluation["metric"] in HIGHER_IS_BETTER
        for record in evaluation["records"]:
            name = record["id"]
            errors[name] = errors.get(name, 0) + record["errors"]
            weights[name] = weights.get(name, 0) + record["reference_length"]
            speakers[name] = record["speaker"] or name
    groups = list(speakers.values()) if len(set(speakers.values())) >= MIN_SPEAKERS else None
    if accuracy and groups is None:
        share = 1 - math.fsum(errors.values()) / math.fsum(weights.values())
        return wilson_interval(share * len(errors), len(errors))
    low, high = bootstrap_interval(list(errors.values()), list(weights.values()), groups)
    return (1 - high, 1 - low) if higher else (low, high)


def _machine(fact: dict[str, Any]) -> str:
    machine = fact["machine"]
    return (
        f"{machine['processor']}, {fact['threads']} of {machine['cores']} cores, "
        f"torch {fact['versions']['torch']}"
    )


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write ``results.json`` atomically, an entry of the same system and split replaced."""
    unique = {(entry["system"], entry["split"]): entry for entry in results}
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(
        json.dumps(list(unique.values()), indent=1, ensure_ascii=False) + "\n", "utf-8"
    )
    partial.replace(path)


def results_table(results: Sequence[Result]) -> str:
    """The entries as a Markdown table and the commands that made them."""
    shown = [name for name in _OPTIONAL if any(name in entry for entry in results)]
    head = ["system", "parameters", "measured on", "figure", "95 % interval", "runs"]
    head += ["training, minutes", *(_OPTIONAL[name] for name in shown)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for entry in results:
        mean = sum(entry["values"]) / len(entry["values"])
        name = short_name(entry["metric"])
        low, high = entry["confidence_interval"]
        each = ", ".join(
            f"{run} {100 * value:.1f}"
            for run, value in zip(entry["runs"], entry["values"], strict=True)
        )
        minutes = sum(entry["seconds"]) / len(entry["seconds"]) / 60
        lines.append(
            f"| {entry['system']} | {_thousands(entry['parameters'])} | {entry['split']} | "
            f"{name} **{100 * mean:.1f} %** | {100 * low:.1f} to {100 * high:.1f} | {each} | "
            f"{minutes:.1f} |" + "".join(f" {_cell(entry, name)} |" for name in shown)
        )
    lines.append("")
    for entry in results:
        lines += [f"- {entry['system']}, {entry['split']}: `{entry['command']}`"]
    machines = dict.fromkeys(entry["machine"] for entry in results)
    return "\n".join([*lines, "", f"Machine: {'; '.join(machines)}."])


def short_name(metric: str) -> str:
    """What tables and pictures call a metric.

    >>> short_name("word_error_rate")
    'WER'
    """
    return _SHORT_NAMES.get(metric, metric)


def _cell(entry: Result, name: str) -> str:
    if name not in entry:
        return ""
    if name == "macs":
        return _thousands(entry["macs"])
    return f"{entry['clip_ms']:.2f}" if name == "clip_ms" else f"{entry['real_time_factor']:.2g}"


def _thousands(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1_000_000 else f"{count / 1e3:.0f} k"


def marked_table(folder: Path) -> str:
    """The block of the README that belongs to ``folder/results.json``."""
    parts = folder.resolve().parts
    first = -3 if "recipes" not in parts[-3:] else parts[-3:].index("recipes") - len(parts[-3:])
    begin = BEGIN.format(folder="/".join(parts[first:]))
    table = results_table(read_results(folder / "results.json"))
    return f"{begin}\n{table}\n{END}"


def update_readme(folder: Path) -> bool:
    """Put the table of ``results.json`` between the marks in the README; True if it changed.

    Raises:
        DataError: The README is missing or has no marks.
    """
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not _MARKED.search(text):
        raise DataError(f"{path} has no block from `<!-- results: ... -->` to `{END}`; add one")
    block = marked_table(folder)
    changed = _MARKED.sub(lambda _: block, text)
    if changed != text:
        path.write_text(changed, encoding="utf-8")
    return changed != text
