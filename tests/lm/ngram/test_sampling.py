"""Drawn words have the model's probabilities, and completions are the best there are."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from seqlab.errors import DataError
from seqlab.lm.ngram.interpolation import interpolate
from seqlab.lm.ngram.kernels import sampling as kernels
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.pruning import prune
from seqlab.lm.ngram.sampling import complete, sample, sample_many
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import SMOOTHINGS, BackoffOracle, estimated, random_sentences

DRAWS = 10_000


def check_frequencies(counts: Counter[str], probabilities: dict[str, float]) -> None:
    """Chi-square test of drawn words; those expected fewer than five times count together."""
    total = sum(counts.values())
    assert set(counts) <= {word for word, p in probabilities.items() if p > 0}
    often = [word for word, p in probabilities.items() if p * total >= 5]
    observed = [counts[word] for word in often]
    expected = [probabilities[word] * total for word in often]
    rest = total - sum(expected)
    if rest > 1e-6 * total:
        observed, expected = [*observed, total - sum(observed)], [*expected, rest]
    scale = sum(observed) / sum(expected)
    if len(observed) > 1:
        assert chisquare(observed, np.array(expected) * scale).pvalue > 1e-4


def next_words(table, prefix: str, **options) -> Counter[str]:
    sentences = sample_many(table, DRAWS, 1, max_words=1, prefix=prefix, **options)
    return Counter(words[0] if words else "</s>" for words in sentences)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("prefix", ["", "a", "b a", "f e", "zz a", "a a a"])
def test_next_words_have_their_probabilities(smoothing: str, prefix: str) -> None:
    table = estimated(random_sentences(11, 20, 9), 3, smoothing)
    oracle = BackoffOracle(table)
    history = ["<s>", *("<unk>" if word == "zz" else word for word in prefix.split())]
    check_frequencies(next_words(table, prefix), {w: oracle.p(history, w) for w in oracle.events})


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 3])
def test_temperature_and_the_best_words(temperature: float, top_k: int | None) -> None:
    table = estimated(random_sentences(12, 20, 9), 3)
    oracle = BackoffOracle(table)
    powers = {w: oracle.p(["<s>", "a"], w) ** (1 / temperature) for w in oracle.events}
    best = sorted(powers, key=lambda w: -powers[w])[:top_k]
    total = sum(powers[word] for word in best)
    counts = next_words(table, "a", temperature=temperature, top_k=top_k)
    check_frequencies(counts, {word: powers[word] / total for word in best})


def test_without_unknown_words_the_others_share() -> None:
    table = estimated(["a b a", "a a", "b"], 2, "laplace")
    oracle = BackoffOracle(table)
    left = 1 - oracle.p(["<s>", "a"], "<unk>")
    expected = {w: oracle.p(["<s>", "a"], w) / left for w in oracle.events if w != "<unk>"}
    check_frequencies(next_words(table, "a", unknown=False), expected)
    check_frequencies(next_words(table, "a", unknown=False, top_k=9), expected)


def test_sentences_have_their_probabilities() -> None:
    table = estimated(["a b", "a", "b a b", "b b"], 3)
    oracle = BackoffOracle(table)
    counts = Counter(" ".join(words) for words in sample_many(table, DRAWS, 5, max_words=30))
    expected = {}
    for sentence in counts:
        p, history = 1.0, ["<s>"]
        for word in [*sentence.split(), "</s>"]:
            p *= oracle.p(history, word)
            history.append(word)
        expected[sentence] = p
    frequent = {s: p for s, p in expected.items() if p * DRAWS > 30}
    assert len(frequent) > 5
    for sentence, p in frequent.items():
        assert abs(counts[sentence] - p * DRAWS) < 5 * (p * DRAWS) ** 0.5


def test_impatient_drawing_is_exact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out after many refusals, taken at once, and without compiling."""
    table = estimated(random_sentences(11, 20, 9), 3)
    successors, oracle = Successors.of(table), BackoffOracle(table)
    monkeypatch.setattr(kernels, "_PATIENCE", 1)
    draw = getattr(kernels.draw, "py_func", kernels.draw)
    rng = np.random.default_rng(3)
    state = successors.state_of([table.ngrams.words.find("b"), table.ngrams.words.find("a")])
    starts, last, _, log_prob, backoff, suffix = successors.arrays
    counts = Counter(
        oracle.words[int(draw(state, rng, len(oracle.words), starts, last, successors.sums,
                              log_prob, backoff, suffix))]
        for _ in range(4000)
    )  # fmt: skip
    check_frequencies(counts, {w: oracle.p(["b", "a"], w) for w in oracle.events})


def test_maximum_likelihood_draws_only_what_it_saw() -> None:
    table = estimated(["a b", "a c a"], 3, "maximum_likelihood")
    for words in sample_many(table, 500, 2, max_words=20):
        seen = ["<s>", *words]
        assert {*itertools.pairwise(seen)} <= {
            ("<s>", "a"), ("a", "b"), ("a", "c"), ("c", "a")
        }  # fmt: skip


@given(
    st.integers(0, 10**6), st.sampled_from(SMOOTHINGS), st.integers(1, 4), st.integers(1, 12),
    st.lists(st.sampled_from(["a", "b", "c", "zz"]), max_size=4), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_completions_are_the_best(seed, smoothing, order, count, prefix, bos) -> None:
    table = estimated(random_sentences(seed, 12, 8), order, smoothing)
    oracle = BackoffOracle(table)
    history = [*(["<s>"] if bos else []), *("<unk>" if w == "zz" else w for w in prefix)]
    found = complete(table, prefix, count, bos)
    values = sorted((oracle.ln(history, word) for word in oracle.events), reverse=True)[:count]
    assert [value for _, value in found] == pytest.approx(values, rel=1e-5, abs=1e-5)
    assert len({word for word, _ in found}) == len(found) == min(count, len(oracle.events))
    for word, value in found:
        assert value == pytest.approx(oracle.ln(history, word), rel=1e-5, abs=1e-5)


def test_completions_of_other_models() -> None:
    stupid = estimated(random_sentences(4), 4, "stupid_backoff")
    oracle = BackoffOracle(stupid)
    word, value = complete(stupid, "zz zz a", 1)[0]
    assert value == pytest.approx(oracle.ln(["<unk>", "<unk>", "a"], word), abs=1e-5)
    one = prune(estimated(random_sentences(4), 3), 1e-2).table
    mixed = interpolate([one, estimated(random_sentences(5), 2)], [0.5, 0.5])
    oracle = BackoffOracle(mixed)
    word, value = complete(mixed, "a b", 1)[0]
    assert value == pytest.approx(max(oracle.ln(["a", "b"], w) for w in oracle.events), abs=1e-5)


def test_seeds_repeat_and_lengths_hold() -> None:
    table = estimated(random_sentences(1), 3)
    assert sample(table, 7) == sample(table, np.random.default_rng(7)) == sample(table, 7)
    assert sample_many(table, 5, 1) != sample_many(table, 5, 2)
    assert max(len(words) for words in sample_many(table, 200, 1, max_words=2)) == 2


def test_long_texts_go_on_where_they_stopped() -> None:
    """A model without an end of sentence: a b a b ... beyond what is drawn at a time."""
    words = Words(["a", "b"])
    grams = [np.arange(5)[:, None], np.array([[3, 4], [4, 3]])]
    ngrams, _ = link_ngrams(words, [part.astype(np.int32) for part in grams])
    never = np.full(5, -np.inf, np.float32)
    unigrams = np.where(np.arange(5) > 2, np.log(0.5), never).astype(np.float32)
    backoff = np.where(np.arange(5) > 2, never, 0).astype(np.float32)
    table = BackoffTable(ngrams, (unigrams, np.zeros(2, np.float32)), (backoff,))
    drawn = sample(table, 1, max_words=1000)
    assert len(drawn) == 1000 and {*itertools.pairwise(drawn)} == {("a", "b"), ("b", "a")}
    assert sample(table, 1, max_words=10, temperature=1e-300) == sample(
        table, 1, max_words=10, temperature=0.5
    )


def test_where_only_unknown_words_follow() -> None:
    table = estimated(["a b", "a c"], 2, "maximum_likelihood", vocabulary=["a"])
    assert sample(table, 1, prefix="a", max_words=1) == ["<unk>"]
    for options in ({}, {"temperature": 2.0}, {"top_k": 2}):
        with pytest.raises(DataError, match="no word can follow, or <unk> alone"):
            sample(table, 1, prefix="a", unknown=False, **options)


def test_arguments_are_checked() -> None:
    table = estimated(random_sentences(1), 2)
    with pytest.raises(ValueError, match=r"temperature=0 must be .* top_k=1"):
        sample(table, 1, temperature=0)
    with pytest.raises(ValueError, match="top_k=0 must be a whole number of at least 1"):
        sample(table, 1, top_k=0)
    with pytest.raises(ValueError, match="rng=-1 must be"):
        sample(table, -1)
    with pytest.raises(ValueError, match="max_words=0 must be"):
        sample(table, 1, max_words=0)
    with pytest.raises(ValueError, match="count=0 must be"):
        complete(table, "", 0)
    with pytest.raises(DataError, match="stupid back-off"):
        sample(estimated(random_sentences(1), 2, "stupid_backoff"), 1)
