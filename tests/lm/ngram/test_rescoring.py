"""Hypotheses in a new order: by hand, any language model, any form of hypothesis."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.interpolation import LinearInterpolation
from seqlab.lm.ngram.rescoring import rescore, rescore_batch
from tests.lm.ngram.backoff_oracle import BackoffOracle, estimated
from tests.lm.ngram.test_interpolation import Stepping


@dataclass
class Found:
    text: str | None
    score: float


class Table:
    """Log-probabilities by sentence; counts its calls."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values, self.calls = values, 0

    def score_batch(self, sentences) -> list[float]:
        self.calls += 1
        return [self.values[s if isinstance(s, str) else " ".join(s)] for s in sentences]


MODEL = Table({"a b": -2.0, "b": -4.0, "a b c": -1.0})


def test_a_case_by_hand() -> None:
    nbest = [("b", -1.0), ("a b", -2.0), (["a", "b", "c"], -4.0)]
    rows = rescore(nbest, MODEL, weight=0.5, word_bonus=0.25)
    # b: -1 - 2 + 0.25; a b: -2 - 1 + 0.5; a b c: -4 - 0.5 + 0.75
    assert [row.score for row in rows] == [-2.5, -2.75, -3.75]
    assert [row.rank for row in rows] == [1, 0, 2]
    assert rows[0].hypothesis == ("a b", -2.0)
    assert (rows[0].acoustic, rows[0].language, rows[0].words) == (-2.0, -2.0, 2)
    assert rows[2].words == 3


def test_objects_and_ties_keep_their_order() -> None:
    nbest = [Found("b", -1.0), Found("a b", -1.0)]
    assert [row.hypothesis for row in rescore(nbest, MODEL, weight=0.0)] == nbest
    assert rescore(nbest, MODEL, weight=1.0)[0].hypothesis is nbest[1]


def test_many_utterances_are_one_batch() -> None:
    model = Table(MODEL.values)
    rows = rescore_batch([[("b", 0.0)], [], [("a b", 0.0), ("b", -9.0)]], model)
    assert [len(nbest) for nbest in rows] == [1, 0, 2] and model.calls == 1
    assert rescore([], model) == []


def test_impossible_sentences_go_last_unless_left_out() -> None:
    model = Table({"a": -math.inf, "b": -1.0})
    nbest = [("a", 0.0), ("b", -5.0)]
    assert [row.rank for row in rescore(nbest, model)] == [1, 0]
    assert [row.score for row in rescore(nbest, model, weight=0.0)] == [0.0, -5.0]


def test_any_language_model_will_do() -> None:
    oracle = BackoffOracle(estimated(["recognise speech", "speech is fun"], 2))
    both = LinearInterpolation([Stepping(oracle)] * 2, [0.5, 0.5])
    nbest = [("fun recognise", -1.0), ("recognise speech", -1.1)]
    assert rescore(nbest, both, 1.0)[0].hypothesis[0] == "recognise speech"


@given(
    st.lists(st.tuples(st.floats(-50, 0), st.floats(-50, 0)), max_size=8), st.floats(-2, 2),
    st.floats(-2, 2),
)  # fmt: skip
def test_scores_fall_and_nothing_is_lost(scores, weight, bonus) -> None:
    nbest = [(f"w{i}", acoustic) for i, (acoustic, _) in enumerate(scores)]
    model = Table({f"w{i}": language for i, (_, language) in enumerate(scores)})
    rows = rescore(nbest, model, weight, bonus)
    assert sorted(row.rank for row in rows) == list(range(len(nbest)))
    assert all(a.score >= b.score for a, b in itertools.pairwise(rows))
    for row in rows:
        acoustic, language = scores[row.rank]
        assert row.score == pytest.approx(acoustic + weight * language + bonus)


def test_bad_hypotheses_are_named() -> None:
    with pytest.raises(DataError, match="'just text' must be a pair of text and score"):
        rescore(["just text"], MODEL)
    with pytest.raises(DataError, match="no text; decode with a vocabulary"):
        rescore([Found(None, 0.0)], MODEL)
    with pytest.raises(DataError, match="score nan of a hypothesis"):
        rescore([("b", math.nan)], MODEL)
    with pytest.raises(DataError, match="weight=inf must be a finite number"):
        rescore([("b", 0.0)], MODEL, weight=math.inf)

    class Wrong:
        def score_batch(self, sentences):
            return np.zeros(7)

    with pytest.raises(DataError, match=r"one log-probability for each of 1 .* shape \(7,\)"):
        rescore([("b", 0.0)], Wrong())
