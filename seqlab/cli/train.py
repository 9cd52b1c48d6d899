"""Train the model of a recipe, evaluate it, and leave one folder with everything.

examples: seqlab train recipes/kws/fsdd/official.yaml -o runs/fsdd
          seqlab train my.yaml --optimizer.lr 0.001 --encoder.init_args.num_layers 4
          torchrun --nproc-per-node 2 -m seqlab.cli.main train my.yaml

Any value of the recipe can be overridden by --section.key value. Ctrl-C saves a checkpoint;
the same command with --resume goes on to the result of an uninterrupted training.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, duration, print_json, print_table, say

if TYPE_CHECKING:
    from seqlab.recipe import Recipe
    from seqlab.training.observer import Progress as Step
    from seqlab.training.run import RunResult

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab train``."""
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="run folder; default: runs/ and the recipe's name"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--print_config", action="store_true", help="print the resolved recipe and stop"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_allow_module(parser)


def add_allow_module(parser: argparse.ArgumentParser) -> None:
    """Describe ``--allow-module``."""
    parser.add_argument(
        "--allow-module",
        action="append",
        default=[],
        metavar="MODULE",
        help="trust the classes of this module outside of seqlab; may be repeated",
    )


class TerminalObserver:
    """Shows a training: a bar with the time left, and one line an epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last: Step | None = None

    def stepped(self, progress: Step) -> None:
        """Move the bar."""
        self._last = progress
        note = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}"
        self._progress.update(progress.step, note, progress.total_steps, progress.eta_s)

    def validated(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's line."""
        self._progress.line(epoch_line(row, self._last))

    def noted(self, message: str) -> None:
        """Print a sentence that a person should read."""
        self._progress.line(f"note: {message}")


def epoch_line(row: Mapping[str, Any], last: Step | None) -> str:
    """What a log keeps of an epoch.

    >>> epoch_line({"epoch": 2, "epoch_loss": 0.5, "dev_accuracy": 0.91, "elapsed_s": 75.0}, None)
    'epoch 2  loss 0.500  dev accuracy 91.0 %  1:15 elapsed'
    """
    parts = [f"epoch {row['epoch']}" + (f"/{last.epochs}" if last else "")]
    shown = {"epoch_loss": "loss", "dev_loss": "dev loss"}
    parts += [f"{text} {row[name]:.3f}" for name, text in shown.items() if row.get(name)]
    shown = {"dev_accuracy": "dev accuracy", "dev_word_error_rate": "dev word errors"}
    shown |= {"dev_miss_rate": "missed", "dev_event_f1": "dev event F1"}
    parts += [
        f"{text} {100 * row[name]:.1f} %"
        for name, text in shown.items()
        if row.get(name) is not None
    ]
    parts.append(f"{duration(row['elapsed_s'])} elapsed")
    if last and last.step < last.total_steps:
        parts.append(f"{duration(last.eta_s)} left")
    return "  ".join(parts)


def train_with_progress(
    recipe: Recipe, folder: Path, command: Sequence[str], resume: bool = False
) -> RunResult:
    """Train with progress on the terminal."""
    from seqlab.recipe import train_recipe
    from seqlab.training.allocation import keep_freed_memory

    keep_freed_memory()
    with Progress(None, "training") as progress:
        observer = TerminalObserver(progress)
        return train_recipe(recipe, folder, resume=resume, observer=observer, command=command)


def print_result(result: RunResult) -> None:
    """Print the figures of each split and where things are."""
    from seqlab.training.findings import METRIC_NAMES, interval_text, percent

    rows = []
    for split, evaluation in result.evaluations.items():
        name = METRIC_NAMES.get(evaluation.metric, evaluation.metric)
        interval = interval_text(evaluation.interval())
        count = len(evaluation.records)
        rows.append([split, count, name, percent(evaluation.value), interval])
    if rows:
        print_table(["split", "utterances", "metric", "value", "95 % interval"], rows)
    print(f"model:  {result.folder / 'model'}")
    print(f"report: {result.folder / 'report.html'}")


def reproducing_command(argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """The command without ``--resume``: what gives the whole result in one go.

    Args:
        argv: As typed, ``seqlab`` first.
        environment: Of the process; torchrun says there how many it started.

    >>> reproducing_command(["seqlab", "train", "a.yaml", "--resume"], {"WORLD_SIZE": "2"})
    ['torchrun', '--nproc-per-node', '2', '-m', 'seqlab.cli.main', 'train', 'a.yaml']
    """
    command = [argument for argument in argv if argument != "--resume"]
    processes = environment.get("WORLD_SIZE", "1")
    if processes == "1":
        return command
    return ["torchrun", "--nproc-per-node", processes, "-m", "seqlab.cli.main", *command[1:]]


def run(args: argparse.Namespace) -> int:
    """Train."""
    from seqlab.cli.locate import find_recipe
    from seqlab.recipe import load_recipe

    path = find_recipe(args.recipe)
    recipe = load_recipe(path, args.overrides, allow_modules=args.allow_module)
    if args.print_config:
        print(recipe.to_yaml(), end="")
        return 0
    folder = Path(args.output) if args.output else Path("runs") / path.stem
    command = reproducing_command(args.argv, os.environ)
    result = train_with_progress(recipe, folder, command, args.resume)
    if int(os.environ.get("RANK", "0")) != 0:
        return 0
    if args.json:
        figures = {split: e.figures for split, e in result.evaluations.items()}
        print_json({"folder": str(folder), "figures": figures})
    else:
        print_result(result)
        if recipe.synthetic:
            say("note: trained on synthetic speech; figures on such speech say little of people")
    return 0
