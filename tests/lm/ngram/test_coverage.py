"""Statistics of texts by plain counting."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.coverage import (
    counts_of_counts,
    coverage,
    out_of_vocabulary_curve,
    text_statistics,
    type_token_curve,
)
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import BackoffOracle, estimated, random_sentences

TEXT = "a rose is a rose\n\nis it"


def test_a_text_by_hand() -> None:
    words = Words()
    found = text_statistics(words.numbers(TEXT, True, True))
    assert (found.sentences, found.tokens, found.types) == (3, 7, 4)
    assert (found.once, found.longest) == (1, 5)
    assert found.mean_length == pytest.approx(7 / 3)
    assert found.type_token_ratio == pytest.approx(4 / 7)
    assert found.unseen_mass == pytest.approx(1 / 7)
    empty = text_statistics(np.zeros(0, np.int32))
    assert (empty.mean_length, empty.type_token_ratio, empty.unseen_mass, empty.longest) == (0,) * 4


@given(st.integers(0, 10**6), st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_curves_by_plain_counting(seed: int, points: int) -> None:
    words = Words()
    lines, others = random_sentences(seed, 20, 9), random_sentences(seed + 1, 20, 12)
    training = words.numbers("\n".join(lines), True, True)
    flat = " ".join(lines).split()
    tokens, types = type_token_curve(training, points)
    assert tokens[-1] == len(flat) and len(tokens) <= points
    for read, different in zip(tokens, types, strict=True):
        assert different == len(set(flat[:read]))

    text = words.numbers("\n".join(others), marks=True)
    sizes = [0, 1, 3, 1000]
    rates = out_of_vocabulary_curve(training, text, sizes)
    counts, other = Counter(flat), " ".join(others).split()
    ranked = sorted(counts, key=lambda word: (-counts[word], words.find(word)))
    for size, rate in zip(sizes, rates, strict=True):
        known = set(ranked[:size])
        assert rate == pytest.approx(sum(word not in known for word in other) / len(other))


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_hits_by_plain_counting(seed: int, order: int) -> None:
    table = estimated(random_sentences(seed, 10), order)
    oracle, lines = BackoffOracle(table), [*random_sentences(seed + 1, 6, 8), ""]
    found = coverage(table, table.ngrams.words.numbers("\n".join(lines) + "\n", marks=True))
    for k in range(1, order + 1):
        grams = []
        for line in lines:
            words = ["<s>", *(w if w in oracle.words else "<unk>" for w in line.split()), "</s>"]
            grams += [tuple(words[i - k + 1 : i + 1]) for i in range(max(1, k - 1), len(words))]
        assert found.possible[k - 1] == len(grams)
        assert found.matched[k - 1] == sum(gram in oracle.log_prob for gram in grams)
    assert found.tokens == found.possible[0] == found.matched[0]
    assert found.hit_rates[0] == 1


def test_gaps_and_streams_without_marks() -> None:
    table = estimated(["a b c"], 3)
    a, b, c = (table.ngrams.words.find(word) for word in "abc")
    found = coverage(table, np.int32([a, b, c, -1, b, c]))
    assert found.possible == (5, 3, 1) and found.matched == (5, 3, 1)
    assert coverage(table, np.zeros(0, np.int32)).hit_rates == (0, 0, 0)


def test_counts_of_counts() -> None:
    ngrams, _ = link_ngrams(Words(["a", "b"]), [np.zeros((0, 1), np.int32)])
    counts = NGramCounts(ngrams, (np.array([0, 2, 1, 1, 7]),), ())
    assert counts_of_counts(counts, 3) == ((2, 1, 0),)
    with pytest.raises(ValueError, match="largest=0 must be"):
        counts_of_counts(counts, 0)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(DataError, match="0 words has no rate"):
        out_of_vocabulary_curve(np.int32([3]), np.int32([1, 2]), [1])
    with pytest.raises(DataError, match="vocabulary size -1 must be at least 0"):
        out_of_vocabulary_curve(np.int32([3]), np.int32([3]), [5, -1])
    with pytest.raises(ValueError, match="points=0 must be"):
        type_token_curve(np.int32([3]), 0)
