"""Mixtures against sums over the definition; weights against a general optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from seqlab.errors import DataError
from seqlab.lm.ngram.alignment import join_words, shared_unknown
from seqlab.lm.ngram.interpolation import (
    LinearInterpolation,
    fit_linear_weights,
    interpolate,
    score_columns,
)
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import SMOOTHINGS, BackoffOracle, estimated, random_sentences


class SharedOracle(BackoffOracle):
    """A model over more words: those it lacks have none, or divide ``<unk>`` with it."""

    def __init__(self, table: BackoffTable, words: Words, divide: bool = False) -> None:
        super().__init__(table)
        self.known, self.divide = set(self.words), divide
        self.words = list(words)
        self.sharing = 1 + len([word for word in words if word not in self.known])

    def ln(self, history, word) -> float:
        history = [w if w in self.known else "<unk>" for w in history]
        if not self.divide:
            return super().ln(history, word) if word in self.known else -math.inf
        if word in self.known - {"<unk>"}:
            return super().ln(history, word)
        return super().ln(history, "<unk>") - math.log(self.sharing)


class Stepping:
    """A language model by its oracle."""

    def __init__(self, oracle: BackoffOracle) -> None:
        self.oracle = oracle

    def initial_state(self) -> tuple[str, ...]:
        return ("<s>",)

    def advance(self, state, token):
        return self.oracle.ln(state, token), (*state, token)


def two_models(seed: int, orders=(3, 2), smoothing: str = "witten_bell", words=(5, 7)):
    """Models of different orders, texts and vocabularies."""
    return [
        estimated(random_sentences(seed + i, 12, words[i]), orders[i], smoothing) for i in range(2)
    ]


@given(
    st.integers(0, 10**6), st.sampled_from(SMOOTHINGS), st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.integers(2, 7)] * 2), st.floats(0, 1),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_listed_ngrams_get_the_mixture(seed, smoothing, orders, words, weight) -> None:
    tables = two_models(seed, orders, smoothing, words)
    mixed = interpolate(tables, [weight, 1 - weight])
    oracle = BackoffOracle(mixed)
    parts = [SharedOracle(table, mixed.ngrams.words) for table in tables]
    assert mixed.order == max(orders)
    originals = [BackoffOracle(table) for table in tables]
    assert set(oracle.log_prob) == {*originals[0].log_prob, *originals[1].log_prob} | {
        (word,) for word in oracle.words
    }
    for gram, log_prob in oracle.log_prob.items():
        if gram[-1] == "<s>":
            assert log_prob == -math.inf
            continue
        one, two = (part.p(gram[:-1], gram[-1]) for part in parts)
        expected = weight * one + (1 - weight) * two
        assert math.exp(log_prob) == pytest.approx(expected, rel=1e-4, abs=1e-9), gram
    for history in oracle.contexts():
        assert oracle.total(history) == pytest.approx(1, abs=2e-6)


def test_three_models_and_a_weight_of_one() -> None:
    tables = [*two_models(1), estimated(random_sentences(5, 10, 4), 4)]
    mixed = interpolate(tables, [0.2, 0.3, 0.5])
    for history in BackoffOracle(mixed).contexts():
        assert BackoffOracle(mixed).total(history) == pytest.approx(1, abs=2e-6)
    same = interpolate([tables[0], tables[0]], [0.25, 0.75])
    for one, two in zip(same.log_prob, tables[0].log_prob, strict=True):
        assert np.allclose(one, two, atol=1e-5)
    oracle, first = BackoffOracle(same), BackoffOracle(tables[0])
    for history in oracle.contexts():
        for word in oracle.events:
            assert oracle.ln(history, word) == pytest.approx(first.ln(history, word), abs=2e-4)


def test_a_case_by_hand() -> None:
    # Laplace unigrams of "a" and of "b b": over {<unk>, </s>, a, b} the first gives a 2/5,
    # </s> 2/5, <unk> 1/5, and nothing to b; the second b 3/6, </s> 2/6, <unk> 1/6.
    one, two = estimated(["a"], 1, "laplace"), estimated(["b b"], 1, "laplace")
    mixed = BackoffOracle(interpolate([one, two], [0.5, 0.5]))
    assert mixed.p((), "a") == pytest.approx(2 / 5 / 2)
    assert mixed.p((), "b") == pytest.approx(3 / 6 / 2)
    assert mixed.p((), "</s>") == pytest.approx((2 / 5 + 2 / 6) / 2)
    assert mixed.p((), "<unk>") == pytest.approx((1 / 5 + 1 / 6) / 2)


def test_words_are_joined_and_shared() -> None:
    words, numbers = join_words([Words(["x", "y"]), Words(["z", "y"]), Words()])
    assert list(words)[3:] == ["x", "y", "z"]
    assert [n.tolist()[3:] for n in numbers] == [[3, 4], [5, 4], []]
    word_of, share = shared_unknown(words, Words(["z"]))
    assert word_of.tolist() == [0, 1, 2, 0, 0, 3]
    assert np.exp(share) == pytest.approx([1 / 3, 1, 1, 1 / 3, 1 / 3, 1])
    _, whole = shared_unknown(words, Words(["z"]), divide=False)
    assert np.exp(whole).tolist() == [1, 1, 1, 0, 0, 1]
    same, none = shared_unknown(words, words)
    assert same.tolist() == list(range(6)) and not none.any()


def test_the_exact_mixture_goes_word_by_word() -> None:
    tables = two_models(3, (3, 2), words=(5, 5))
    mixed = interpolate(tables, [0.4, 0.6])
    parts = [SharedOracle(table, mixed.ngrams.words) for table in tables]
    exact = LinearInterpolation([Stepping(part) for part in parts], [0.4, 0.6])
    for sentence in random_sentences(9, 10, 5):
        history, expected = ["<s>"], 0.0
        for word in [*sentence.split(), "</s>"]:
            one, two = (part.p(history, word) for part in parts)
            expected += math.log(0.4 * one + 0.6 * two)
            history.append(word)
        assert exact.score_batch([sentence])[0] == pytest.approx(expected)
        assert exact.score_batch([sentence.split()])[0] == pytest.approx(expected)
    oracle = BackoffOracle(mixed)
    for gram in oracle.log_prob:
        if gram[-1] != "<s>":
            state = tuple(gram[:-1] for _ in parts)
            assert exact.advance(state, gram[-1])[0] == pytest.approx(
                oracle.ln(gram[:-1], gram[-1]), abs=1e-4
            )


def test_the_exact_mixture_of_impossible_words() -> None:
    table = estimated(["a b"], 2, "maximum_likelihood")
    both = LinearInterpolation([Stepping(BackoffOracle(table))] * 2, [1.0, 0.0], end=None)
    assert both.score_batch(["b", "a b"]).tolist() == pytest.approx([-math.inf, 0.0], abs=1e-5)


def test_columns_are_each_models_scores() -> None:
    tables = two_models(4)
    words, _ = join_words([table.ngrams.words for table in tables])
    text = "a b zz\n\nc a g"
    columns = score_columns(tables, text)
    for column, table in zip(columns.T, tables, strict=True):
        oracle, place = SharedOracle(table, words), 0
        for line in text.split("\n"):
            history = ["<s>"]
            for word in [*line.split(), "</s>"]:
                expected = oracle.ln(history, word if word in words else "<unk>")
                assert column[place] == pytest.approx(expected, abs=1e-5)
                history.append(word)
                place += 1
        assert place == len(column)


@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_every_step_of_em_gains(seed: int, models: int, tokens: int) -> None:
    columns = np.log(np.random.default_rng(seed).dirichlet(np.ones(models + 1), tokens))[:, 1:]
    fit = fit_linear_weights(columns, max_iterations=200)
    assert np.all(np.diff(fit.log_likelihoods) >= -1e-12)
    assert sum(fit.weights) == pytest.approx(1) and min(fit.weights) >= 0
    assert fit.iterations == len(fit.log_likelihoods) - 1 <= 200
    assert fit.perplexity == pytest.approx(math.exp(-fit.log_likelihoods[-1]))


@pytest.mark.parametrize("models", [2, 3])
def test_em_finds_what_an_optimiser_finds(models: int) -> None:
    columns = np.log(np.random.default_rng(models).dirichlet(np.ones(models), 300) * 0.9)

    def loss(z: np.ndarray) -> float:
        weights = np.exp(z - z.max())
        return -float(np.mean(np.log(np.exp(columns) @ (weights / weights.sum()))))

    best = minimize(loss, np.zeros(models), tol=1e-12)
    fit = fit_linear_weights(columns, tolerance=1e-9, max_iterations=100_000)
    assert fit.converged
    assert -fit.log_likelihoods[-1] == pytest.approx(best.fun, abs=2e-9)
    weights = np.exp(best.x - best.x.max())
    assert fit.weights == pytest.approx(weights / weights.sum(), abs=1e-3)


def test_em_by_hand_and_at_the_border() -> None:
    # one token, p = (0.8, 0.2): a step gives weights in proportion to the probabilities
    one = fit_linear_weights(np.log([[0.8, 0.2]]), max_iterations=1)
    assert one.weights == pytest.approx((0.8, 0.2)) and not one.converged
    assert one.log_likelihoods == pytest.approx([math.log(0.5), math.log(0.68)])
    with np.errstate(divide="ignore"):
        zero = fit_linear_weights(np.log([[0.5, 0.0], [0.0, 0.5]]))
    assert zero.weights == (0.5, 0.5) and zero.converged and zero.iterations == 0


def test_bad_arguments_are_named() -> None:
    tables = two_models(2)
    with pytest.raises(DataError, match="1 models must be at least 2"):
        interpolate(tables[:1], [1.0])
    with pytest.raises(DataError, match="3 weights must be one for each of the 2 models"):
        interpolate(tables, [0.2, 0.3, 0.5])
    for weights in ([0.5, 0.6], [-0.5, 1.5], [math.nan, 1.0]):
        with pytest.raises(DataError, match="must be at least 0 and sum to 1"):
            interpolate(tables, weights)
    with pytest.raises(DataError, match=r"weights=\['a', 'b'\] must be numbers"):
        interpolate(tables, ["a", "b"])
    stupid = estimated(["a b"], 2, "stupid_backoff")
    with pytest.raises(DataError, match="linear interpolation needs probabilities"):
        interpolate([tables[0], stupid], [0.5, 0.5])
    with pytest.raises(DataError, match="held-out text must have words"):
        score_columns(tables, "\n\n")
    with pytest.raises(DataError, match=r"shape \(0, 2\) must be \(tokens, models\)"):
        fit_linear_weights(np.zeros((0, 2)))
    with pytest.raises(DataError, match="no NaN; give natural logarithms"):
        fit_linear_weights(np.array([[math.nan, -1]]))
    with pytest.raises(DataError, match="1 of 2 held-out tokens have probability 0"):
        fit_linear_weights(np.array([[-1, -1], [-math.inf, -math.inf]]))
