"""Turn a corpus, as downloaded, into one manifest a split, and show what is in it.

example: seqlab prepare fsdd ~/free-spoken-digit-dataset data/fsdd

Options of a corpus follow as --name value; `seqlab prepare CORPUS --about` lists them.
"""

from __future__ import annotations

import argparse
from typing import Any

from seqlab.cli.terminal import print_json, print_table, say
from seqlab.errors import DataError

TAKES_OVERRIDES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab prepare``."""
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="an4, fsdd, arabic_speech_commands, speech_commands, librispeech, yesno, "
        "wake_words, keyword_halves, noise, synthetic_digits, digit_strings, aligned_words, "
        "events, text_lines, or a layout: folder, tsv, kaldi",
    )
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="the corpus folder or file")
    parser.add_argument("dest", nargs="?", metavar="DEST", help="folder for the manifests")
    parser.add_argument("--about", action="store_true", help="explain the corpus and its options")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def corpus_options(overrides: list[str]) -> dict[str, Any]:
    """Options of a corpus from ``--name=value`` texts.

    >>> corpus_options(["--dev-takes=5"])
    {'dev_takes': '5'}
    """
    pairs = (text.removeprefix("--").partition("=") for text in overrides)
    return {name.replace("-", "_"): value for name, _, value in pairs}


def run(args: argparse.Namespace) -> int:
    """Prepare the corpus and print its summary."""
    from seqlab.data.corpora import corpus_help, prepare

    if args.about:
        print(corpus_help(args.corpus))
        return 0
    if args.source is None or args.dest is None:
        raise DataError(
            "SOURCE and DEST are missing; write seqlab prepare CORPUS SOURCE DEST, or "
            f"seqlab prepare {args.corpus} --about"
        )
    summary = prepare(args.corpus, args.source, args.dest, **corpus_options(args.overrides))
    if args.json:
        print_json(summary.as_dict())
        return 0
    header, *rows = summary.rows()
    print_table(header, rows, title=f"{summary.corpus} in {args.dest}")
    for note in (*summary.warnings, *summary.notes):
        say(f"note: {note}")
    return 0
