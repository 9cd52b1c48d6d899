"""Make an n-gram model smaller: leave out the n-grams that change it least.

examples: seqlab ngram prune large.ngram -o small.ngram --threshold 1e-8
          seqlab ngram prune large.ngram -o small.arpa.gz --ngrams 1000000

Under Kneser-Ney name a model of another smoothing as --history: its shorter n-grams say better
how often a history occurs.
"""

from __future__ import annotations

import argparse

from seqlab.cli.ngram.shared import (
    MODEL_HELP,
    OUTPUT_HELP,
    add_quantise,
    bytes_of,
    check_output,
    load_model,
    model_of_table,
    report_model,
    say_written,
    write_model,
)
from seqlab.cli.terminal import print_table, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram prune``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help=OUTPUT_HELP)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="leave out n-grams whose loss raises the perplexity by a smaller part, such as 1e-8",
    )
    target.add_argument("--ngrams", type=int, metavar="N", help="keep so many n-grams in all")
    target.add_argument("--size", metavar="SIZE", help="keep what fits into memory of this size")
    parser.add_argument("--history", metavar="MODEL", help="model that weighs the histories")
    add_quantise(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Prune."""
    from seqlab.lm.ngram.pruning import prune, prune_to_size

    check_output(args.output, args.quantise)
    history = load_model(args.history).table if args.history else None
    whole = load_model(args.model)
    if history is None and whole.facts.smoothing.endswith("kneser_ney"):
        say("note: a Kneser-Ney model is pruned better with another one as --history")
    if args.threshold is not None:
        pruned = prune(whole.table, args.threshold, history)
    else:
        size = None if args.size is None else bytes_of(args.size)
        pruned = prune_to_size(whole.table, args.ngrams, size, history)
    model = model_of_table(pruned.table, whole.facts)
    write_model(model, args.output, args.quantise)
    if args.json:
        facts = {"threshold": pruned.threshold, "before": list(pruned.before)}
        report_model(model, True, model=args.output, **facts)
    else:
        rows = [
            [order, before, after]
            for order, (before, after) in enumerate(
                zip(pruned.before, pruned.after, strict=True), 1
            )
        ]
        print_table(["order", "before", "after"], rows)
        print(f"threshold: {pruned.threshold:.4g}")
    say_written([args.output])
    return 0
