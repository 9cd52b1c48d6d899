"""What encoders cost and see: parameters, MACs, receptive field, delay; all there are, or some.

Without names, every encoder of seqlab as it is by default; with names, those of recipes and model
folders. Receptive field and delay are measured in feature frames: the front end's window and its
own delay come on top. The delay counts from the first feature frame that an encoded frame stands
for to the last one that it reads. A dash stands for more than ten seconds, mostly all there is.

examples: seqlab encoders --input-dim 80 --causal
          seqlab encoders recipes/kws/fsdd/official.yaml runs/mine --json
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import print_json, print_table, say
from seqlab.cli.train import add_allow_module
from seqlab.errors import RecipeError

if TYPE_CHECKING:
    from seqlab.contracts import Encoder
    from seqlab.cost import EncoderCost

TAKES_OVERRIDES = True
COLUMNS = ("encoder", "parameters", "MACs/s", "frame ms", "sees ms", "delay ms", "streams")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab encoders``."""
    parser.add_argument(
        "names", nargs="*", metavar="RECIPE_OR_MODEL", help="YAML files, model or run folders"
    )
    parser.add_argument(
        "--input-dim",
        type=int,
        metavar="F",
        help="features a frame, without names; default: 40",
    )
    parser.add_argument(
        "--causal",
        action="store_true",
        help="without names: only those that can look back only, and built so",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_allow_module(parser)


def discovered(input_dim: int, causal: bool) -> Iterator[tuple[str, Encoder, float]]:
    """Name, encoder and frame shift in seconds of every encoder there is."""
    from seqlab import components
    from seqlab.contracts import Encoder
    from seqlab.cost import FRAME_S

    for path in components.available(Encoder, near="seqlab.encoders"):
        kind = components.resolve(path, Encoder)  # type: ignore[type-abstract]
        arguments: dict[str, Any] = {}
        if causal and "causal" in inspect.signature(kind).parameters:
            arguments["causal"] = True
        spec = {"class_path": path, "init_args": arguments}
        encoder = components.build(spec, Encoder, input_dim=input_dim)  # type: ignore[type-abstract]
        if encoder.causal or not causal:
            yield kind.__name__, encoder, FRAME_S


def named(args: argparse.Namespace) -> Iterator[tuple[str, Encoder, float]]:
    """Name, encoder and frame shift in seconds of each recipe and model folder."""
    from seqlab import components
    from seqlab.cli.locate import find_recipe, load_model
    from seqlab.contracts import Encoder, Frontend
    from seqlab.recipe import load_recipe

    for name in args.names:
        if Path(name).expanduser().is_dir():
            if args.overrides:
                raise RecipeError(f"{args.overrides[0]} is for recipes; the model {name} is fixed")
            model = load_model(name, args.allow_module)
            frontend, encoder = model.frontend, model.encoder
        else:
            recipe = load_recipe(find_recipe(name), args.overrides, args.allow_module)
            allowed = {"allow_modules": args.allow_module}
            frontend = components.build(recipe.frontend, Frontend, **allowed)  # type: ignore[type-abstract]
            wired = {"input_dim": frontend.output_dim, **allowed}
            encoder = components.build(recipe.encoder, Encoder, **wired)  # type: ignore[type-abstract]
        yield name, encoder, frontend.hop_length / frontend.sample_rate


def check_options(args: argparse.Namespace) -> None:
    """Raise RecipeError if an option has no effect."""
    if args.names and (args.input_dim is not None or args.causal):
        option = "--causal" if args.causal else "--input-dim"
        raise RecipeError(
            f"{option} is for the list of all encoders; a recipe or model has its own, leave it out"
        )
    if args.overrides and not args.names:
        raise RecipeError(f"{args.overrides[0]} is for recipes; name one, or see --help")


def row(name: str, encoder: Encoder, cost: EncoderCost) -> list[str]:
    """The figures as people read them, in the order of ``COLUMNS``."""
    shift = None if cost.stride is None else cost.stride * cost.frame_s
    times = [shift, cost.receptive_field_s, cost.latency_s]
    shown = ["-" if seconds is None else f"{1000 * seconds:.0f}" for seconds in times]
    macs = f"{cost.macs / 1e6:,.1f} M"
    return [name, f"{cost.parameters:,}", macs, *shown, "yes" if encoder.causal else "no"]


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from seqlab.cost import measure_encoder

    check_options(args)
    input_dim = 40 if args.input_dim is None else args.input_dim
    found = named(args) if args.names else discovered(input_dim, args.causal)
    rows, facts = [], []
    for name, encoder, frame_s in found:
        cost = measure_encoder(encoder, frame_s)
        rows.append(row(name, encoder, cost))
        facts.append(
            {"encoder": name, **dataclasses.asdict(cost)}
            | {"receptive_field_s": cost.receptive_field_s, "latency_s": cost.latency_s}
            | {"streams": encoder.causal}
        )
    if args.json:
        print_json(facts)
        return 0
    print_table(COLUMNS, rows)
    if any("-" in cells for cells in rows):
        say("a dash stands for more than ten seconds, mostly the whole recording")
    return 0
