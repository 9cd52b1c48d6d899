"""The most probable labels of audio files, such as which keyword was said.

example: seqlab classify runs/fsdd a.wav b.wav --top 3
"""

from __future__ import annotations

import argparse

from seqlab.cli import exported, recognise
from seqlab.cli.terminal import print_json, print_table
from seqlab.errors import ModelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab classify``."""
    recognise.add_arguments(parser)
    parser.add_argument(
        "--top", type=int, default=1, metavar="N", help="labels for each file; default: 1"
    )


def run(args: argparse.Namespace) -> int:
    """Classify."""
    if args.top < 1:
        raise ModelError(f"--top {args.top} must be at least 1")
    if exported.is_export(args.model):
        return exported.classify(args)
    from seqlab.cli.locate import load_model, warn_if_synthetic

    model = load_model(args.model, args.allow_module)
    recognise.check_task(model, args.model, "classification")
    warn_if_synthetic(model)
    top = min(args.top, len(model.tokenizer))
    failed: list[str] = []
    answers = recognise.recognise(
        model, args.files, lambda w: model.classify([w], model.sample_rate, top_k=top)[0], failed
    )
    found = [(file, labels) for file, labels in answers]
    if args.json:
        print_json(
            [
                {
                    "file": file,
                    "labels": [{"label": c.label, "probability": c.probability} for c in labels],
                }
                for file, labels in found
            ]
        )
    elif found:
        rows = [[f, c.label, f"{c.probability:.3f}"] for f, labels in found for c in labels]
        print_table(["file", "label", "probability"], rows)
    recognise.raise_failed(failed, len(args.files))
    return 0
