"""Tasks of the n-gram benchmark, each in a process of its own.

``python -m tests.benchmarks.ngram_worker TASK ARGUMENTS``: arguments and figures are JSON. Every
task first does the same with a few lines, so that compiled code is loaded, and then measures.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from seqlab.lm.ngram.estimation import Estimation
from seqlab.lm.ngram.model import NGramModel
from tests.benchmarks.timing import status_bytes

FEW_LINES = [f"a few lines {word} that {word} warm up" for word in "bcdefgh"]


class Meter:
    """Seconds and CPU seconds of a block, and the process's peak memory at its end."""

    def __enter__(self) -> Meter:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu
        self.peak_mb = status_bytes("VmHWM") / 1e6

    def figures(self, since: Meter | None = None) -> dict[str, float]:
        """What was measured; with ``since``, of both blocks together."""
        wall, cpu = (since.wall_s, since.cpu_s) if since else (0.0, 0.0)
        return {
            "wall_s": self.wall_s + wall,
            "cpu_s": self.cpu_s + cpu,
            "peak_mb": self.peak_mb,
        }


@contextmanager
def small_model(order: int, **options: Any) -> Iterator[tuple[NGramModel, Path]]:
    """A model of a few lines and a folder, to load compiled code with."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = Path(folder, "text")
        text.write_text("\n".join([*FEW_LINES, ""]), encoding="ascii")
        yield NGramModel.estimate(str(text), order, **options), Path(folder)


def estimate(
    text: str,
    order: int,
    threads: int,
    arpa: str | None = None,
    memory: str | None = None,
    binary: str | None = None,
) -> dict[str, Any]:
    """A model of a text, and the same with its ARPA or binary file written."""
    with small_model(order, threads=threads) as (small, folder):
        small.write_arpa(folder / "arpa")
    with Meter() as estimating:
        model = NGramModel.estimate(
            text, order, threads=threads, memory=memory, scratch_folder=Path(text).parent
        )
    found = {"model": estimating.figures(), "ngrams": sum(model.sizes)}
    if arpa is not None:
        with Meter() as writing:
            model.write_arpa(arpa)
        found |= {"arpa": writing.figures(estimating), "writing": writing.figures()}
        Path(arpa).unlink()
    if binary is not None:
        with Meter() as saving:
            model.save(binary)
        found["binary"] = saving.figures(estimating)
        Path(binary).unlink()
    return found


def build(text: str, test: str, order: int, folder: str) -> dict[str, Any]:
    """Files of one model: ARPA, binary, quantised binary; and the perplexity of ``test``."""
    model = NGramModel.estimate(text, order)
    place = Path(folder)
    model.write_arpa(place / "model.arpa")
    with Meter() as saving:
        model.save(place / "model.ngram")
    model.save(place / "quantised.ngram", quantise=True)
    del model
    sizes = {path.name: path.stat().st_size for path in place.glob("*.*")}
    perplexity = NGramModel.load(place / "model.ngram").perplexity(test)
    return {
        "sizes": sizes,
        "saving": saving.figures(),
        "perplexity": perplexity.perplexity,
        "tokens": perplexity.tokens,
    }


def query(model: str, text: str) -> dict[str, Any]:
    """Log-probabilities of a text in a file, every token and sentence, on one thread."""
    loaded = NGramModel.load(model)
    loaded.scorer.text("\n".join([*FEW_LINES, ""]).encode())
    with Meter() as meter:
        scores = loaded.scorer.text(np.fromfile(text, np.uint8))
    return {**meter.figures(), "tokens": int(scores.tokens.sum())}


def sentences(model: str, text: str) -> dict[str, Any]:
    """Log-probabilities sentence by sentence."""
    return _sentences(NGramModel.load(model).score, text)


def wheel_sentences(model: str, text: str) -> dict[str, Any]:
    """The kenlm package, sentence by sentence."""
    import kenlm

    return _sentences(kenlm.Model(model).score, text)


def _sentences(score: Callable[[str], float], text: str) -> dict[str, Any]:
    lines = Path(text).read_text(encoding="utf-8").splitlines()
    score(FEW_LINES[0])
    with Meter() as meter:
        for line in lines:
            score(line)
    return {**meter.figures(), "tokens": sum(len(line.split()) + 1 for line in lines)}


def words(model: str, text: str) -> dict[str, Any]:
    """Log-probabilities word by word, the state going in and out."""
    loaded = NGramModel.load(model)

    def score(lines: list[list[str]]) -> float:
        total = 0.0
        advance = loaded.advance
        for line in lines:
            state = loaded.initial_state()
            for word in line:
                log_prob, state = advance(state, word)
                total += log_prob
            total += advance(state, "</s>")[0]
        return total

    return _words(score, text)


def wheel_words(model: str, text: str) -> dict[str, Any]:
    """The kenlm package, word by word."""
    import kenlm

    loaded = kenlm.Model(model)

    def score(lines: list[list[str]]) -> float:
        total = 0.0
        for line in lines:
            state, after = kenlm.State(), kenlm.State()
            loaded.BeginSentenceWrite(state)
            for word in line:
                total += loaded.BaseScore(state, word, after)
                state, after = after, state
            total += loaded.BaseScore(state, "</s>", after)
        return total

    return _words(score, text)


def _words(score: Callable[[list[list[str]]], float], text: str) -> dict[str, Any]:
    lines = [line.split() for line in Path(text).read_text(encoding="utf-8").splitlines()]
    score([line.split() for line in FEW_LINES])
    with Meter() as meter:
        score(lines)
    return {**meter.figures(), "tokens": sum(map(len, lines)) + len(lines)}


def load(model: str, verify: bool) -> dict[str, Any]:
    """Loading a binary file that the system has in memory, up to the first score."""
    with small_model(3) as (small, folder):
        small.save(folder / "model")
        NGramModel.load(folder / "model", verify=verify).score("a few")
    with Meter() as meter:
        NGramModel.load(model, verify=verify).score("a few")
    return meter.figures()


def read_arpa(arpa: str) -> dict[str, Any]:
    """Reading an ARPA file, and building what scores from it."""
    with small_model(3) as (small, folder):
        small.write_arpa(folder / "arpa")
        NGramModel.load(folder / "arpa").score("a few")
    with Meter() as reading:
        model = NGramModel.load(arpa)
    with Meter() as building:
        model.score("a few")
    return {
        "reading": reading.figures(),
        "ready": building.figures(reading),
        "lines": sum(model.sizes),
    }


def same(text: str, test: str, order: int, memory: str) -> dict[str, Any]:
    """Whether a model made by way of the disk is the one made in memory, bit for bit."""
    folder = Path(text).parent
    by_disk = NGramModel.estimate(text, order, memory=memory, scratch_folder=folder)
    limited = Estimation(order, memory=memory, scratch_folder=folder)
    in_memory = NGramModel.estimate(text, order)
    pairs: list[tuple[Any, Any]] = [
        *zip(by_disk.table.log_prob, in_memory.table.log_prob, strict=True),
        *zip(by_disk.table.log_backoff, in_memory.table.log_backoff, strict=True),
    ]
    for ours, other in zip(by_disk.table.ngrams.levels, in_memory.table.ngrams.levels, strict=True):
        pairs += [
            (ours.first, other.first),
            (ours.suffix, other.suffix),
            (ours.context, other.context),
        ]
    with limited.scratch(text) as scratch:
        on_disk = scratch.on_disk
    return {
        "on_disk": on_disk,
        "equal": by_disk.words == in_memory.words
        and all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs),
        "perplexities": [model.perplexity(test).perplexity for model in (by_disk, in_memory)],
        "ngrams": sum(in_memory.sizes),
    }


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (
        estimate, build, query, sentences, words, wheel_sentences, wheel_words, load, read_arpa,
        same,
    )
}  # fmt: skip


def main() -> None:
    """Run the task that the command line names."""
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
