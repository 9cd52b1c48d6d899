"""Entropy pruning against relative entropies summed over the vocabulary."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.arpa import write_arpa
from seqlab.lm.ngram.interpolation import interpolate
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.log_linear import interpolate_log_linear
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.pruning import (
    context_log_probs,
    keep,
    prune,
    prune_to_size,
    pruning_scores,
)
from seqlab.lm.ngram.words import Words
from tests.lm.ngram.backoff_oracle import SMOOTHINGS, BackoffOracle, estimated, random_sentences


def own_score(oracle: BackoffOracle, gram: tuple[str, ...]) -> float:
    """D(p || p') with and without one n-gram, by the sum over all words after its context."""
    history = gram[:-1]
    weight = 1.0
    for place, step in enumerate(history):
        weight *= oracle.p((), "</s>") if step == "<s>" else oracle.p(history[:place], step)
    listed = [g[-1] for g in oracle.log_prob if g[:-1] == history and g != gram]
    left = 1 - sum(oracle.p(history, v) for v in listed)
    alpha = left / (1 - sum(oracle.p(history[1:], v) for v in listed))
    total = 0.0
    for v in oracle.events:
        p = oracle.p(history, v)
        q = p if v in listed else alpha * oracle.p(history[1:], v)
        total += p * math.log(p / q) if p > 0 else 0
    return weight * total


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_scores_are_relative_entropies(smoothing: str) -> None:
    table = estimated(random_sentences(3, 15, 5), 3, smoothing)
    oracle, scores = BackoffOracle(table), pruning_scores(table)
    grams = {
        k: [tuple(oracle.words[n] for n in row) for row in table.ngrams.word_numbers(k)]
        for k in (2, 3)
    }
    worth = {gram: own_score(oracle, gram) for k in (2, 3) for gram in grams[k]}
    for gram, score in zip(grams[3], scores[1], strict=True):
        assert score == pytest.approx(worth[gram], rel=1e-3, abs=1e-8), gram
    for gram, score in zip(grams[2], scores[0], strict=True):
        needing = [worth[g] for g in grams[3] if gram in (g[:2], g[1:])]
        assert score == pytest.approx(max([worth[gram], *needing]), rel=1e-3, abs=1e-8), gram


def small_table() -> BackoffTable:
    """Two words; p(a) = 0.5, p(b) = 0.2, p(</s>) = 0.2, p(<unk>) = 0.1; p(b | a) = 0.6."""
    words = Words(["a", "b"])
    ngrams, _ = link_ngrams(words, [np.arange(5)[:, None].astype(np.int32), np.int32([[3, 4]])])
    with np.errstate(divide="ignore"):
        unigrams = np.log(np.float32([0.1, 0, 0.2, 0.5, 0.2]))
    backoff = np.zeros(5, np.float32)
    backoff[3] = math.log(0.4 / 0.8)
    return BackoffTable(ngrams, (unigrams, np.log(np.float32([0.6]))), (backoff,))


def test_a_case_by_hand() -> None:
    # Without "a b" the back-off weight of "a" is 1 and p'(. | a) = p(.), so
    # D = p(a) [0.6 ln(0.6 / 0.2) + 0.4 ln 0.5], the rest after a being halved in p.
    expected = 0.5 * (0.6 * math.log(3) + 0.4 * math.log(0.5))
    assert pruning_scores(small_table())[0][0] == pytest.approx(expected, rel=1e-5)
    assert prune(small_table(), math.expm1(expected) * 0.999).after == (5, 1)
    pruned = prune(small_table(), math.expm1(expected) * 1.001)
    assert pruned.after == (5, 0) and pruned.before == (5, 1)
    assert pruned.table.order == 1


@given(st.integers(0, 10**6), st.sampled_from(SMOOTHINGS), st.integers(2, 5), st.floats(1e-6, 1e-1))
@settings(max_examples=40, deadline=None)
def test_pruned_models_sum_to_one(seed: int, smoothing: str, order: int, threshold: float) -> None:
    table = estimated(random_sentences(seed, 12, 5), order, smoothing)
    pruned = prune(table, threshold)
    oracle, before = BackoffOracle(pruned.table), BackoffOracle(table)
    for gram, log_prob in oracle.log_prob.items():
        assert log_prob == before.log_prob[gram]
        assert gram[1:] in oracle.log_prob or len(gram) == 1
        assert gram[:-1] in oracle.log_prob or len(gram) == 1
    for history in oracle.contexts():
        assert oracle.total(history) == pytest.approx(1, abs=2e-6)
    assert sum(pruned.after) == len(oracle.log_prob)


@given(st.integers(0, 10**6), st.integers(2, 4), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_the_size_asked_for_is_kept(seed: int, order: int, part: float) -> None:
    table = estimated(random_sentences(seed, 15, 6), order)
    unigrams, every = table.ngrams.sizes[0], sum(table.ngrams.sizes)
    asked = unigrams + round(part * (every - unigrams))
    pruned = prune_to_size(table, ngrams=asked)
    size = sum(pruned.after)
    assert size <= asked
    scores = np.concatenate(pruning_scores(table))
    kept = np.count_nonzero(scores >= math.log1p(pruned.threshold) * (1 - 1e-7))
    assert unigrams + np.count_nonzero(scores > math.log1p(pruned.threshold) * 1.0001) <= size
    assert size <= unigrams + kept
    # one more distinct value would have been too many
    out = np.sort(scores)[::-1][size - unigrams :]
    if len(out):
        assert unigrams + np.count_nonzero(scores >= out[0]) > asked
    for history in BackoffOracle(pruned.table).contexts():
        assert BackoffOracle(pruned.table).total(history) == pytest.approx(1, abs=2e-6)


def test_sizes_in_bytes_and_the_whole_model() -> None:
    table = estimated(random_sentences(5), 3)
    every = sum(table.ngrams.sizes)
    assert prune_to_size(table, ngrams=every).after == table.ngrams.sizes
    assert prune_to_size(table, size=20 * every).after == table.ngrams.sizes
    half = prune_to_size(table, size=10 * every)
    assert sum(half.after) <= every / 2
    assert sum(prune_to_size(table, size=10 * every, bytes_per_ngram=10).after) == every


def test_nothing_goes_at_zero_and_weights_stay() -> None:
    table = estimated(random_sentences(6), 3)
    pruned = prune(table, 0.0).table
    for one, two in zip(pruned.log_backoff, table.log_backoff, strict=True):
        assert np.array_equal(one, two)


def test_history_probabilities_come_from_the_other_model() -> None:
    table = estimated(random_sentences(7), 3, "modified_kneser_ney")
    history = estimated(random_sentences(7), 3, "witten_bell")
    oracle, other = BackoffOracle(table), BackoffOracle(history)
    bigrams = context_log_probs(table, history)[1]
    for row, value in zip(table.ngrams.word_numbers(2), bigrams, strict=True):
        one, two = (oracle.words[n] for n in row)
        first = other.ln((), "</s>" if one == "<s>" else one)
        assert value == pytest.approx(first + other.ln((one,), two), abs=1e-5)
    ours, theirs = pruning_scores(table), pruning_scores(table, history)
    assert not np.allclose(ours[1], theirs[1], rtol=1e-2)


def test_maximum_likelihood_can_be_pruned() -> None:
    table = estimated(random_sentences(8), 3, "maximum_likelihood")
    oracle = BackoffOracle(prune(table, 1e-3).table)
    for history in oracle.contexts():
        assert oracle.total(history) == pytest.approx(1, abs=3e-6)


def test_impossible_wishes_are_refused() -> None:
    table = estimated(random_sentences(9), 2)
    with pytest.raises(ValueError, match=r"threshold=-1 must be a number within"):
        prune(table, -1)
    with pytest.raises(ValueError, match=r"threshold=nan must be"):
        prune(table, math.nan)
    with pytest.raises(DataError, match="exactly one must be given"):
        prune_to_size(table)
    with pytest.raises(DataError, match="exactly one must be given"):
        prune_to_size(table, ngrams=10, size=10)
    with pytest.raises(DataError, match=r"ngrams=3 must leave room for the \d+ unigrams"):
        prune_to_size(table, ngrams=3)
    with pytest.raises(DataError, match=r"size=40 \(2 n-grams\) must leave room"):
        prune_to_size(table, size=40)
    with pytest.raises(DataError, match="stupid back-off"):
        prune(estimated(random_sentences(9), 2, "stupid_backoff"), 1e-5)
    bigrams = np.zeros(table.ngrams.sizes[1], bool)
    three = estimated(random_sentences(9), 3)
    with pytest.raises(DataError, match="every 3-gram that is kept needs its context and suffix"):
        keep(three, (bigrams, np.ones(three.ngrams.sizes[2], bool)))


def test_stupid_backoff_keeps_its_scores_without_rare_ngrams() -> None:
    table = estimated(random_sentences(9), 2, "stupid_backoff")
    kept = keep(table, (np.arange(table.ngrams.sizes[1]) % 2 == 0,))
    assert kept.unseen_backoff == table.unseen_backoff
    assert np.array_equal(kept.log_backoff[0], table.log_backoff[0])


@pytest.mark.parametrize("kind", ["pruned", "mixed", "log-linear"])
def test_kenlm_scores_changed_models_alike(kind: str, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    table = estimated(random_sentences(20, 60, 9), 3, "modified_kneser_ney")
    other = estimated(random_sentences(21, 30, 11), 4)
    if kind == "pruned":
        changed = prune(table, 1e-3).table
        assert 0 < changed.ngrams.sizes[2] < table.ngrams.sizes[2]
    elif kind == "mixed":
        changed = interpolate([table, other], [0.3, 0.7])
    else:
        changed = interpolate_log_linear([table, other], [0.3, 0.7])
    write_arpa(changed, tmp_path / "changed.arpa")
    peer = kenlm.Model(str(tmp_path / "changed.arpa"))
    oracle = BackoffOracle(changed)
    for sentence in [*random_sentences(22, 20, 12), "zz a"]:
        words = ["<s>", *(w if w in oracle.words else "<unk>" for w in sentence.split()), "</s>"]
        expected = sum(oracle.ln(words[:i], words[i]) for i in range(1, len(words)))
        assert peer.score(sentence) * math.log(10) == pytest.approx(expected, abs=1e-3)
