"""Print the log-probability of each sentence of a text, one line a sentence.

examples: seqlab ngram score corpus.ngram test.txt
          generate | seqlab ngram score corpus.ngram - --base 10

The columns are the log-probability, the tokens (the end of the sentence is one), and how many of
them the model does not know.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli.ngram.shared import MODEL_HELP, load_model, print_rows
from seqlab.cli.ngram.texts import TEXT_HELP, add_text_options, scored_blocks, text_source

if TYPE_CHECKING:
    from seqlab.lm.ngram.token_scores import TokenScores

BASES = {"e": math.e, "2": 2.0, "10": 10.0}
COLUMNS = ["log_prob", "tokens", "unknown"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram score``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("text", nargs="+", metavar="TEXT", help=TEXT_HELP)
    add_text_options(parser)
    parser.add_argument(
        "--base", choices=BASES, default="e", help="of the logarithms; default: e, natural ones"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a row for each sentence."""
    text_source(args.text)
    blocks = scored_blocks(load_model(args.model), args)
    print_rows(COLUMNS, rows(blocks, math.log(BASES[args.base])), args.json, header=False)
    return 0


def rows(blocks: Iterator[TokenScores], unit: float) -> Iterator[list[Any]]:
    """A row for each sentence, logarithms divided by ``unit``."""
    for scores in blocks:
        for row in scores.sentences():
            yield [row.log_prob / unit, row.tokens, row.unknown]
