"""Turn a corpus, as downloaded, into one manifest a split, and show what is in it.

example: seqlab prepare fsdd ~/free-spoken-digit-dataset data/fsdd
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab prepare``."""
    parser.add_argument(
        "corpus",
        metavar="CORPUS",
        help="an4, fsdd, arabic_speech_commands, speech_commands, librispeech, yesno, "
        "synthetic_digits, or a layout: folder, tsv, kaldi",
    )
    parser.add_argument("source", metavar="SOURCE", help="the corpus folder (or TSV file)")
    parser.add_argument("dest", metavar="DEST", help="folder for the manifests")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
