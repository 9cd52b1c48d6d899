"""Check a recipe before training, and explain what it builds and what data it finds.

example: seqlab check recipes/asr/an4/convolutional.yaml --encoder.init_args.dropout 0.2
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import print_json, print_table, say
from seqlab.cli.train import add_allow_module

if TYPE_CHECKING:
    from seqlab.recipe import Recipe

TAKES_OVERRIDES = True
COMPONENTS = ("text", "frontend", "normalize", "encoder", "head")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab check``."""
    parser.add_argument("recipe", metavar="RECIPE", help="a YAML file")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_allow_module(parser)


def explain(recipe: Recipe) -> dict[str, Any]:
    """What the recipe builds, by name.

    Raises:
        RecipeError: the parts cannot be built or do not fit together.
    """
    from seqlab.recipe import check_recipe

    summary = check_recipe(recipe)
    content = recipe.as_dict()
    facts: dict[str, Any] = {"title": recipe.title, "task": summary.task}
    for name in COMPONENTS:
        if content.get(name):
            facts[name] = content[name]["class_path"].rpartition(".")[2]
    if recipe.intermediate is not None:
        layers = ", ".join(map(str, recipe.intermediate["layers"]))
        told = ", conditions the next" if recipe.intermediate["self_condition"] else ""
        facts["intermediate"] = f"CTC after layer {layers}{told}"
    if recipe.warm_start is not None:
        facts["warm start"] = f"{', '.join(recipe.warm_start.parts)} of {recipe.warm_start.model}"
    facts["parameters"] = summary.parameters
    facts["classes"] = summary.num_classes or "from the training texts"
    facts["sample rate"] = f"{summary.sample_rate} Hz"
    facts["encoded frame"] = f"{1000 * summary.frame_s:.0f} ms"
    data = recipe.data
    per_batch = f"{data.batch_size} utterances"
    facts["batch"] = per_batch if data.batch_size else f"{data.batch_duration_s} s of speech"
    facts["optimizer"] = f"{recipe.optimizer.name}, schedule {recipe.schedule.name}"
    facts["epochs"] = recipe.training.epochs
    facts["speech"] = "synthetic" if recipe.synthetic else "recorded"
    return facts


def find_data(recipe: Recipe) -> list[list[object]]:
    """Each split with its manifests: utterances and hours, or what is missing."""
    from seqlab.data.config import load_split, split_path

    rows: list[list[object]] = []
    for split in ("train", "dev", "test"):
        names = getattr(recipe.data, split)
        paths = [split_path(recipe.data.root, name) for name in names]
        missing = [path for path in paths if not path.exists()]
        if missing:
            rows.append([split, f"{missing[0]} is not there; see seqlab prepare --help", "-"])
        elif names:
            utterances = load_split(recipe.data, split)
            hours = sum(u.duration_s for u in utterances) / 3600
            rows.append([split, f"{len(utterances)} utterances", f"{hours:.2f} h"])
    return rows


def run(args: argparse.Namespace) -> int:
    """Check and explain."""
    from seqlab.cli.locate import find_recipe
    from seqlab.recipe import load_recipe

    path = find_recipe(args.recipe)
    recipe = load_recipe(path, args.overrides, allow_modules=args.allow_module)
    facts = explain(recipe)
    data = find_data(recipe)
    if args.json:
        print_json({"recipe": facts, "data": data})
        return 0
    shown = {name: f"{v:,}" if isinstance(v, int) else v for name, v in facts.items()}
    print_table(["part", "what"], shown.items(), title=str(path))
    print()
    print_table(["split", "found", "hours"], data)
    say("the recipe is good")
    return 0
