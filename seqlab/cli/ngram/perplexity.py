"""Measure how well an n-gram model predicts a text, with and without its unknown words.

examples: seqlab ngram perplexity corpus.ngram test.txt
          seqlab ngram perplexity corpus.arpa.gz test.txt --per-sentence > sentences.tsv

Every end of a sentence counts as a token. Logarithms are natural.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli.ngram.shared import MODEL_HELP, load_model, print_rows
from seqlab.cli.ngram.texts import TEXT_HELP, add_text_options, scored_blocks, text_source
from seqlab.cli.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from seqlab.lm.ngram.perplexity import Perplexity
    from seqlab.lm.ngram.token_scores import TokenScores

SENTENCE = ["sentence", "log_prob", "tokens", "unknown", "perplexity"]
WORD = ["sentence", "word", "log_prob", "order", "unknown"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab ngram perplexity``."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("text", nargs="+", metavar="TEXT", help=TEXT_HELP)
    add_text_options(parser)
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--per-sentence", action="store_true", help="print a row for each sentence")
    rows.add_argument(
        "--per-word",
        action="store_true",
        help="print a row for each word: its log-probability and the longest n-gram it ends",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the perplexity, or a row for each sentence or word."""
    text_source(args.text)
    model = load_model(args.model)
    if model.facts.smoothing == "stupid_backoff":
        say("note: stupid_backoff has scores that do not sum to one; compare no perplexity of them")
    blocks = scored_blocks(model, args)
    if args.per_sentence or args.per_word:
        columns = WORD if args.per_word else SENTENCE
        make = word_rows if args.per_word else sentence_rows
        print_rows(columns, make(blocks), args.json)
        return 0
    result = total(blocks, model.order)
    if args.json:
        print_json(figures(result))
    else:
        print_table(["figure", "value"], table_rows(result))
    return 0


def sentence_rows(blocks: Iterator[TokenScores]) -> Iterator[list[Any]]:
    """A row for each sentence."""
    before = 0
    for scores in blocks:
        rows = scores.sentences()
        for number, row in enumerate(rows, before + 1):
            yield [number, row.log_prob, row.tokens, row.unknown, row.perplexity]
        before += len(rows)


def word_rows(blocks: Iterator[TokenScores]) -> Iterator[list[Any]]:
    """A row for each token."""
    before = 0
    for scores in blocks:
        ends, sentence = scores.ends.tolist(), 0
        for place, row in enumerate(scores.word_table()):
            while place >= ends[sentence]:
                sentence += 1
            yield [before + sentence + 1, row.word, row.log_prob, row.order, row.unknown]
        before += len(ends)


def total(blocks: Iterator[TokenScores], order: int) -> Perplexity:
    """The perplexity of all blocks together.

    Raises:
        DataError: there is no text.
    """
    from seqlab.errors import DataError
    from seqlab.lm.ngram.perplexity import Perplexity, perplexity_of

    parts = [perplexity_of(scores, order=order) for scores in blocks if len(scores)]
    if not parts:
        raise DataError("the text is empty and has no perplexity; give at least one line")
    sums: dict[str, Any] = {
        field.name: sum(getattr(part, field.name) for part in parts)
        for field in dataclasses.fields(Perplexity)
        if field.name != "order_hits"
    }
    hits = zip(*(part.order_hits for part in parts), strict=True)
    return Perplexity(**sums, order_hits=tuple(map(sum, hits)))


def figures(result: Perplexity) -> dict[str, Any]:
    """All figures by name."""
    names = ("perplexity", "perplexity_excluding_unknown", "cross_entropy", "log_prob")
    counts = ("tokens", "unknown", "sentences", "zeros")
    values = {name: getattr(result, name) for name in (*names, *counts)}
    return {**values, "unknown_rate": result.unknown_rate, "order_hits": list(result.order_hits)}


def table_rows(result: Perplexity) -> list[list[object]]:
    """The figures for people."""
    rows: list[list[object]] = [
        ["perplexity, <unk> a word like others", f"{result.perplexity:.4f}"],
        ["perplexity without unknown words", f"{result.perplexity_excluding_unknown:.4f}"],
        ["bits a token", f"{result.cross_entropy:.4f}"],
        ["log-probability", f"{result.log_prob:.4f}"],
        ["sentences", result.sentences],
        ["tokens, ends of sentences included", result.tokens],
        ["unknown words", result.unknown],
        ["unknown words, %", f"{100 * result.unknown_rate:.2f}"],
    ]
    if result.zeros:
        rows.append(["tokens of probability 0", result.zeros])
    for order, rate in enumerate(result.hit_rates, 1):
        rows.append([f"tokens by {order}-grams, %", f"{100 * rate:.1f}"])
    return rows
