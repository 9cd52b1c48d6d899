"""Comparisons of two models: by hand, against scipy's bootstrap, and on what cannot be compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from seqlab.errors import DataError
from seqlab.lm.ngram.comparison import compare
from seqlab.lm.ngram.perplexity import perplexity_of
from seqlab.lm.ngram.token_scores import TokenScores, score_tokens
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import estimated, random_sentences

WORDS = Words(["a", "b"])


def scored(log_probs: list[float]) -> TokenScores:
    """Sentences "a b", "b" and nothing."""
    return TokenScores(WORDS, np.int32([3, 4, 2, 4, 2, 2]), np.array(log_probs))


def test_a_case_by_hand() -> None:
    first = scored([-1, -2, -1, -3, -1, -1])
    second = scored([-2, -2, -1, -2, -1.5, -1])
    found = compare(first, second)
    assert found.differences.tolist() == [1, 0, 0, -1, 0.5, 0]
    assert (found.wins, found.losses, found.ties) == (1, 1, 1)
    assert found.log_ratio == pytest.approx(0.5 / 6)
    assert found.perplexity_ratio == pytest.approx(
        perplexity_of(second).perplexity / perplexity_of(first).perplexity
    )
    assert [(row.word, row.count, row.total) for row in found.words] == [
        ("a", 1, 1), ("</s>", 3, 0.5), ("b", 2, -1)
    ]  # fmt: skip
    assert found.words[2].mean == -0.5
    better, worse = found.largest(1)
    assert [row.word for row in better] == ["a"] and [row.word for row in worse] == ["b"]
    assert [row.word for row in found.largest()[1]] == ["b"]
    assert not found.differs and found.low < found.log_ratio < found.high


def test_the_other_way_round_is_the_negative() -> None:
    first, second = scored([-1, -2, -1, -3, -1, -1]), scored([-2, -2, -1, -2, -1.5, -1])
    one, two = compare(first, second, seed=4), compare(second, first, seed=4)
    assert one.log_ratio == -two.log_ratio
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    assert (one.wins, one.losses) == (two.losses, two.wins)


def test_the_interval_is_that_of_another_bootstrap() -> None:
    lines = random_sentences(1, 300, 6)
    tables = [estimated(random_sentences(2, 200), 3), estimated(random_sentences(3, 10), 3)]
    words = tables[0].ngrams.words
    text = "\n".join(lines)
    first, second = (
        score_tokens(table, table.ngrams.words.numbers(text, marks=True)) for table in tables
    )
    assert len(words) == len(tables[1].ngrams.words)
    found = compare(first, second, confidence=0.9)
    sums = first.sentence_sums(found.differences)
    sizes = np.array([len(line.split()) + 1 for line in lines])
    peer = bootstrap(
        (sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True,
        confidence_level=0.9, n_resamples=10_000, method="percentile", random_state=1,
    ).confidence_interval  # fmt: skip
    width = peer.high - peer.low
    assert found.low == pytest.approx(peer.low, abs=0.05 * width)
    assert found.high == pytest.approx(peer.high, abs=0.05 * width)
    assert found.differs and found.low > 0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(5), 0
    for trial in range(200):
        numbers = np.tile(np.int32([3, 2]), 60)
        noise = rng.normal(0, 0.3, 120)
        first = TokenScores(WORDS, numbers, np.full(120, -2.0))
        second = TokenScores(WORDS, numbers, -2.0 + np.clip(noise, -1.9, 1.9))
        found = compare(first, second, 0.9, resamples=300, seed=trial)
        hits += found.low <= 0 <= found.high
    assert 165 <= hits <= 195


def test_words_are_named_by_the_model_that_knows_them() -> None:
    first = TokenScores(Words(["a"]), np.int32([3, 0, 2]), np.array([-1.0, -5, -1]))
    second = TokenScores(Words(["b", "a"]), np.int32([4, 3, 2]), np.array([-1.0, -2, -1]))
    assert {row.word for row in compare(first, second).words} == {"a", "b", "</s>"}


def test_what_cannot_be_compared() -> None:
    whole = scored([-1.0] * 6)
    other = TokenScores(WORDS, np.int32([3, 2]), np.array([-1.0, -1]))
    with pytest.raises(DataError, match="6 and 2 tokens must be the same text"):
        compare(whole, other)
    empty = TokenScores(WORDS, np.zeros(0, np.int32), np.zeros(0))
    with pytest.raises(DataError, match="not empty"):
        compare(empty, empty)
    with pytest.raises(DataError, match="1 tokens have probability 0"):
        compare(whole, scored([-math.inf, -1, -1, -1, -1, -1]))
    with pytest.raises(ValueError, match=r"confidence=1\.5 must be"):
        compare(whole, whole, confidence=1.5)
    with pytest.raises(ValueError, match=r"resamples=5 must be .* at least 100"):
        compare(whole, whole, resamples=5)
