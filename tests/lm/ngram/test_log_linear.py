"""Log-linear combinations against sums over the vocabulary, weights against an optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from seqlab.errors import DataError
from seqlab.lm.ngram.interpolation import fit_linear_weights, score_columns
from seqlab.lm.ngram.log_linear import (
    LogLinearInterpolation,
    interpolate_log_linear,
)
from seqlab.lm.ngram.log_linear_weights import fit_log_linear_weights
from tests.lm.ngram.backoff_oracle import SMOOTHINGS, BackoffOracle, estimated, random_sentences
from tests.lm.ngram.test_interpolation import SharedOracle, two_models


def combined(parts, weights, history, word) -> float:
    """p(word | history) by the definition."""
    products = {
        v: math.exp(sum(w * part.ln(history, v) for w, part in zip(weights, parts, strict=True)))
        for v in parts[0].events
    }
    return products[word] / sum(products.values())


@given(
    st.integers(0, 10**6), st.sampled_from(SMOOTHINGS), st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(st.floats(-0.3, 1.5), st.floats(-0.3, 1.5)),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_one_model_holds_the_combination_exactly(seed, smoothing, orders, weights) -> None:
    tables = two_models(seed, orders, smoothing, words=(4, 4))
    vocabulary = sorted({w for t in tables for w in list(t.ngrams.words)[3:]})
    tables = [
        estimated(random_sentences(seed + i, 12, 4), orders[i], smoothing, vocabulary=vocabulary)
        for i in range(2)
    ]
    merged = interpolate_log_linear(tables, weights)
    oracle, parts = (
        BackoffOracle(merged),
        [SharedOracle(t, merged.ngrams.words, divide=True) for t in tables],
    )
    for history in [*oracle.contexts(), ("d", "d", "d"), ("<unk>", "b", "a")]:
        assert oracle.total(history) == pytest.approx(1, abs=3e-6)
        for word in oracle.events:
            expected = combined(parts, weights, history, word)
            assert oracle.p(history, word) == pytest.approx(expected, rel=1e-3, abs=1e-8)


def test_other_vocabularies_still_sum_to_one() -> None:
    tables = two_models(5)
    merged = interpolate_log_linear(tables, [0.7, 0.5])
    oracle = BackoffOracle(merged)
    for history in oracle.contexts():
        assert oracle.total(history) == pytest.approx(1, abs=3e-6)


def test_a_case_by_hand() -> None:
    # p = (a 2/5, </s> 2/5, <unk> 1/5) squared: 4 : 4 : 1
    one = estimated(["a"], 1, "laplace")
    squared = BackoffOracle(interpolate_log_linear([one, one], [1, 1]))
    assert [squared.p((), w) for w in ("a", "</s>", "<unk>")] == pytest.approx(
        [4 / 9, 4 / 9, 1 / 9]
    )


def test_query_time_sums_over_the_vocabulary() -> None:
    tables, weights = two_models(6, (3, 3)), (0.8, 0.4)
    lazy = LogLinearInterpolation(tables, weights, cache_size=3)
    parts = [SharedOracle(table, lazy.words, divide=True) for table in tables]
    for sentence in [*random_sentences(3, 6, 6), "zz a zz"]:
        history, expected = ["<s>"], 0.0
        for word in [*sentence.split(), "</s>"]:
            word = word if word in lazy.words else "<unk>"
            expected += math.log(combined(parts, weights, history, word))
            history.append(word)
        assert lazy.score_batch([sentence, sentence.split()]) == pytest.approx(
            [expected] * 2, abs=1e-4
        )


def test_models_of_a_vocabulary_agree_with_their_merger() -> None:
    sentences = random_sentences(7, 40, 6)
    tables = [estimated(sentences, 3), estimated(sentences, 2, "laplace")]
    merged = BackoffOracle(interpolate_log_linear(tables, [0.6, 0.6]))
    lazy = LogLinearInterpolation(tables, [0.6, 0.6])
    for sentence in random_sentences(8, 10, 6):
        words = sentence.split()
        full = ["<s>", *words, "</s>"]
        expected = sum(merged.ln(full[:i], full[i]) for i in range(1, len(full)))
        assert lazy.score_batch([sentence])[0] == pytest.approx(expected, abs=1e-4)


def test_fitted_weights_are_the_best() -> None:
    sentences = random_sentences(10, 60, 6)
    tables = [estimated(sentences[:40], 3), estimated(sentences[20:], 2, "laplace")]
    lines = random_sentences(11, 15, 6)
    text = "\n".join(lines)
    fit = fit_log_linear_weights(tables, text)
    assert fit.converged and fit.iterations < 20
    assert np.all(np.diff(fit.log_likelihoods) >= -1e-12)

    tokens = sum(len(line.split()) + 1 for line in lines)

    def loss(weights: np.ndarray) -> float:
        return -float(LogLinearInterpolation(tables, weights).score_batch(lines).sum()) / tokens

    assert -fit.log_likelihoods[-1] == pytest.approx(loss(np.array(fit.weights)), abs=1e-6)
    best = minimize(loss, fit.weights, method="Nelder-Mead", options={"maxiter": 60})
    assert -fit.log_likelihoods[-1] <= best.fun + 1e-6
    assert fit.perplexity == pytest.approx(math.exp(best.fun), rel=1e-5)


def test_with_other_vocabularies_the_fit_is_of_the_merged_model() -> None:
    tables = two_models(12, (3, 3))
    lines = [*random_sentences(13, 15, 7), "zz", ""]
    fit = fit_log_linear_weights(tables, "\n".join(lines))
    merged = interpolate_log_linear(tables, fit.weights)
    mean = score_columns([merged], "\n".join(lines)).mean()
    assert fit.log_likelihoods[-1] == pytest.approx(mean, abs=1e-2)
    assert fit.converged


def test_fits_without_a_way_to_choose_end() -> None:
    table = estimated(random_sentences(14), 3)
    fit = fit_log_linear_weights([table, table], "a b\nc a")
    assert fit.converged and fit.weights[0] == pytest.approx(fit.weights[1])
    assert fit_linear_weights(score_columns([table, table], "a b\nc a")).weights == (0.5, 0.5)


def test_bad_arguments_are_named() -> None:
    table = estimated(["a b", "b"], 2)
    never = estimated(["a b", "b"], 2, "maximum_likelihood")
    for weights in ([1.0], [math.inf, 1.0]):
        with pytest.raises(DataError, match="must be a finite number for each of the 2 models"):
            interpolate_log_linear([table, table], weights)
    with pytest.raises(DataError, match=r"\d+ n-grams have probability 0 .* smoothed model"):
        fit_log_linear_weights([table, never], "a b")
    with pytest.raises(DataError, match="probability 0 in a model"):
        interpolate_log_linear([table, never], [1.0, -0.5])
    with pytest.raises(DataError, match="held-out text must have words"):
        fit_log_linear_weights([table, table], "")
    with pytest.raises(DataError, match="log-linear interpolation needs probabilities"):
        interpolate_log_linear([table, estimated(["a"], 2, "stupid_backoff")], [1, 1])


def test_words_that_never_come_stay_impossible() -> None:
    table = estimated(["a b", "b a"], 2)
    never = estimated(["a b", "b a"], 2, "maximum_likelihood")
    merged = BackoffOracle(interpolate_log_linear([table, never], [0.5, 0.5]))
    assert merged.ln(("<s>",), "<unk>") == -math.inf
    for history in [(), ("<s>",), ("a",)]:
        assert merged.total(history) == pytest.approx(1, abs=2e-6)
