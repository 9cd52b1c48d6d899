"""Convert an n-gram model: ARPA, plain or packed, to a binary file, or back.

examples: seqlab ngram convert kenlm.arpa.gz model.ngram --quantise
          seqlab ngram convert model.ngram model.arpa.gz

What the input is, its content says; what the output is to be, its name.
"""

from __future__ import annotations

import argparse
import os

from seqlab.cli.ngram.shared import (
    MODEL_HELP,
    OUTPUT_HELP,
    add_quantise,
    check_output,
    load_model,
    report_model,
    say_written,
    write_model,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram convert``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("output", metavar="OUTPUT", help=OUTPUT_HELP)
    add_quantise(parser)
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Read one format and write the other."""
    check_output(args.output, args.quantise)
    model = load_model(args.model)
    write_model(model, args.output, args.quantise)
    report_model(model, args.json, model=args.output, bytes=os.path.getsize(args.output))
    say_written([args.output])
    return 0
