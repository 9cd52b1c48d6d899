"""Train and use a keyword model in a few minutes, on spoken digits that this machine makes.

Prepares synthetic digits (needs pip install "seqlab[synth]"), trains a small model on them,
evaluates it on voices it has not heard, writes report.html and classifies a recording. The
speech is synthetic: it shows that everything works, not how well it would do with people.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.cli.terminal import duration, print_table, say

if TYPE_CHECKING:
    from seqlab.training.run import RunResult

RECIPE = "recipes/kws/synthetic_digits/residual.yaml"
TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab demo``."""
    parser.add_argument(
        "-o", "--output", default="runs/demo", metavar="DIR", help="default: runs/demo"
    )


def train_demo(folder: Path, overrides: list[str]) -> RunResult:
    """Prepare the digits, train the recipe on them, and evaluate."""
    from seqlab.cli.locate import find_recipe
    from seqlab.cli.train import train_with_progress
    from seqlab.data.corpora import prepare
    from seqlab.recipe import load_recipe

    say("1. Making spoken digits with espeak-ng (kept for the next time) ...")
    data = folder / "data"
    header, *rows = prepare("synthetic_digits", "-", data).rows()
    print_table(header, rows)
    say("2. Training a keyword model on them ...")
    overrides = [f"--data.root={data}", *overrides]
    recipe = load_recipe(find_recipe(RECIPE), overrides)
    run_folder = folder / "run"
    if is_demo(run_folder, recipe.title):  # from an earlier time
        shutil.rmtree(run_folder)
    command = ["seqlab", "train", RECIPE, *overrides, "-o", str(run_folder)]
    return train_with_progress(recipe, run_folder, command)


def is_demo(folder: Path, title: str) -> bool:
    """Whether ``folder`` holds a training of the demo's recipe, not one of the user's own."""
    from seqlab.errors import RecipeError
    from seqlab.recipe_file import read_yaml

    try:
        recipe = read_yaml(folder / "recipe.yaml")
    except RecipeError:
        return False
    return recipe.get("title") == title and recipe.get("synthetic") is True


def cut_example(result: RunResult, folder: Path) -> tuple[Path, str]:
    """Write one test recording as a wav; returns its path and what is said in it."""
    from seqlab.audio import load_audio, save_audio

    record = result.evaluations["test"].records[0]
    waveform, sample_rate = load_audio(
        record.path, start_s=record.start_s, duration_s=record.duration_s
    )
    path = folder / f"{record.reference}.wav"
    save_audio(path, waveform, sample_rate)
    return path, record.reference


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    from seqlab.cli.train import print_result
    from seqlab.model import SpeechModel

    started = time.monotonic()
    folder = Path(args.output)
    result = train_demo(folder, args.overrides)
    say("3. Results, on voices that were not in the training:")
    print_result(result)
    wav, said = cut_example(result, folder)
    model_folder = result.folder / "model"
    say("4. Using the model: " + shlex.join(["seqlab", "classify", str(model_folder), str(wav)]))
    answers = SpeechModel.load(model_folder).classify([wav], top_k=3)[0]
    rows = [[str(wav), answer.label, f"{answer.probability:.3f}"] for answer in answers]
    print_table(["file", "label", "probability"], rows)
    print(f"The recording says {said!r}; the model hears {answers[0].label!r}.")
    print("This accuracy is on SYNTHETIC SPEECH, not on people; it only shows that all works.")
    print(f"Open {result.folder / 'report.html'} in a browser.")
    say(f"All of it took {duration(time.monotonic() - started)}.")
    return 0
