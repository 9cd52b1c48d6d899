from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.counting import Resources, count_numbers
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.numbering import Numbering, number_text
from seqlab.lm.ngram.scratch import Scratch
from tests.lm.ngram import oracle

SENTENCES = st.lists(st.lists(st.sampled_from("abcdé"), max_size=9), min_size=1, max_size=12)


class Few(Resources):
    """Resources with room for very few rows at a time, so that runs are merged."""

    def rows(self, shape: object) -> int:
        return 7


def block(sentences: list[list[str]]) -> np.ndarray:
    text = "".join(" ".join(sentence) + "\n" for sentence in sentences)
    return np.frombuffer(text.encode(), np.uint8)


def counted(
    sentences: list[list[str]], order: int, resources: Resources, numbering: Numbering
) -> NGramCounts:
    text = number_text([block(sentences)], numbering, resources.scratch)
    return count_numbers(text, order, resources)


def spelled(counts: NGramCounts, order: int) -> list[tuple[str, ...]]:
    words = counts.ngrams.words
    return [tuple(words[int(n)] for n in row) for row in counts.ngrams.word_numbers(order)]


def check_counts(
    counts: NGramCounts, sentences: list[list[str | None]], order: int, marks: bool
) -> None:
    expected = oracle.count(sentences, order, marks)
    types = oracle.left_types(sentences, order, marks)
    seen = {}
    for k in range(1, order + 1):
        grams = spelled(counts, k)
        seen.update(zip(grams, counts.occurrences[k - 1].tolist(), strict=True))
        level = counts.ngrams.levels[k - 1]
        if k < order:
            left = dict(zip(grams, counts.left_types[k - 1].tolist(), strict=True))
            assert all(left[gram] == types[gram] for gram in grams)
        if k > 1:
            shorter = spelled(counts, k - 1)
            assert [shorter[row] for row in level.suffix] == [gram[1:] for gram in grams]
            assert [shorter[row] for row in level.context] == [gram[:-1] for gram in grams]
            numbers = counts.ngrams.word_numbers(k)[:, ::-1].tolist()
            assert numbers == sorted(numbers)
        for row in range(0, len(grams), 5):
            assert counts.ngrams.find(counts.ngrams.word_numbers(k)[row]) == row
    assert {gram: n for gram, n in seen.items() if n} == dict(expected)


@settings(deadline=None)
@given(SENTENCES, st.integers(1, 9), st.booleans())
def test_counts_equal_their_definition(sentences: list[list[str]], order: int, marks: bool) -> None:
    counts = counted(sentences, order, Resources(Scratch()), Numbering(marks=marks))
    check_counts(counts, sentences, order, marks)


@settings(deadline=None)
@given(SENTENCES, st.integers(1, 9), st.sampled_from([1, 2, 3]), st.booleans())
def test_memory_and_threads_do_not_change_counts(
    sentences: list[list[str]], order: int, threads: int, merged: bool
) -> None:
    one = counted(sentences, order, Resources(Scratch()), Numbering())
    kind = Few if merged else Resources
    other = counted(sentences, order, kind(Scratch(), None, threads), Numbering())
    assert_same(one, other)


def assert_same(one: NGramCounts, other: NGramCounts) -> None:
    assert one.ngrams.words == other.ngrams.words
    for name in ("occurrences", "left_types"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert np.array_equal(a, b)
    for a, b in zip(one.ngrams.levels, other.ngrams.levels, strict=True):
        for name in ("first", "suffix", "context"):
            assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("order", [1, 3, 5, 8])
def test_counting_by_way_of_the_disk(order: int, tmp_path: Path) -> None:
    random = np.random.default_rng(order)
    sentences = [
        [f"w{n}" for n in random.zipf(1.4, random.integers(0, 30)) % 5000] for _ in range(3000)
    ]
    one = counted(sentences, order, Resources(Scratch()), Numbering())
    said: list[str] = []
    with Scratch(tmp_path) as scratch:
        resources = Resources(scratch, memory=1)
        text = number_text([block(sentences)], Numbering(), scratch)
        small = type("Small", (Resources,), {"rows": lambda self, shape: 2000})
        other = count_numbers(
            text, order, small(scratch, 1, 2), lambda stage, done, total: said.append(stage)
        )
        assert resources.rows is not None
        assert_same(one, other)
        assert {"words sorted", "rows merged"} <= set(said)
        assert isinstance(other.occurrences[0], np.memmap)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unknown", ["class", "word", "gap"])
@pytest.mark.parametrize("fixed", [False, True])
@settings(deadline=None)
@given(sentences=SENTENCES, order=st.integers(1, 4))
def test_words_left_out(unknown: str, fixed: bool, sentences: list[list[str]], order: int) -> None:
    """What is left out, and <unk> in the text, becomes a word or a gap as documented."""
    text = [[{"c": "<unk>"}.get(word, word) for word in sentence] for sentence in sentences]
    occurrences = oracle.count(text, 1)
    vocabulary = ("b", "zz") if fixed else None
    known = {"b", "zz"} if fixed else {w for (w,), n in occurrences.items() if n >= 3}
    replaced = {"class": "<unk>", "word": None, "gap": None}[unknown]
    literal = {"class": "<unk>", "word": "<unk>", "gap": None}[unknown]
    expected = [
        [literal if w == "<unk>" else w if w in known else replaced for w in sentence]
        for sentence in text
    ]
    numbering = Numbering(vocabulary, 1 if fixed else 3, unknown)  # type: ignore[arg-type]
    counts = counted(text, order, Resources(Scratch()), numbering)
    check_counts(counts, expected, order, True)
    if fixed:
        assert list(counts.ngrams.words) == ["<unk>", "<s>", "</s>", "b", "zz"]


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(DataError, match="the text is empty"):
        number_text([], Numbering(), Scratch())


def test_marks_in_the_text_are_refused() -> None:
    blocks = [block([["a"], ["b"]]), block([["a"], ["<s>", "b"]])]
    with pytest.raises(DataError, match=r"line 2 holds .*counted from line 3"):
        number_text(blocks, Numbering(), Scratch())
