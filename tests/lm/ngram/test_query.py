"""Queries: batch, one word at a time and many states at once against plain back-off."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.kernels.query import score_stream
from seqlab.lm.ngram.query import Scorer
from seqlab.lm.ngram.words import BEGIN, END, UNKNOWN
from tests.lm.ngram.models import Oracle, random_table, tables


def streams(size):
    return st.lists(st.integers(-1, size - 1), max_size=60)


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_batch_equals_the_plain_back_off(table, data):
    numbers = data.draw(streams(len(table.ngrams.words)))
    got = Scorer(QueryIndex.build(table)).numbers(np.array(numbers, np.int32))
    expected = Oracle(table).stream(numbers)
    assert got[0].tolist() == [score for score, _ in expected]
    assert got[1].tolist() == [order for _, order in expected]


@settings(max_examples=80, deadline=None)
@given(tables(), st.data(), st.booleans())
def test_one_word_at_a_time_equals_batch(table, data, quantise):
    numbers = data.draw(streams(len(table.ngrams.words)))
    scorer = Scorer(QueryIndex.build(table, quantise))
    batch, _ = scorer.numbers(np.array(numbers, np.int32))
    state, states, scores = scorer.empty_state(), [], []
    for word in numbers:
        states.append(state)
        score, state = scorer.advance(state, word)
        scores.append(score)
    assert scores == batch.tolist()
    rows = np.array(states, np.int64).reshape(len(numbers), table.order - 1)
    many, after = scorer.advance_batch(rows, np.array(numbers, np.int32))
    assert many.tolist() == scores
    assert [tuple(row) for row in after.tolist()] == [*states[1:], state][: len(numbers)]


@settings(max_examples=60, deadline=None)
@given(tables((2, 5)), st.data())
def test_equal_states_mean_equal_futures(table, data):
    """A state forgets just what no longer matters: the future after any two equal ones agrees."""
    scorer, oracle = Scorer(QueryIndex.build(table)), Oracle(table)
    words = st.integers(2, len(table.ngrams.words) - 1)
    histories = data.draw(st.lists(st.lists(words, max_size=6), min_size=2, max_size=12))
    future = data.draw(st.lists(words, min_size=1, max_size=4))
    seen = {}
    for history in histories:
        state = scorer.initial_state()
        for word in history:
            state = scorer.advance(state, word)[1]
        scores = [s for s, _ in oracle.stream([BEGIN, *history, *future])][-len(future) :]
        np.testing.assert_allclose(seen.setdefault(state, scores), scores, rtol=1e-6)


def test_blocks_do_not_show():
    """Sentences and gaps on both sides of the block's ends, far longer than a block."""
    rng = np.random.default_rng(1)
    table = random_table(rng, 4, 8, 300, -1.0)
    numbers = rng.integers(-1, 8, 3000).astype(np.int32)
    scorer = Scorer(QueryIndex.build(table))
    whole, orders = scorer.numbers(numbers)
    expected = Oracle(table).stream(numbers.tolist())
    assert whole.tolist() == [score for score, _ in expected]
    assert orders.tolist() == [order for _, order in expected]
    assert set(orders.tolist()) == {0, 1, 2, 3, 4}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["w0", "w1", "w2", "é", "zzz"]), max_size=6)),
       st.integers(1, 40), st.sampled_from([1, 2]), st.booleans())  # fmt: skip
def test_text_is_the_sum_of_its_words(sentences, chunk, threads, final):
    table = random_table(np.random.default_rng(5), 3, 6, 40)
    text = "\n".join(" ".join(sentence) for sentence in sentences)
    text += "\n" if final and sentences else ""
    scorer = Scorer(QueryIndex.build(table))
    got = scorer.text(text.encode(), threads, chunk)
    lines = text.split("\n")[: -1 if text.endswith("\n") or not text else None]
    assert len(got.log_prob) == len(lines)
    oracle = Oracle(table)
    for i, line in enumerate(lines):
        words = [max(0, table.ngrams.words.find(word)) for word in line.split()]
        scores = [float(s) for s, _ in oracle.stream([BEGIN, *words, END])][1:]
        known = [s for s, w in zip(scores, [*words, END], strict=True) if w != UNKNOWN]
        assert got.tokens[i] == len(words) + 1 and got.unknown[i] == words.count(UNKNOWN)
        assert got.log_prob[i] == pytest.approx(sum(scores), rel=1e-12)
        assert got.known_log_prob[i] == pytest.approx(sum(known), rel=1e-12)


def test_states_are_plain_values():
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(0), 3)))
    state = scorer.initial_state()
    assert pickle.loads(pickle.dumps(state)) == state and hash(state) == hash(tuple(state))
    assert scorer.empty_state() != state
    assert scorer.advance(scorer.empty_state(), BEGIN) == (0.0, state)
    again = pickle.loads(pickle.dumps(scorer))
    assert again.advance(state, 3) == scorer.advance(state, 3)


@pytest.mark.parametrize("word", [-(2**40), -2, 6, 2**31, 2**40])
def test_numbers_that_are_no_words_do_no_harm(word):
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(0), 3)))
    assert scorer.advance(scorer.initial_state(), word) == (0.0, scorer.empty_state())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2), st.integers(0, 5),
       st.booleans())  # fmt: skip
def test_states_that_were_made_up_do_no_harm(state, word, quantise):
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(0), 3), quantise))
    score, after = scorer.advance(tuple(state), word)
    assert isinstance(score, float) and len(after) == 2


def test_bad_input_is_named():
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(0), 3)))
    with pytest.raises(DataError, match="word number 6 must be within 0 and 5, or -1 for a gap"):
        scorer.numbers(np.array([0, 6]))
    with pytest.raises(DataError, match="word number -2 must be within"):
        scorer.numbers(np.array([-2]))
    with pytest.raises(DataError, match=r"states \(2, 3\) and words \(2,\) must be \(N, 2\)"):
        scorer.advance_batch(np.zeros((2, 3)), np.zeros(2))
    for chunk in (1, 5, 1000):
        with pytest.raises(DataError, match="line 4 holds the sentence mark <s> or </s>"):
            scorer.text(b"w0\nw1 <sx> w<s>\n\nw0\t</s>\nw1", chunk=chunk)
    with pytest.raises(SeqlabError, match="threads=0 must be a whole number of at least 1"):
        scorer.text(b"", threads=0)


def test_nothing_scores_nothing():
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(0), 3)))
    assert len(scorer.numbers(np.zeros(0, np.int32))[0]) == 0
    assert len(scorer.text(b"").log_prob) == 0
    assert scorer.text(b"\n").tokens.tolist() == [1]
    empty = np.zeros(0, np.float32), np.zeros(0, np.uint8)
    score_stream(scorer.index.tables, np.zeros(0, np.int32), *empty)


@pytest.mark.parametrize("bad", [(), (1, 2), (1, 2, 3, 4), [1, 2, 3], ("a", 2, 3), None])
def test_states_of_another_kind_are_refused(bad):
    scorer = Scorer(QueryIndex.build(random_table(np.random.default_rng(4), 4, 6, 20)))
    by_word = scorer.by_word({"a": 3})
    assert by_word(scorer.initial_state(), "a") == scorer.advance(scorer.initial_state(), 3)
    assert by_word(scorer.initial_state(), "b") == scorer.advance(scorer.initial_state(), UNKNOWN)
    for ask in (lambda: scorer.advance(bad, 3), lambda: by_word(bad, "a")):
        with pytest.raises(DataError, match="must be a tuple of 3 integers; take it from"):
            ask()
    with pytest.raises(TypeError, match="unhashable"):
        by_word(scorer.initial_state(), ["a"])


@pytest.mark.parametrize("order", [1, 2, 9])
def test_states_of_every_length(order):
    table = random_table(np.random.default_rng(order), order, 6, 30)
    scorer = Scorer(QueryIndex.build(table))
    state, numbers = scorer.empty_state(), [BEGIN, 3, 4, 5, 3, 4, 5, UNKNOWN, 3, END]
    scores = []
    for number in numbers:
        score, state = scorer.advance(state, number)
        assert isinstance(state, tuple) and len(state) == order - 1
        scores.append(score)
    assert scores == scorer.numbers(np.int32(numbers))[0].tolist()
