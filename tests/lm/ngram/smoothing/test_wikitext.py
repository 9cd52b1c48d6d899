"""WikiText-2: perplexities of add-k smoothing, and of the others as they are to be expected.

The figures for add-k come from a count in Python dictionaries that shares nothing with this
project: 245,569 tokens, </s> counted, <unk> a word like the others, blank lines empty sentences.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from seqlab.lm.ngram.estimation import Estimation
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.registry import smoothing_named
from seqlab.lm.ngram.text import text_blocks
from seqlab.lm.ngram.words import BEGIN

from .oracle import log_probs

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("SEQLAB_DATA" not in os.environ, reason="SEQLAB_DATA is unset"),
]


def path(split):
    folder = Path(os.environ.get("SEQLAB_DATA", ""), "text", "wikitext2")
    return folder / f"wiki.{split}.tokens.gz"


@cache
def training_counts(order):
    return Estimation(order=order).count(path("train"), Scratch())


def perplexity(order, name, **options):
    counts = training_counts(order)
    words = counts.ngrams.words
    numbers = np.concatenate([words.numbers(b, marks=True) for b in text_blocks(path("test"))])
    table = smoothing_named(name, **options).estimate(counts)
    values = log_probs(table, numbers)[numbers != BEGIN]
    assert len(values) == 245_569
    return float(np.exp(-values.mean()))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("laplace", {}, (914.38, 1877.9, 11423)),
        ("lidstone", {"k": 0.01}, (911.73, 498.26, 3230.0)),
    ],
)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_add_k(name, options, expected, order):
    assert perplexity(order, name, **options) == pytest.approx(expected[order - 1], rel=1e-4)


def test_the_order_of_smoothings_is_that_of_chen_and_goodman():
    """Their finding (1999): Kneser-Ney, Jelinek-Mercer, Katz, then the rest."""
    values = {
        name: perplexity(3, name)
        for name in (
            "modified_kneser_ney", "kneser_ney", "jelinek_mercer", "good_turing", "witten_bell",
            "lidstone",
        )
    }  # fmt: skip
    assert sorted(values, key=lambda name: values[name]) == list(values)
    fitted = perplexity(3, "jelinek_mercer", held_out=path("valid"))
    assert fitted < values["jelinek_mercer"]
