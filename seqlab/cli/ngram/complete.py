"""Print the words that an n-gram model expects next, the most probable first.

example: seqlab ngram complete corpus.ngram "once upon a" -n 5
"""

from __future__ import annotations

import argparse
import math

from seqlab.cli.ngram.shared import MODEL_HELP, load_model
from seqlab.cli.ngram.texts import add_unit, parted, unit_options
from seqlab.cli.terminal import print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram complete``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("prefix", metavar="WORDS", help="the beginning of a sentence; may be empty")
    parser.add_argument(
        "-n", "--count", type=int, default=10, metavar="N", help="words; default: 10"
    )
    add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print words and probabilities."""
    model = load_model(args.model)
    prefix = parted(args.prefix, unit_options(args, model.facts)) if args.prefix else []
    expected = model.complete(prefix, args.count)
    if args.json:
        print_json([{"word": word, "log_prob": log_prob} for word, log_prob in expected])
    else:
        rows = [[word, f"{math.exp(log_prob):.6f}"] for word, log_prob in expected]
        print_table(["word", "probability"], rows)
    return 0
