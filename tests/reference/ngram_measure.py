"""Measures what recipes/lm/wikitext2 reports, by the very commands that it prints.

`python -m tests.reference.ngram_page --measure` runs it: about ten minutes of one core and 1.5 GB.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqlab.cli.main import main
from seqlab.intervals import bootstrap_interval

TRAIN, VALID, TEST = (f"wiki.{part}.tokens.gz" for part in ("train", "valid", "test"))
ORDERS = range(1, 7)
SMOOTHINGS = {  # name in the tables: arguments of seqlab ngram train
    "maximum likelihood": "--smoothing maximum_likelihood",
    "Laplace (add one)": "--smoothing laplace",
    "add k, k = 0.01": "--smoothing add_k --set k=0.01",
    "Jelinek-Mercer, held out": f"--smoothing jelinek_mercer --held-out {VALID}",
    "Jelinek-Mercer, leaving one out": "--smoothing jelinek_mercer",
    "Good-Turing, Katz back-off": "--smoothing good_turing",
    "Witten-Bell": "--smoothing witten_bell",
    "absolute discounting, back-off": "--smoothing absolute_discounting --set interpolated=false",
    "absolute discounting": "--smoothing absolute_discounting",
    "Kneser-Ney, back-off": "--smoothing kneser_ney --set interpolated=false",
    "Kneser-Ney": "--smoothing kneser_ney",
    "modified Kneser-Ney, back-off": "--smoothing modified_kneser_ney --set interpolated=false",
    "modified Kneser-Ney": "--smoothing modified_kneser_ney",
    "stupid back-off (scores)": "--smoothing stupid_backoff",
}
K_SWEEP = ("1", "0.1", "0.01", "0.001", "0.0001")
CUTOFFS = ("0 0 1", "0 1", "0 1 1 2", "0 2", "0 4", "0 8")
SIZES = (3_000_000, 1_000_000, 300_000, 100_000)  # n-grams left by entropy pruning
KENLM = {  # arguments: perplexity by KenLM's lmplz and query
    "--order 2": 263.96,
    "--order 3": 226.05,
    "--order 4": 221.34,
    "--order 5": 220.14,
    "--order 6": 219.82,
    "--order 3 --cutoffs 0 1 1": 248.55,
    "--order 3 --cutoffs 0 0 1": 230.31,
    "--order 5 --cutoffs 0 0 1 1 1": 225.68,
    "--order 3 --set interpolate_unigrams=false": 235.55,
    "--order 5 --set interpolate_unigrams=false": 229.39,
}
RESPELL = r"""
zcat wiki.train.tokens.gz | sed 's/<unk>/<UNK>/g' > train.txt
zcat wiki.test.tokens.gz | sed 's/<unk>/<UNK>/g' > test.txt
"""
BOOK = r"""
zcat warandpeace.txt.gz | sed '1,/START OF THIS/d; /END OF THIS/,$d' |
  awk 'BEGIN {RS = ""} {gsub(/\r?\n/, " "); print}' |
  sed -E "s/“|”/\"/g; s/’/'/g; s/—/ – /g; s/([a-z])-([a-z])/\1 @-@ \2/g" |
  sed -E "s/([].,;:!?()\"[])/ \1 /g; s/('(s|t|re|ll|ve|d|m))\b/ \1/g" > book.txt
head -9000 book.txt > book.train.txt
sed -n '9001,10100p' book.txt > book.valid.txt
sed -n '10101,$p' book.txt > book.test.txt
zcat wiki.train.tokens.gz | cat - book.train.txt > words.txt
"""  # noqa: RUF001


@dataclass(frozen=True)
class Cell:
    """A model to measure.

    Args:
        section: of the page.
        system: name of the row.
        commands: that make ``model.ngram``, or the model that ``model`` names.
        order: length of the longest n-grams.
        test: text that it is measured on.
        valid: another one, where a choice is made on it.
        model: file name.
    """

    section: str
    system: str
    commands: tuple[str, ...]
    order: int = 5
    test: str = TEST
    valid: str = ""
    model: str = "model.ngram"


def cells() -> Iterator[Cell]:
    """All models of the page."""
    train = f"seqlab ngram train {TRAIN} -o"
    for order in ORDERS:
        for name, options in SMOOTHINGS.items():
            yield Cell(
                "smoothing", name, (f"{train} model.ngram --order {order} {options}",), order
            )
        for k in K_SWEEP:
            command = f"{train} model.ngram --order {order} --smoothing add_k --set k={k}"
            yield Cell("add k", f"k = {k}", (command,), order, valid=VALID)
    for options in KENLM:
        command = f"seqlab ngram train train.txt -o model.ngram {options}"
        yield Cell("kenlm", options, (command,), int(options.split()[1]), "test.txt")
    for count in (1, 5, 10, 20):
        command = f"{train} model.ngram --min-count {count}"
        yield Cell("min_count", str(count), (command,), valid=VALID)
    yield from size_cells(train)
    yield from adaptation_cells()


def size_cells(train: str) -> Iterator[Cell]:
    """Cut-offs, entropy pruning and rounding of a model of order 5."""
    yield Cell("size", "whole", (f"{train} model.ngram",), valid=VALID)
    yield Cell("size", "whole, 8 bits", (f"{train} model.ngram --quantise",), valid=VALID)
    for cutoffs in CUTOFFS:
        command = f"{train} model.ngram --cutoffs {cutoffs}"
        yield Cell("size", f"cut-offs {cutoffs}", (command,), valid=VALID)
    kn = f"{train} kn5.ngram --smoothing modified_kneser_ney"
    wb = f"{train} wb5.ngram --smoothing witten_bell"
    gt = f"{train} gt5.ngram --smoothing good_turing"
    for size in SIZES:
        prune = f"seqlab ngram prune {{}} -o model.ngram --ngrams {size}"
        for name, base in (("kn5", kn), ("wb5", wb), ("gt5", gt)):
            title = {"kn5": "pruned", "wb5": "pruned Witten-Bell", "gt5": "pruned Katz"}[name]
            yield Cell("size", title, (base, prune.format(f"{name}.ngram")), valid=VALID)
        command = prune.format("kn5.ngram") + " --history wb5.ngram"
        yield Cell("size", "pruned, --history Witten-Bell", (kn, wb, command), valid=VALID)
    command = f"seqlab ngram prune kn5.ngram -o model.ngram --ngrams {SIZES[1]} --history wb5.ngram"
    name = "pruned, --history Witten-Bell, 8 bits"
    yield Cell("size", name, (kn, wb, command + " --quantise"), valid=VALID)


def adaptation_cells() -> Iterator[Cell]:
    """A model of WikiText-2 and one of a novel, each alone and mixed, on both test texts."""
    wiki = f"seqlab ngram train {TRAIN} -o wiki.ngram --vocabulary words.txt"
    book = "seqlab ngram train book.train.txt -o book.ngram --vocabulary words.txt"
    for test, valid in ((TEST, VALID), ("book.test.txt", "book.valid.txt")):
        mix = f"seqlab ngram interpolate wiki.ngram book.ngram -o both.ngram --tune {valid}"
        yield Cell("adaptation", "WikiText-2 alone", (wiki,), 5, test, valid, "wiki.ngram")
        yield Cell("adaptation", "War and Peace alone", (book,), 5, test, valid, "book.ngram")
        yield Cell("adaptation", "both", (wiki, book, mix), 5, test, valid, "both.ngram")


class Shell:
    """Runs the commands in a folder; those that made a model with a name of its own just once."""

    def __init__(self) -> None:
        self.done: dict[str, tuple[dict[str, Any], float]] = {}

    def run(self, command: str) -> tuple[dict[str, Any], float]:
        """What a command prints as JSON, and the seconds of processor time it took."""
        if command in self.done:
            return self.done[command]
        output = io.StringIO()
        started = time.process_time()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            status = main([*shlex.split(command)[1:], "--json"])
        seconds = time.process_time() - started
        if status:
            raise SystemExit(f"{command}: status {status}")
        result = json.loads(output.getvalue()), seconds
        if " model.ngram" not in command:
            self.done[command] = result
        return result

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The record of one cell."""
        ran = [self.run(command) for command in cell.commands]
        made = ran[-1][0]
        perplexity = f"seqlab ngram perplexity {cell.model}"
        test = self._score(perplexity, cell.test)
        valid = self._score(perplexity, cell.valid)["perplexity"] if cell.valid else None
        return {
            "section": cell.section,
            "system": cell.system,
            "order": cell.order,
            "split": cell.test,
            "metric": "perplexity",
            "values": [_figure(test["perplexity"])],
            "excluding_unknown": _figure(test["perplexity_excluding_unknown"]),
            "confidence_interval": test["interval"],
            "tokens": test["tokens"],
            "unknown": test["unknown"],
            "zeros": test["zeros"],
            "valid": None if valid is None else _figure(valid),
            "ngrams": made["ngrams"],
            "bytes": Path(cell.model).stat().st_size,
            "weights": [round(weight, 4) for weight in made.get("weights", [])],
            "command": " && ".join((*cell.commands, f"{perplexity} {cell.test}")),
            "seconds": [round(ran[-1][1], 2)],
            "machine": machine(),
        }

    def _score(self, perplexity: str, text: str) -> dict[str, Any]:
        """Perplexities of a text, and the 95 % interval from drawing its sentences."""
        result = self._fresh(f"{perplexity} {text}")
        if result["zeros"]:
            return {**result, "interval": None}
        rows = self._fresh(f"{perplexity} {text} --per-sentence")
        log_probs = np.array([row["log_prob"] for row in rows])
        interval = bootstrap_interval(-log_probs, [row["tokens"] for row in rows])
        return {**result, "interval": [round(math.exp(bound), 2) for bound in interval]}

    def _fresh(self, command: str) -> Any:
        try:
            return self.run(command)[0]
        finally:
            self.done.pop(command, None)  # the model of this name may become another


def _figure(value: Any) -> float | None:
    """A perplexity with four decimals; None where it is infinite."""
    return round(float(value), 4) if value is not None and math.isfinite(float(value)) else None


def machine() -> str:
    """Processor and Python, for the record."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, Python {platform.python_version()}"


def prepare(folder: Path) -> None:
    """Link the corpora into a folder and make the texts that are derived from them."""
    text = Path(os.environ["SEQLAB_DATA"]) / "text"
    for path in (*(text / "wikitext2" / name for name in (TRAIN, VALID, TEST)), text / "books"):
        for source in path.glob("warandpeace*") if path.is_dir() else [path]:
            (folder / source.name).symlink_to(source.resolve())
    for script in (RESPELL, BOOK):
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)


def measure_all(folder: Path) -> list[dict[str, Any]]:
    """Every cell, measured in a folder that holds the texts."""
    with contextlib.chdir(folder):
        shell, records = Shell(), []
        Path("warm.txt").write_text("a b\nb a c\n" * 3)  # so that no compiling is measured
        for options in SMOOTHINGS.values():
            shell.run(f"seqlab ngram train warm.txt -o model.ngram {options}")
        for cell in cells():
            records.append(shell.measure(cell))
            figures = records[-1]
            print(cell.section, cell.system, cell.order, figures["values"], figures["seconds"])
    return records
