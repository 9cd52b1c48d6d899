"""Linking n-grams: held against sets and sorting in plain Python."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.link import link_ngrams
from seqlab.lm.ngram.ngrams import NGrams
from seqlab.lm.ngram.words import Words


def tables(grams: list[list[tuple[int, ...]]]) -> list[np.ndarray]:
    return [np.array(g, np.int32).reshape(len(g), k) for k, g in enumerate(grams, 1)]


def closed(size: int, grams: list[list[tuple[int, ...]]]) -> list[list[tuple[int, ...]]]:
    """All n-grams with their suffixes and contexts, each order in suffix order."""
    sets = [set(g) for g in grams]
    sets[0] |= {(word,) for word in range(size)}
    for k in range(len(sets) - 1, 0, -1):
        sets[k - 1] |= {g[1:] for g in sets[k]} | {g[:-1] for g in sets[k]}
    return [sorted(s, key=lambda g: g[::-1]) for s in sets]


def check(words: Words, grams: list[list[tuple[int, ...]]]) -> NGrams:
    ngrams, sources = link_ngrams(words, tables(grams))
    expected = closed(len(words), grams)
    assert ngrams.order == len(grams) == len(sources)
    assert ngrams.sizes == tuple(len(e) for e in expected)
    for k, wanted in enumerate(expected, 1):
        level, source = ngrams.levels[k - 1], sources[k - 1]
        assert [tuple(g) for g in ngrams.word_numbers(k).tolist()] == wanted
        assert {level.first.dtype, level.suffix.dtype, level.context.dtype} == {np.dtype("i4")}
        assert source.dtype == np.int64
        place = {gram: i for i, gram in enumerate(grams[k - 1])}
        assert source.tolist() == [place.get(gram, -1) for gram in wanted]
        if k > 1:
            below = expected[k - 2]
            assert [below[row] for row in level.suffix] == [g[1:] for g in wanted]
            assert [below[row] for row in level.context] == [g[:-1] for g in wanted]
        else:
            assert not level.suffix.any() and not level.context.any()
    return ngrams


@st.composite
def gram_lists(draw):
    size = draw(st.integers(3, 8))
    order = draw(st.integers(1, 9))
    grams = []
    for k in range(1, order + 1):
        gram = st.tuples(*[st.integers(0, size - 1)] * k)
        grams.append(draw(st.lists(gram, max_size=12, unique=True)))
    return size, grams


@given(gram_lists())
@settings(max_examples=300, deadline=None)
def test_any_lists_of_any_order(case):
    size, grams = case
    check(Words(f"w{i}" for i in range(size - 3)), grams)


@pytest.mark.parametrize("order", range(1, 10))
def test_complete_ngrams_of_a_text_in_any_order(order):
    random = np.random.default_rng(order)
    text = random.integers(3, 9, 300).tolist()
    grams = [
        list(dict.fromkeys(tuple(text[i : i + k]) for i in range(len(text) - k + 1)))
        for k in range(1, order + 1)
    ]
    # the last words of the text are no contexts of longer n-grams, its first words no suffixes
    for g in grams:
        random.shuffle(g)
    ngrams = check(Words("abcdef"), grams)
    assert ngrams.find(np.array(text[:order], np.int32)) >= 0


def test_vocabulary_larger_than_a_digit_of_the_sort():
    random = np.random.default_rng(0)
    words = Words(f"w{i}" for i in range(5000))
    grams = [[], [], [tuple(g) for g in np.unique(random.integers(0, 5003, (999, 3)), axis=0)]]
    check(words, grams)


def test_sorted_grams_are_taken_as_they_are():
    table = np.array([[1, 3], [4, 3], [3, 4]], np.int32)
    ngrams, sources = link_ngrams(Words("ab"), [np.zeros((0, 1), np.int32), table])
    assert sources[1].tolist() == [0, 1, 2]
    assert ngrams.levels[1].context.tolist() == [1, 4, 3]


def test_empty_orders():
    ngrams = check(Words(), [[], [], []])
    assert ngrams.sizes == (3, 0, 0)


@pytest.mark.parametrize(
    ("grams", "message"),
    [
        ([[], [(3, 4), (1, 3), (3, 4)]], "2-gram 'a b' stands twice; remove one"),
        ([[(4,), (4,)]], "1-gram 'b' stands twice"),
        ([[], [(3, 5)]], r"2-gram \[3, 5\] must hold word numbers within 0 and 4"),
        ([[], [(-1, 3)]], r"2-gram \[-1, 3\] must hold word numbers within 0 and 4"),
        ([], "n-grams of 0 orders must be of 1 to 9"),
        ([[]] * 10, "n-grams of 10 orders must be of 1 to 9"),
    ],
)
def test_refused(grams, message):
    with pytest.raises(DataError, match=message):
        link_ngrams(Words("ab"), tables(grams))


def test_wrong_shape_is_refused():
    with pytest.raises(DataError, match=r"2-grams of shape \(4, 3\) must be an array \(N, 2\)"):
        link_ngrams(Words("ab"), [np.zeros((0, 1), np.int32), np.zeros((4, 3), np.int32)])


@pytest.mark.slow
def test_time_grows_linearly():
    random = np.random.default_rng(0)
    words = Words(f"w{i}" for i in range(30000))
    seconds = []
    for size in (200_000, 1_600_000):
        text = (30000 * random.random(size + 4) ** 4).astype(np.int32) + 3
        grams = [np.unique(text)[:, None]]
        for k in range(2, 6):
            window = np.lib.stride_tricks.sliding_window_view(text, k)
            grams.append(random.permutation(np.unique(window, axis=0)))
        start = time.process_time()
        ngrams, _ = link_ngrams(words, grams)
        seconds.append((time.process_time() - start) / sum(ngrams.sizes))
    assert seconds[1] < 4 * seconds[0] + 1e-7
