"""ARPA files and back-off models in plain Python, to hold the compiled ones against."""

from __future__ import annotations

import io
import math
import re

import numpy as np

from seqlab.lm.ngram.arpa import read_arpa, write_arpa
from seqlab.lm.ngram.ngrams import BackoffTable

Grams = dict[tuple[str, ...], tuple[float, float]]

SMALL = """\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.5\t<unk>\t0
-99\t<s>\t-0.30103
-0.75\t</s>\t0
-0.5\ta\t-0.25
-0.625\tb\t-0.125

\\2-grams:
-0.25\t<s> a\t-0.5
-0.375\ta b\t-0.0625
-0.875\tb a\t0
-0.4\tb </s>\t0

\\3-grams:
-0.125\t<s> a b
-0.1875\ta b </s>

\\end\\
"""


def read(text: str | bytes) -> BackoffTable:
    return read_arpa(io.BytesIO(text.encode() if isinstance(text, str) else text))


def written(table: BackoffTable) -> str:
    file = io.BytesIO()
    write_arpa(table, file)
    return file.getvalue().decode("utf-8", "surrogateescape")


def parsed(text: str) -> Grams:
    """N-grams of the text of an ARPA file, logarithms to base 10."""
    grams: Grams = {}
    for section in re.split(r"\\\d-grams:", text)[1:]:
        fields = [line.split("\t") for line in section.splitlines() if "\t" in line]
        for prob, words, *backoff in fields:
            grams[tuple(words.split(" "))] = float(prob), float(backoff[0]) if backoff else 0.0
    return grams


def grams_of(table: BackoffTable) -> Grams:
    """N-grams of a model, natural logarithms."""
    words = list(table.ngrams.words)
    grams: Grams = {}
    backoffs = (*table.log_backoff, np.zeros(table.ngrams.sizes[-1]))
    for k, (probs, weights) in enumerate(zip(table.log_prob, backoffs, strict=True), 1):
        for row, p, b in zip(table.ngrams.word_numbers(k), probs, weights, strict=True):
            grams[tuple(words[n] for n in row)] = float(p), float(b)
    return grams


def score(grams: Grams, order: int, context: tuple[str, ...], word: str) -> float:
    """The logarithm of p(word | context), by the definition of back-off."""
    if (word,) not in grams:
        word = "<unk>"
    context = tuple(w if (w,) in grams else "<unk>" for w in context)
    context = context[max(0, len(context) - order + 1) :]
    if (*context, word) in grams:
        return grams[(*context, word)][0]
    return grams.get(context, (0.0, 0.0))[1] + score(grams, order, context[1:], word)


def score_sentence(grams: Grams, order: int, sentence: str) -> list[float]:
    words = ["<s>", *sentence.split(), "</s>"]
    return [score(grams, order, tuple(words[:i]), words[i]) for i in range(1, len(words))]


def validate(table: BackoffTable) -> None:
    """Assert that a model holds together and that its numbers are logarithms."""
    ngrams = table.ngrams
    assert len(table.log_prob) == ngrams.order == len(table.log_backoff) + 1
    assert list(ngrams.words)[:3] == ["<unk>", "<s>", "</s>"]
    assert len(set(ngrams.words)) == len(ngrams.words) == ngrams.sizes[0]
    assert table.log_prob[0][1] == -math.inf
    for k, size in enumerate(ngrams.sizes, 1):
        values = table.log_prob[k - 1]
        assert values.dtype == np.float32 and values.shape == (size,)
        assert (values <= 0).all()  # false for NaN
        if k < ngrams.order:
            weights = table.log_backoff[k - 1]
            assert weights.dtype == np.float32 and weights.shape == (size,)
            assert (weights < math.inf).all()
        level, numbers = ngrams.levels[k - 1], ngrams.word_numbers(k)
        if k > 1:
            shorter = ngrams.word_numbers(k - 1)
            assert np.array_equal(shorter[level.suffix], numbers[:, 1:])
            assert np.array_equal(shorter[level.context], numbers[:, :-1])
        keys = [tuple(row[::-1]) for row in numbers.tolist()]
        assert keys == sorted(set(keys))


def assert_same(left: BackoffTable, right: BackoffTable) -> None:
    """Assert that two models are equal to the last bit, but for the sign of zero."""
    assert list(left.ngrams.words) == list(right.ngrams.words)
    assert left.ngrams.sizes == right.ngrams.sizes
    for a, b in zip(left.ngrams.levels, right.ngrams.levels, strict=True):
        assert np.array_equal(a.first, b.first) and np.array_equal(a.suffix, b.suffix)
    for a, b in zip(
        left.log_prob + left.log_backoff, right.log_prob + right.log_backoff, strict=True
    ):
        assert np.array_equal(a, b)
