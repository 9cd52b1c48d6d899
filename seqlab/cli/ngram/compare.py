"""Compare two n-gram models on one text: which is better, how surely, and on which words.

example: seqlab ngram compare old.ngram new.ngram test.txt

The interval comes from drawing sentences of the text anew, many times.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from seqlab.cli.ngram.shared import MODEL_HELP, load_model
from seqlab.cli.ngram.texts import add_text_options, merged_scores, scored_blocks, text_source
from seqlab.cli.terminal import print_json, print_table
from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from seqlab.lm.ngram.comparison import Comparison, WordDifference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram compare``."""
    parser.add_argument("first", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("second", metavar="MODEL", help="another")
    parser.add_argument("text", metavar="TEXT", help="file with a sentence a line")
    add_text_options(parser)
    parser.add_argument(
        "--words", type=int, default=10, metavar="N", help="words shown of each; default: 10"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Score the text with both models and compare."""
    from seqlab.lm.ngram.comparison import compare
    from seqlab.lm.ngram.perplexity import perplexity_of
    from seqlab.lm.ngram.text import can_reread

    args.text = [args.text]
    source = text_source(args.text)
    if not can_reread(source[0]):
        raise SeqlabError(f"{args.text[0]} can be read only once, and each model reads it; save it")
    scores = [
        merged_scores(scored_blocks(load_model(path), args)) for path in (args.first, args.second)
    ]
    perplexities = [perplexity_of(part).perplexity for part in scores]
    result = compare(scores[0], scores[1])
    first, second = result.largest(args.words)
    if args.json:
        print_json(figures(args, result, perplexities, first, second))
        return 0
    names = [args.first, args.second]
    rows = [[name, f"{value:.4f}"] for name, value in zip(names, perplexities, strict=True)]
    print_table(["model", "perplexity"], rows)
    print(verdict(names, result))
    for name, words in zip(names, (first, second), strict=True):
        rows = [[row.word, row.count, f"{abs(row.total):.3f}"] for row in words]
        if rows:
            print_table(["word", "count", "gain (nats)"], rows, f"\n{name} gains most on")
    return 0


def verdict(names: list[str], result: Comparison) -> str:
    """One line for people."""
    better = names[0] if result.log_ratio > 0 else names[1]
    low, high = sorted((math.exp(abs(result.low)), math.exp(abs(result.high))))
    interval = f"{100 * result.confidence:.0f} % interval"
    counts = f"of the sentences {result.wins} suit the first better, {result.losses} the second"
    if not result.differs:
        return f"no difference is sure: the {interval} of the ratio holds 1; {counts}"
    ratio = math.exp(abs(result.log_ratio))
    return (
        f"{better} is better by a factor of {ratio:.4f}, {interval} {low:.4f}-{high:.4f}; {counts}"
    )


def figures(
    args: argparse.Namespace,
    result: Comparison,
    perplexities: list[float],
    first: list[WordDifference],
    second: list[WordDifference],
) -> dict[str, Any]:
    """All figures by name."""

    def rows(words: list[WordDifference]) -> list[dict[str, Any]]:
        return [{"word": w.word, "count": w.count, "total": w.total} for w in words]

    return {
        "models": [args.first, args.second],
        "perplexities": perplexities,
        "log_ratio": result.log_ratio,
        "interval": [result.low, result.high],
        "confidence": result.confidence,
        "differs": result.differs,
        "wins": result.wins,
        "losses": result.losses,
        "ties": result.ties,
        "first_gains": rows(first),
        "second_gains": rows(second),
    }
