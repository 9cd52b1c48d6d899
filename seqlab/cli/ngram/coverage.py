"""Tell what a text consists of, and how many of its words and n-grams a model knows.

example: seqlab ngram coverage corpus.ngram test.txt
"""

from __future__ import annotations

import argparse

from seqlab.cli.ngram.shared import MODEL_HELP, load_model
from seqlab.cli.ngram.texts import TEXT_HELP, add_unit, text_source, unit_options
from seqlab.cli.terminal import print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram coverage``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("text", nargs="+", metavar="TEXT", help=TEXT_HELP)
    add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print statistics of the text and the model's coverage of it."""
    import numpy as np

    from seqlab.errors import DataError
    from seqlab.lm.ngram.coverage import coverage, text_statistics
    from seqlab.lm.ngram.text import text_blocks
    from seqlab.lm.ngram.words import UNKNOWN, Words

    source = text_source(args.text)
    model = load_model(args.model)
    words, known = Words(), model.words
    streams, seen = [], []
    for block in text_blocks(source, **unit_options(args, model.facts)):
        streams.append(words.numbers(block, learn=True, marks=True))
        seen.append(known.numbers(block, marks=True))
    if not streams:
        raise DataError("the text is empty; give at least one line")
    stream = np.concatenate(streams)
    text = text_statistics(stream)
    result = coverage(model.table, np.concatenate(seen))
    unknown_types = sum(word not in known for word in words)
    spelled = int(np.count_nonzero(stream == UNKNOWN))  # all other words were learned
    if args.json:
        facts = {"sentences": text.sentences, "words": text.tokens, "types": text.types}
        facts |= {"types_once": text.once, "longest": text.longest}
        facts |= {"unknown": result.unknown, "unknown_types": unknown_types}
        facts |= {"unknown_in_text": spelled}
        orders = {"matched": list(result.matched), "possible": list(result.possible)}
        print_json({**facts, **orders, "hit_rates": list(result.hit_rates)})
        return 0
    rows: list[list[object]] = [
        ["sentences", text.sentences],
        ["words", text.tokens],
        ["words of a sentence", f"{text.mean_length:.2f}"],
        ["words of the longest sentence", text.longest],
        ["different words", text.types],
        ["different words that occur once", text.once],
        ["unknown words", result.unknown],
        ["unknown words, %", f"{100 * result.unknown / max(text.tokens, 1):.2f}"],
        ["of them, <unk> in the text itself", spelled],
        ["different unknown words beside <unk>", unknown_types],
    ]
    for order, rate in enumerate(result.hit_rates, 1):
        rows.append([f"known {order}-grams, %", f"{100 * rate:.2f}"])
    print_table(["figure", "value"], rows)
    return 0
