"""Perplexities against KenLM's query, by hand, and where they are infinite."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.arpa import read_arpa
from seqlab.lm.ngram.perplexity import Perplexity, count_characters, perplexity_of
from seqlab.lm.ngram.token_scores import TokenScores, WordScore, score_tokens
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import BackoffOracle, estimated, random_sentences

REFERENCE = Path(os.environ.get("SEQLAB_DATA", "/nowhere")).parent / "reference" / "ngram"


@pytest.mark.data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="SEQLAB_DATA is unset or has no reference/ngram")
@pytest.mark.parametrize(
    "name",
    ["kn2", "kn3", "kn5", "kn3_prune001", "kn3_prune011", "kn3_no_unigram_interpolation", "chars4"],
)
def test_kenlm_says_the_same(name: str) -> None:
    rows = {
        row.split("\t")[0]: row for row in (REFERENCE / "perplexities.tsv").read_text().splitlines()
    }
    including, excluding = (
        float(re.search(rf"{kind} OOVs:\t([0-9.]+)", rows[name])[1])
        for kind in ("including", "excluding")
    )
    unknown, tokens = map(int, re.search(r" OOVs:\t(\d+) Tokens:\t(\d+)", rows[name]).groups())
    table = read_arpa(REFERENCE / f"{name}.arpa.gz")
    text = (REFERENCE / ("test.chars.txt" if name == "chars4" else "test.txt")).read_bytes()
    result = perplexity_of(score_tokens(table, table.ngrams.words.numbers(text, marks=True)))
    assert (result.unknown, result.tokens, result.sentences) == (unknown, tokens, 100)
    assert result.perplexity == pytest.approx(including, rel=1e-6)
    assert result.perplexity_excluding_unknown == pytest.approx(excluding, rel=1e-6)
    assert sum(result.order_hits) == tokens


def scores_by_hand() -> TokenScores:
    """Two sentences, "a <unk>" and nothing."""
    log_probs = np.log([0.5, 0.25, 0.25, 0.5])
    orders = np.array([1, 1, 2, 2], np.int8)
    return TokenScores(Words(["a"]), np.int32([3, 0, 2, 2]), log_probs, orders)


def test_a_case_by_hand() -> None:
    # -log2: 1 + 2 + 2 + 1 = 6 bits, 4 of them for the 3 known tokens
    result = perplexity_of(scores_by_hand(), characters=count_characters(["a b", ""]))
    assert result.perplexity == pytest.approx(2 ** (6 / 4))
    assert result.perplexity_excluding_unknown == pytest.approx(2 ** (4 / 3))
    assert result.cross_entropy == pytest.approx(1.5)
    assert result.bits_per_character == pytest.approx(6 / 5)
    assert (result.tokens, result.unknown, result.sentences) == (4, 1, 2)
    assert result.unknown_rate == 0.5
    assert result.hit_rates == (0.5, 0.5)
    assert perplexity_of(scores_by_hand(), order=3).order_hits == (2, 2, 0)
    assert result.zeros == 0


def test_tables_by_sentence_and_word() -> None:
    one, two = scores_by_hand().sentences()
    assert (one.tokens, one.unknown, two.tokens, two.unknown) == (3, 1, 1, 0)
    assert one.log_prob == pytest.approx(math.log(1 / 32))
    assert one.perplexity == pytest.approx(32 ** (1 / 3)) and two.perplexity == pytest.approx(2)
    rows = list(scores_by_hand().word_table())
    assert rows[1] == WordScore("<unk>", math.log(0.25), 1, True)
    assert [row.word for row in rows] == ["a", "<unk>", "</s>", "</s>"]
    bare = TokenScores(Words(["a"]), np.int32([3, 2]), np.log([0.5, 0.5]))
    assert [row.order for row in bare.word_table()] == [0, 0]
    assert perplexity_of(bare).order_hits == ()
    assert math.isnan(perplexity_of(bare).bits_per_character)


def test_impossible_words_make_it_infinite() -> None:
    table = estimated(["a b", "b"], 2, "maximum_likelihood")
    stream = table.ngrams.words.numbers("a b\na a zz\nb", marks=True)
    scores = score_tokens(table, stream)
    result = perplexity_of(scores)
    assert result.perplexity == math.inf and result.cross_entropy == math.inf
    assert result.zeros >= 2
    assert [row.perplexity == math.inf for row in scores.sentences()] == [False, True, False]
    only = perplexity_of(score_tokens(table, table.ngrams.words.numbers("zz", marks=True)))
    assert only.perplexity == math.inf
    known = Perplexity(-math.inf, math.log(0.5), 2, 1, 1, zeros=1)
    assert known.perplexity_excluding_unknown == pytest.approx(2)


def test_extremes() -> None:
    assert Perplexity(-1e6, -1e6, 2, 0, 1).perplexity == math.inf
    all_unknown = Perplexity(-2.0, 0.0, 2, 2, 1)
    assert math.isnan(all_unknown.perplexity_excluding_unknown)
    assert Perplexity(0.0, 0.0, 1, 0, 1).unknown_rate == 0


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_sums_agree_with_the_definition(seed: int, order: int) -> None:
    table = estimated(random_sentences(seed), order)
    oracle, lines = BackoffOracle(table), random_sentences(seed + 1, 5, 8)
    scores = score_tokens(table, table.ngrams.words.numbers("\n".join(lines), marks=True))
    for line, row in zip(lines, scores.sentences(), strict=True):
        words = ["<s>", *(w if w in oracle.words else "<unk>" for w in line.split()), "</s>"]
        expected = sum(oracle.ln(words[:i], words[i]) for i in range(1, len(words)))
        assert row.log_prob == pytest.approx(expected, abs=1e-4)
        assert row.unknown == words.count("<unk>")
    assert perplexity_of(scores).log_prob == pytest.approx(
        sum(row.log_prob for row in scores.sentences())
    )


def test_the_last_sentence_may_lack_its_end() -> None:
    scores = TokenScores(Words(["a"]), np.int32([3, 2, 3]), np.log([0.5, 0.5, 0.5]))
    assert [row.tokens for row in scores.sentences()] == [2, 1]


def test_what_does_not_fit_is_refused() -> None:
    words = Words(["a"])
    with pytest.raises(DataError, match=r"3 tokens must have as many log-probabilities \(2\)"):
        TokenScores(words, np.int32([3, 3, 2]), np.zeros(2))
    with pytest.raises(DataError, match="at most 0 and no NaN"):
        TokenScores(words, np.int32([2]), np.array([math.nan]))
    with pytest.raises(DataError, match="at most 0 and no NaN"):
        TokenScores(words, np.int32([2]), np.array([0.5]))
    with pytest.raises(DataError, match="ends of sentences must rise"):
        TokenScores(words, np.int32([3, 2]), np.zeros(2), ends=np.array([1]))
    with pytest.raises(DataError, match="0 tokens has no perplexity"):
        perplexity_of(TokenScores(words, np.zeros(0, np.int32), np.zeros(0)))


def test_characters_count_one_space_between_words() -> None:
    assert count_characters(["ä b", " c\td ", ""]) == 4 + 4 + 1
