"""Speed and memory of n-gram models against other toolkits: `python -m tests.benchmarks.ngram`.

Every system runs in processes of its own, in turns; a run's CPU seconds are those that the
operating system counted. Toolkits that are not there are named in the tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks import (
    ngram_estimation,
    ngram_files,
    ngram_memory,
    ngram_query,
    ngram_texts,
)
from tests.benchmarks.ngram_peers import Peers
from tests.benchmarks.timing import versions

MODULE = "tests.benchmarks.ngram"
PACKAGES = ("numba", "numpy")
WORDS, MEMORY_WORDS = 50_000_000, 200_000_000
PARTS = ("estimation", "query", "files")


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: of estimating from the small text, of queries, and of loading.
        large_rounds: of estimating from the large text.
        query_mb: of text that is scored in one run.
        irstlm_s: seconds after which IRSTLM is given up; 0 leaves it out.
    """

    rounds: int = 5
    large_rounds: int = 2
    query_mb: float = 80.0
    irstlm_s: float = 300.0


TEXTS = ("small", "large")
QUICK = Effort(rounds=1, query_mb=12.0, irstlm_s=0.0)


def collect(
    options: argparse.Namespace, effort: Effort, peers: Peers, folder: Path
) -> dict[str, Any]:
    """All figures: text -> part -> order -> system."""
    found: dict[str, Any] = {}
    if "small" in options.texts or options.quick:
        small = ngram_texts.small_text(folder)
        found[small.name] = _of_text(small, options, effort, effort.rounds, peers, folder)
    if "large" in options.texts and not options.quick:
        if options.text is not None:
            large = ngram_texts.given(options.text, folder)
        else:
            large = ngram_texts.generated(options.words, folder)
        found[large.name] = _of_text(large, options, effort, effort.large_rounds, peers, folder)
    return found


def _of_text(
    text: ngram_texts.Text,
    options: argparse.Namespace,
    effort: Effort,
    rounds: int,
    peers: Peers,
    folder: Path,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "estimation" in options.parts:
        found["estimation"] = ngram_estimation.measure(
            text, options.orders, peers, folder, rounds, effort.irstlm_s
        )
    if {"query", "files"} & set(options.parts):
        found["models"] = {
            order: _of_model(text, order, options, effort, peers, folder)
            for order in ([max(options.orders)] if options.quick else options.orders)
        }
    return found


def _of_model(
    text: ngram_texts.Text,
    order: int,
    options: argparse.Namespace,
    effort: Effort,
    peers: Peers,
    folder: Path,
) -> dict[str, Any]:
    with TemporaryDirectory(dir=folder) as models:
        place = Path(models)
        found: dict[str, Any] = {
            "built": ngram_query.build(text.train, text.test, order, peers, place)
        }
        if "query" in options.parts:
            found["query"] = ngram_query.measure(
                text.test, peers, place, effort.rounds, effort.query_mb
            )
        if "files" in options.parts:
            arpa = order == max(options.orders)
            found["files"] = ngram_files.measure(place, peers, min(3, effort.rounds), arpa)
    return found


def add_ratios(found: Mapping[str, Any]) -> dict[str, Any]:
    """Our figures over the peers', by text, part and order."""
    result: dict[str, Any] = {}
    for name, parts in found.items():
        orders = parts.get("estimation", {"orders": {}})["orders"]
        models = parts.get("models", {})
        result[name] = {
            "estimation_x_less_cpu": {k: ngram_estimation.ratios(f) for k, f in orders.items()},
            "query": {k: ngram_query.ratios(f["query"]) for k, f in models.items() if "query" in f},
        }
    return result


def show(found: Mapping[str, Any]) -> None:
    """Print the tables for people."""
    measured = [part for parts in found.values() for part in parts]
    if "estimation" in measured:
        print(ngram_estimation.NOTE)
    for name, parts in found.items():
        if "estimation" in parts:
            ngram_estimation.show(name, parts["estimation"])
    models = [
        (f"order {order}, {name}", of_order)
        for name, parts in found.items()
        for order, of_order in parts.get("models", {}).items()
    ]
    for part, module in {"query": ngram_query, "files": ngram_files}.items():
        shown = [(title, of_order) for title, of_order in models if part in of_order]
        if shown:
            print("\n" + module.NOTE)
        for title, of_order in shown:
            module.show(title, of_order["built"], of_order[part])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object for machines")
    parser.add_argument("--quick", action="store_true", help="the small text, one round")
    parser.add_argument("--text", type=Path, help="a file in place of the large generated text")
    parser.add_argument("--words", type=int, default=None, help="of the large generated text")
    parser.add_argument("--orders", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--texts", nargs="+", choices=TEXTS, default=TEXTS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, help="how often each is run")
    parser.add_argument("--folder", type=Path, help="where generated texts are kept")
    parser.add_argument("--kenlm", help="folder of its programs; else $KENLM_BIN, then PATH")
    parser.add_argument("--irstlm", help="folder of tlm; else $IRSTLM/bin, then PATH")
    parser.add_argument("--irstlm-seconds", type=float, help="after which it is given up")
    parser.add_argument(
        "--memory-run", action="store_true", help="only a large text in bounded memory"
    )
    return parser.parse_args()


def main() -> None:
    """Command line."""
    options = _options()
    peers = Peers.find(options.kenlm, options.irstlm)
    effort = QUICK if options.quick else Effort()
    if options.rounds:
        effort = replace(effort, rounds=options.rounds, large_rounds=options.rounds)
    if options.irstlm_seconds is not None:
        effort = replace(effort, irstlm_s=options.irstlm_seconds)
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        installed = {**versions(PACKAGES), "kenlm": peers.wheel or "not found"}
        if options.memory_run:
            small = ngram_texts.generated(ngram_memory.SMALL_WORDS, folder)
            large = options.text
            if large is None:
                words = options.words or MEMORY_WORDS
                large = folder / f"generated-{words}-2.txt"
                ngram_texts.generate(large, words, seed=2)
            bounded = ngram_memory.measure(large, small)
            if options.json:
                print(json.dumps({"bounded_memory": bounded, "versions": installed}))
            else:
                ngram_memory.show(bounded)
            return
        options.words = options.words or WORDS
        found = collect(options, effort, peers, folder)
    if options.json:
        print(json.dumps({"texts": found, "ratios": add_ratios(found), "versions": installed}))
        return
    show(found)
    print("\n" + ", ".join(f"{name} {version}" for name, version in installed.items()))


if __name__ == "__main__":
    main()
