"""Print sentences that an n-gram model makes up, one a line.

examples: seqlab ngram sample corpus.ngram -n 5 --seed 1
          seqlab ngram sample corpus.ngram --prefix "the old" --temperature 0.7

Characters and pieces of words are put together again.
"""

from __future__ import annotations

import argparse
import os

from seqlab.cli.ngram.shared import MODEL_HELP, load_model
from seqlab.cli.ngram.texts import add_unit, joined, parted, unit_options
from seqlab.cli.terminal import print_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram sample``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "-n", "--count", type=int, default=10, metavar="N", help="sentences; default: 10"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="default: another in each call")
    parser.add_argument("--prefix", default="", metavar="WORDS", help="how each sentence begins")
    parser.add_argument(
        "--max-words", type=int, default=100, metavar="N", help="cut after so many; default: 100"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1 likely words become likelier, above 1 less so; default: 1",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest only")
    parser.add_argument("--no-unknown", action="store_true", help="never draw <unk>")
    add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Draw and print sentences."""
    from seqlab.checks import check_at_least

    if args.seed is not None:
        check_at_least("--seed", args.seed, 0)
    model = load_model(args.model)
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4))
    prefix = parted(args.prefix, unit_options(args, model.facts)) if args.prefix else []
    sentences = model.sample(
        args.count,
        seed,
        args.max_words,
        args.temperature,
        args.top_k,
        prefix,
        unknown=not args.no_unknown,
    )
    texts = [joined([*prefix, *words], args, model.facts) for words in sentences]
    if args.json:
        print_json({"seed": seed, "sentences": texts})
    else:
        print("\n".join(texts))
    return 0
