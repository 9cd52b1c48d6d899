"""Find a learning rate for a recipe: a few hundred steps at rising rates, a picture, a suggestion.

example: seqlab learning-rate recipes/asr/an4/convolutional.yaml -o rates.png

Nothing but the picture is written. Any value of the recipe can be overridden by
--section.key value.
"""

from __future__ import annotations

import argparse
import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.cli.terminal import Progress, print_json, print_table, say
from seqlab.cli.train import add_allow_module
from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from seqlab.recipe import Recipe
    from seqlab.training.lr_search import RateSearch

TAKES_OVERRIDES = True
FORMATS = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab learning-rate``."""
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="picture (png, svg, pdf); default: learning_rate_ and the recipe's name, .png",
    )
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps; default: 200")
    parser.add_argument("--lowest", type=float, default=1e-6, help="first rate; default: 1e-6")
    parser.add_argument("--highest", type=float, default=1.0, help="last rate; default: 1")
    parser.add_argument("--json", action="store_true", help="print rates and losses as JSON")
    add_allow_module(parser)


def search(recipe: Recipe, args: argparse.Namespace) -> RateSearch:
    """Search with progress on the terminal."""
    from seqlab.recipe import build_model, build_tokenizer
    from seqlab.training.lr_search import search_learning_rate

    with Progress(args.steps, "searching") as progress:
        return search_learning_rate(
            recipe,
            build_tokenizer(recipe),
            lambda tokenizer: build_model(recipe, tokenizer),
            lowest=args.lowest,
            highest=args.highest,
            steps=args.steps,
            stepped=lambda done, rate, loss: progress.update(
                done, f"rate {rate:.1e}, loss {loss:.3f}"
            ),
            noted=lambda note: progress.line(f"note: {note}"),
        )


def check_output(path: Path) -> Path:
    """Raise SeqlabError now if the picture could not be written after the search."""
    if path.suffix.lower() not in FORMATS:
        raise SeqlabError(f"--output {path} must end in one of {', '.join(FORMATS)}; rename it")
    if not path.parent.is_dir():
        raise SeqlabError(f"--output {path}: the folder {path.parent} does not exist; make it")
    if path.is_dir():
        raise SeqlabError(f"--output {path} is a folder, must be a file; name one in it")
    return path


def rounded(rate: float) -> float:
    """Two figures are more than the search can tell.

    >>> rounded(0.00123456)
    0.0012
    """
    return round(rate, 1 - math.floor(math.log10(rate)))


def run(args: argparse.Namespace) -> int:
    """Search, draw and suggest."""
    from seqlab.cli.locate import find_recipe
    from seqlab.data.manifest import write_atomically
    from seqlab.recipe import load_recipe
    from seqlab.training.lr_search import draw

    path = find_recipe(args.recipe)
    picture = check_output(Path(args.output or f"learning_rate_{path.stem}.png"))
    recipe = load_recipe(path, args.overrides, allow_modules=args.allow_module)
    found = search(recipe, args)
    if int(os.environ.get("RANK", "0")) != 0:
        return 0
    file = io.BytesIO()
    draw(found, recipe.title).savefig(file, format=picture.suffix[1:].lower())
    write_atomically(picture, file.getvalue())
    suggestion = None if found.suggestion is None else rounded(found.suggestion)
    if args.json:
        content = {"suggestion": suggestion, "largest": found.largest, "diverged": found.diverged}
        print_json(
            content | {"rates": found.rates, "losses": found.losses, "picture": str(picture)}
        )
        return 0
    rows: list[list[object]] = [
        ["suggested optimizer.lr", suggestion if suggestion is not None else "-"],
        ["loss is least at", rounded(found.largest)],
        ["the recipe has", recipe.optimizer.lr],
        ["picture", picture],
    ]
    print_table(["learning rate", "value"], rows)
    if suggestion is None:
        say("note: the loss never fell; lower --lowest, take more --steps, or look at the data")
    elif not found.diverged and found.largest == found.rates[-1]:
        say("note: the loss still fell at the last rate; raise --highest")
    return 0
