"""Asking n-gram models: million tokens a second of one core, of every toolkit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.ngram_peers import Peers
from tests.benchmarks.ngram_process import Usage, in_turns, run, worker
from tests.benchmarks.ngram_texts import tiled
from tests.benchmarks.timing import spread, table

BATCH, QUANTISED = "seqlab, batch", "seqlab, batch, quantised"
QUERY = "KenLM query -v sentence, probing"
SENTENCES, WHEEL_SENTENCES = "seqlab, sentence by sentence", "kenlm package, Model.score"
WORDS, WHEEL_WORDS = "seqlab, word by word", "kenlm package, BaseScore word by word"
GOALS = {BATCH: 2.0}
PEER_OF = {
    BATCH: QUERY,
    QUANTISED: QUERY,
    SENTENCES: WHEEL_SENTENCES,
    WORDS: WHEEL_WORDS,
}
NOTE = """Million tokens (</s> counted) for each CPU second, from text in a file (batch, query),
Python strings (sentences) or split words (word by word). Loading the model is left out: for
query, the time of an empty text is taken away. Ratio: over the peer that does the same."""


def build(text: Path, test: Path, order: int, peers: Peers, folder: Path) -> dict[str, Any]:
    """Files of one model in ``folder``, KenLM's made of our ARPA file; sizes and perplexities."""
    found = dict(
        worker("build", text=str(text), test=str(test), order=order, folder=str(folder)).parts
    )
    if peers.build_binary:
        for kind in ("probing", "trie"):
            target = folder / f"{kind}.kenlm"
            made = run([peers.build_binary, kind, str(folder / "model.arpa"), str(target)])
            if made.failure:
                found[f"{kind}_failure"] = made.failure
            else:
                found["sizes"][target.name] = target.stat().st_size
    if peers.query and (folder / "probing.kenlm").exists():
        said = folder / "said.txt"
        run([peers.query, "-v", "summary", str(folder / "probing.kenlm")], test, said)
        match = re.search(r"including OOVs:\s*(\S+)", said.read_text(encoding="utf-8"))
        found["kenlm_perplexity"] = float(match[1]) if match else None
    return found


def measure(
    test: Path, peers: Peers, folder: Path, rounds: int, megabytes: float
) -> dict[str, Any]:
    """Million tokens for each CPU second of every system, on the models that ``build`` made."""
    long, times = tiled(test, megabytes, folder)
    short, _ = tiled(test, megabytes / 12, folder)
    model, quantised = str(folder / "model.ngram"), str(folder / "quantised.ngram")
    tasks: dict[str, Callable[[], Usage]] = {
        BATCH: partial(_own, "query", model, long),
        QUANTISED: partial(_own, "query", quantised, long),
        SENTENCES: partial(_own, "sentences", model, short),
        WORDS: partial(_own, "words", model, short),
    }
    probing = folder / "probing.kenlm"
    if peers.query and probing.exists():
        tokens = _tokens(test) * times
        tasks[QUERY] = partial(_query, peers.query, probing, long, tokens)
    if peers.wheel and probing.exists():
        tasks[WHEEL_SENTENCES] = partial(_own, "wheel_sentences", str(probing), short)
        tasks[WHEEL_WORDS] = partial(_own, "wheel_words", str(probing), short)
    usages = in_turns(tasks, dict.fromkeys(tasks, rounds))
    long.unlink()
    short.unlink()
    return {name: _speed(usages.get(name)) for name in (*PEER_OF, *PEER_OF.values())}


def _own(task: str, model: str, text: Path) -> Usage:
    """A worker's own figures in place of those of its process."""
    usage = worker(task, model=model, text=str(text))
    return replace(usage, cpu_s=usage.parts["cpu_s"], wall_s=usage.parts["wall_s"])


def _query(program: str, model: Path, text: Path, tokens: int) -> Usage:
    command = [program, "-v", "sentence", str(model)]
    full, empty = run(command, text), run(command)
    return replace(
        full,
        wall_s=full.wall_s - empty.wall_s,
        cpu_s=full.cpu_s - empty.cpu_s,
        failure=full.failure or empty.failure,
        parts={"tokens": tokens},
    )


def _tokens(text: Path) -> int:
    """Words and ends of lines."""
    with text.open("rb") as file:
        return sum(len(line.split()) + 1 for line in file)


def _speed(usages: list[Usage] | None) -> dict[str, Any]:
    """Quartiles of million tokens a CPU second, and the median of those a second."""
    if not usages:
        return {"failure": "not found"}
    failures = [usage.failure for usage in usages if usage.failure]
    if failures:
        return {"failure": failures[0]}
    by_cpu = [usage.parts["tokens"] / 1e6 / usage.cpu_s for usage in usages]
    by_wall = [usage.parts["tokens"] / 1e6 / usage.wall_s for usage in usages]
    low, middle, high = spread(by_cpu)
    return {
        "million_tokens_per_cpu_s": middle,
        "quartiles": [low, high],
        "million_tokens_per_s": spread(by_wall)[1],
        "cpu_s": spread([usage.cpu_s for usage in usages])[1],
    }


def ratios(found: Mapping[str, Any]) -> dict[str, float]:
    """Our speed over that of the peer that does the same."""
    result = {}
    for ours, peer in PEER_OF.items():
        speeds = [found[name].get("million_tokens_per_cpu_s") for name in (ours, peer)]
        if None not in speeds:
            result[ours] = speeds[0] / speeds[1]
    return result


def show(title: str, built: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Print the table for people."""
    print(f"\nQuery, {title}")
    relative = ratios(found)
    rows = []
    for name, row in found.items():
        if "failure" in row:
            rows.append([name, row["failure"], "", "", "", "", ""])
            continue
        low, high = row["quartiles"]
        rows.append(
            [
                name,
                f"{row['million_tokens_per_cpu_s']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{row['million_tokens_per_s']:.2f}",
                f"{row['cpu_s']:.2f}",
                f"{relative[name]:.2f}" if name in relative else "",
                f"{GOALS[name]}" if name in GOALS else "",
            ]
        )
    print(table(["", "M/CPU s", "quartiles", "M/wall s", "run, s", "ratio", "goal"], rows))
    theirs = built.get("kenlm_perplexity")
    other = f", KenLM's {theirs:.6g}" if theirs else ""
    print(f"perplexity of the text: {built['perplexity']:.6g}{other}")
