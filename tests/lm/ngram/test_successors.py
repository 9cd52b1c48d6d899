"""Successors score, walk and list what the back-off definition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.successors import Successors, check_sums_to_one
from tests.lm.ngram.backoff_oracle import SMOOTHINGS, BackoffOracle, estimated, random_sentences


@pytest.mark.parametrize("smoothing", [*SMOOTHINGS, "maximum_likelihood", "stupid_backoff"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_streams_are_scored_by_the_definition(smoothing: str, order: int) -> None:
    table = estimated(random_sentences(1), order, smoothing)
    oracle, successors = BackoffOracle(table), Successors.of(table)
    text = "\n".join([*random_sentences(2, 20), "zz a zz b a", ""])
    stream = table.ngrams.words.numbers(text, marks=True)
    log_probs, orders = successors.score(stream)
    history: list[str] = []
    for number, log_prob, matched in zip(stream, log_probs, orders, strict=True):
        word = table.ngrams.words[int(number)]
        if word == "<s>":
            assert (log_prob, matched) == (0, 0)
            history = []
        else:
            assert log_prob == pytest.approx(oracle.ln(history, word), rel=1e-5, abs=1e-5)
            longest = next(
                k for k in range(min(order, len(history) + 1), 0, -1)
                if (*history[len(history) - k + 1 :], word) in oracle.log_prob
            )  # fmt: skip
            assert matched == longest
        history.append(word)


@given(st.integers(0, 10**6), st.sampled_from(SMOOTHINGS), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_every_context_has_its_distribution(seed: int, smoothing: str, order: int) -> None:
    table = estimated(random_sentences(seed, 12, 5), order, smoothing)
    oracle, successors = BackoffOracle(table), Successors.of(table)
    for history in oracle.contexts():
        numbers = [table.ngrams.words.find(word) for word in history]
        state = 0
        for number in numbers:
            state = 1 + number if number == 1 else successors.advance(state, number)[1]
        if order > 1:
            assert successors.depth(state) == len(history)
        log_probs = successors.distribution(state)
        assert log_probs[1] == -np.inf
        assert np.exp(log_probs).sum() == pytest.approx(1, abs=2e-6)
        for number, word in enumerate(oracle.words):
            if word != "<s>":
                expected = oracle.ln(history if order > 1 else (), word)
                assert log_probs[number] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_gaps_begin_anew() -> None:
    table = estimated(random_sentences(1), 3)
    successors = Successors.of(table)
    log_probs, orders = successors.score(np.array([3, 4, -1, 4], np.int32))
    assert (log_probs[2], orders[2]) == (0, 0)
    assert orders[3] == 1 and log_probs[3] == table.log_prob[0][4]


def test_contexts_are_the_states_before_each_word() -> None:
    table = estimated(random_sentences(1), 3)
    successors = Successors.of(table)
    stream = np.array([1, 3, 4, 2, 1, 4, -1, 3], np.int32)
    contexts = successors.contexts(stream)
    assert contexts[1] == contexts[5] == successors.begin
    assert contexts[2] == successors.advance(successors.begin, 3)[1]
    assert contexts[7] == 0


def test_bad_numbers_and_unnormalised_models_are_named() -> None:
    table = estimated(random_sentences(1), 2, "stupid_backoff")
    successors = Successors.of(table)
    with pytest.raises(DataError, match=r"word number 99 must be"):
        successors.advance(0, 99)
    with pytest.raises(DataError, match=r"word number 99 must be within .* or -1 for a gap"):
        successors.score(np.array([99], np.int32))
    with pytest.raises(DataError, match=r"stupid back-off do not .* another smoothing"):
        check_sums_to_one(successors, "sampling")
    assert Successors.of(successors) is successors
