"""Prefix beam search against other decoders: ``python -m tests.benchmarks.decoding``.

All run on one thread, in turns, seqlab in this process and each peer in one of its own, and CPU
time counts. Without ``--posteriors`` only made log-probabilities are decoded, and no errors are
counted. Write the file with ``tests.benchmarks.decoding_posteriors``.

Measured on 2026-11-21 in one run, one thread of an AMD EPYC whose two cores had other work, too
(numba 0.68.1, numpy 2.4.6, torch 2.14.1; flashlight-text 0.0.7, pyctcdecode 0.5, kenlm 0.3.0), 20
best tokens of a frame. Milliseconds an utterance at beams 16, 50 and 100, and how many times as
long peers take; quieter runs of single cases gave 26, 31 and 35 times for the first line:

- AN4's test, 130 utterances of 68 frames, V = 28, no LM: 0.09, 0.18, 0.28; pyctcdecode 14, 12, 11,
  flashlight-text 14, 22, 30. Token 3-gram: 0.20, 0.40, 0.64; flashlight-text 10, 14, 21.
- Word 3-gram, weight 0.5: 0.13, 0.30, 0.46; flashlight-text 3.8, 4.2, 4.5. WER 6.73, 6.60, 6.60 %
  against 6.60 % at each beam. Weight 1: 0.13, 0.26, 0.46; flashlight-text 3.5, 4.1, 4.2. WER 8.15 %
  against 8.02, 8.02, 8.15 %, where 0.13 % is one word.
- Hotwords: 0.15, 0.30, 0.63; pyctcdecode 13, 11, 12.
- Made, 4 utterances of 200 frames, no LM. V = 29: 0.41, 0.74, 1.24; pyctcdecode 45, 67, 79,
  flashlight-text 54, 51, 63. V = 500: 0.60, 1.11, 1.70; pyctcdecode 26, 38, 47, flashlight-text 36,
  69, 102.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from seqlab.lm.ngram.model import NGramModel
from seqlab.metrics import error_rate
from tests.benchmarks.decoding_posteriors import Posteriors, made
from tests.benchmarks.timing import spread, table, versions

PACKAGES = ("numba", "numpy", "torch")
PEERS = ("flashlight-text", "pyctcdecode")
THRESHOLD = 20.0  # nats, for all; with pruned tokens pyctcdecode has its own, 10
MOST_TOKENS = 20
ORDER = 3
HOTWORDS = 10  # of the words to recognise


@dataclass(frozen=True)
class Case:
    """One way to decode one set of log-probabilities.

    Args:
        data: its name.
        kind: ``none``, ``token`` or ``word`` for the language model, or ``hotwords``.
        beam: prefixes.
        pruned: whether only the best tokens of a frame are tried.
        weight: of the language model.
    """

    data: str
    kind: str
    beam: int
    pruned: bool
    weight: float = 0.0

    def __str__(self) -> str:
        model = {"none": "no LM", "token": "token 3-gram", "word": "word 3-gram"}
        tokens = "pruned" if self.pruned else "all"
        return f"{self.data}, beam {self.beam}, {model.get(self.kind, 'hotwords')}, {tokens} tokens"


class Bench:
    """Sets of log-probabilities with their language models, in a folder.

    Args:
        folder: for files that peers read.
        sets: by name.
    """

    def __init__(self, folder: Path, sets: dict[str, Posteriors]) -> None:
        self.folder, self.sets = folder, sets
        self.models: dict[tuple[str, str], NGramModel] = {}
        for name, data in sets.items():
            data.save(self.path(name))
            if not data.training:
                continue
            for unit in ("token", "word"):
                kind = "word" if unit == "word" else "character"
                model = NGramModel.estimate(data.training, ORDER, unit=kind)  # type: ignore[arg-type]
                model.write_arpa(self.path(name, f"{unit}.arpa"))
                self.models[name, unit] = model

    def path(self, name: str, ending: str = "npz") -> Path:
        return self.folder / f"{name}.{ending}"

    def hotwords(self, data: Posteriors) -> list[str]:
        words = sorted({word for text in data.texts for word in text.split() if len(word) > 3})
        return words[:: max(1, len(words) // HOTWORDS)][:HOTWORDS]

    def words(self, data: Posteriors) -> list[str]:
        """Those of the training texts: flashlight-text writes no others."""
        known = set("".join(data.tokens))
        found = {word for text in data.training for word in text.split()}
        return sorted(word for word in found if known.issuperset(word))

    def ours(self, case: Case) -> Any:
        """A function that decodes a set once and gives its texts."""
        import torch

        from seqlab.decoding.prefix_beam import PrefixBeamDecoder
        from seqlab.decoding.prefix_beam_units import TokenUnits

        data = self.sets[case.data]
        decoder = PrefixBeamDecoder(
            TokenUnits.characters(data.tokens), 0.04, beam=case.beam, beam_threshold=THRESHOLD,
            max_tokens=MOST_TOKENS if case.pruned else None, lm_weight=case.weight,
            lm_unit="token" if case.kind == "token" else "word",
            language_model=self.models.get((case.data, case.kind)),
            lexicon=self.words(data) if case.kind == "word" else None,
        )  # fmt: skip
        rows, lengths = torch.from_numpy(data.log_probs), torch.from_numpy(data.lengths)
        hotwords = self.hotwords(data) if case.kind == "hotwords" else None

        def run() -> list[str]:
            return [answers[0].text for answers in decoder.decode(rows, lengths, hotwords)]

        return run

    def task(self, case: Case, system: str) -> dict[str, Any] | None:
        """The same for a peer's worker; None where the peer has no such thing."""
        data = self.sets[case.data]
        if system == "pyctcdecode" and case.kind == "token":
            return None
        if system == "flashlight-text" and case.kind == "hotwords":
            return None
        if system == "pyctcdecode" and not case.pruned:
            return None  # it would take minutes; its own default is to prune
        task: dict[str, Any] = {
            "system": system, "name": f"{system} {case} {case.weight}",
            "rows": str(self.path(case.data)), "tokens": data.tokens, "beam": case.beam,
            "threshold": THRESHOLD, "max_tokens": MOST_TOKENS if case.pruned else 0,
            "lm": case.kind, "lm_weight": case.weight,
            "word_bonus": 0.0, "hotwords": [],
        }  # fmt: skip
        if case.kind in ("token", "word"):
            task["arpa"] = str(self.path(case.data, f"{case.kind}.arpa"))
            task["space"] = self.models[case.data, "token"].facts.space
        if case.kind == "word":
            task["words"] = self.words(data)
        if case.kind == "hotwords":
            task["hotwords"] = self.hotwords(data)
        if system == "pyctcdecode" and case.pruned:
            task["threshold"] = 10.0
        return task


class Worker:
    """A process that answers tasks, one line each.

    Args:
        python: that has the peers.
    """

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("decoding_peers.py")
        self.process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peers' process has ended at {task['name']}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self.process.communicate()


def measure(bench: Bench, case: Case, workers: dict[str, Worker], rounds: int) -> dict[str, Any]:
    """Milliseconds an utterance and errors of all systems for one case."""
    run, count = bench.ours(case), len(bench.sets[case.data].lengths)
    times: dict[str, list[float]] = {"seqlab": []}
    texts, errors = {"seqlab": run()}, {}
    tasks = {name: task for name in workers if (task := bench.task(case, name)) is not None}
    for _ in range(rounds):
        begin = time.process_time()
        run()
        times["seqlab"].append(1e3 * (time.process_time() - begin) / count)
        for name, task in tasks.items():
            answer = workers[name].ask(task)
            if "error" in answer:
                errors[name] = answer["error"]
                continue
            times.setdefault(name, []).append(answer["ms"])
            texts[name] = answer["texts"]
    found: dict[str, Any] = {"case": asdict(case), "errors": errors, "ms": {}, "wer": {}}
    for name, values in times.items():
        found["ms"][name] = spread(values)
    for name in texts if any(bench.sets[case.data].texts) else ():
        found["wer"][name] = float(error_rate(bench.sets[case.data].texts, texts[name]).rate)
    found["ratio"] = {
        name: float(np.median(np.array(times[name]) / np.array(times["seqlab"])))
        for name in times
        if name != "seqlab"
    }
    return found


def cases(bench: Bench, beams: list[int], weights: list[float]) -> Iterator[Case]:
    """All cases of some sets."""
    for name, data in bench.sets.items():
        for beam in beams:
            for pruned in (False, True):
                yield Case(name, "none", beam, pruned)
            if data.training:
                yield from (Case(name, "token", beam, True, weight) for weight in weights[:1])
                yield from (Case(name, "word", beam, True, weight) for weight in weights)
            if any(data.texts):
                yield Case(name, "hotwords", beam, True)


def show(found: list[dict[str, Any]]) -> None:
    """Print the table for people."""
    names = ["seqlab", *PEERS]
    rows = []
    for figures in found:
        case = Case(**figures["case"])
        row = [str(case) + (f", weight {case.weight}" if case.weight else "")]
        for name in names:
            if name not in figures["ms"]:
                row.append("failed" if name in figures["errors"] else "-")
                continue
            cell = f"{figures['ms'][name][1]:.2f}"
            if name in figures["ratio"]:
                cell += f" ({figures['ratio'][name]:.1f}x)"
            if name in figures["wer"]:
                cell += f" {100 * figures['wer'][name]:.2f} %"
            row.append(cell)
        rows.append(row)
    print("CPU milliseconds an utterance, median (times seqlab's), word error rate:")
    print(table(["", *names], rows))
    for figures in found:
        for name, error in figures["errors"].items():
            print(f"{name}, {Case(**figures['case'])}: {error}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object for machines")
    parser.add_argument("--quick", action="store_true", help="beam 16, one round")
    parser.add_argument("--posteriors", type=Path, help="an .npz file of real log-probabilities")
    parser.add_argument("--peers-python", help="a Python with flashlight-text and pyctcdecode")
    parser.add_argument("--beams", type=int, nargs="+", default=[16, 50, 100])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    """Command line."""
    import torch

    torch.set_num_threads(1)
    options = _options()
    if options.quick:
        options.beams, options.rounds = [16], 1
    sets = {}
    for tokens in (29, 500):
        rows = made(tokens)
        names = ["<blank>", " ", *(chr(0x4E00 + token) for token in range(tokens - 2))]
        lengths = np.full(len(rows), rows.shape[1], np.int64)
        sets[f"V={tokens}"] = Posteriors(rows, lengths, [], names, [])
    if options.posteriors is not None:
        sets[options.posteriors.stem] = Posteriors.load(options.posteriors)
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), sets)
        peers = PEERS if options.peers_python else ()
        workers = {name: Worker(options.peers_python) for name in peers}
        chosen = [c for c in cases(bench, options.beams, options.weights) if options.only in str(c)]
        found = [measure(bench, case, workers, options.rounds) for case in chosen]
        for worker in workers.values():
            worker.close()
    if options.json:
        print(json.dumps({"cases": found, "threads": 1, "versions": versions(PACKAGES)}))
    else:
        show(found)


if __name__ == "__main__":
    main()
