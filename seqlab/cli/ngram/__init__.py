"""N-gram language models: estimated from text, measured, converted, combined and used.

examples: seqlab ngram train corpus.txt.gz -o corpus.ngram --order 5
          seqlab ngram perplexity corpus.ngram test.txt
          seqlab ngram convert corpus.ngram corpus.arpa.gz

Texts are plain, gzip, bzip2 or xz files with a sentence a line; - is standard input. Models are
ARPA files of any toolkit or this one's own binary files (.ngram).
"""

from __future__ import annotations

import argparse
import importlib

from seqlab.errors import SeqlabError

COMMANDS = {
    "train": "estimate a model from text",
    "perplexity": "how well a model predicts a text",
    "score": "log-probability of each sentence",
    "convert": "from ARPA to a binary file or back",
    "interpolate": "one model from several",
    "prune": "leave out n-grams that change little",
    "sample": "sentences that a model makes up",
    "complete": "the words that a model expects next",
    "compare": "two models on one text, word by word",
    "coverage": "which words and n-grams of a text a model knows",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram``; its subcommands are not imported."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, text in COMMANDS.items()]
    parser.usage = f"{parser.prog} [-h] COMMAND ..."
    parser.epilog = (
        "commands:\n" + "\n".join(lines) + f"\n\n{parser.prog} COMMAND --help says more of each."
    )
    parser.add_argument("action", metavar="COMMAND", help="one of the commands below")
    rest = parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    rest.required = False  # so that without a command only that is missed


def run(args: argparse.Namespace) -> int:
    """Import the subcommand that is asked for, parse its arguments, and run it."""
    from seqlab.checks import did_you_mean
    from seqlab.cli.main import OneLineParser

    if args.action not in COMMANDS:
        hint = did_you_mean(args.action, COMMANDS)
        raise SeqlabError(f"{args.action!r} is not a command of seqlab ngram{hint}")
    module = importlib.import_module(f"{__name__}.{args.action}")
    parser = OneLineParser(
        prog=f"seqlab ngram {args.action}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(args.rest)))
