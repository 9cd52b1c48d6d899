"""Alignment of letters with phones: against all cuts, by hand, and cases that cannot be aligned."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.pronunciation.alignment import LONGEST, Graphone, align

PAIRS = [
    ("phone", "F OW N"),
    ("graph", "G R AE F"),
    ("pen", "P EH N"),
    ("hop", "HH AA P"),
    ("rag", "R AE G"),
    ("one", "W AH N"),
    ("box", "B AA K S"),
    ("fox", "F AA K S"),
]


def pairs(entries: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    return [(word, phones.split()) for word, phones in entries]


def all_cuts(word: str, phones: tuple[str, ...], k: int, m: int) -> list[tuple[Graphone, ...]]:
    """Every way to cut a word and its phones into graphones."""
    if not word:
        return [()] if not phones else []
    return [
        (Graphone(word[:i], phones[:j]), *rest)
        for i in range(1, min(k, len(word)) + 1)
        for j in range(min(m, len(phones)) + 1)
        if i == 1 or j <= 1
        for rest in all_cuts(word[i:], phones[j:], k, m)
    ]


def oracle(entries: list, k: int, m: int, iterations: int):
    """EM by writing out all cuts: log-likelihoods, and the likeliest cut of each word."""
    cuts = [found for word, ph in entries if (found := all_cuts(word, tuple(ph), k, m))]
    weights: dict[Graphone, float] = {}
    history = []

    def first(graphone: Graphone) -> float:
        return 1.0 if len(graphone.letters) == len(graphone.phones) == 1 else 0.1

    for step in range(iterations):
        counts: dict[Graphone, float] = {}
        total = 0.0
        for found in cuts:
            chances = [math.prod(weights[g] if step else first(g) for g in c) for c in found]
            total += math.log(sum(chances))
            for cut, chance in zip(found, chances, strict=True):
                for graphone in cut:
                    counts[graphone] = counts.get(graphone, 0.0) + chance / sum(chances)
        history.append(total / len(cuts))
        weights = {g: n / sum(counts.values()) for g, n in counts.items()}

    def cost(cut: tuple[Graphone, ...]) -> float:
        return sum(max(len(g.letters), len(g.phones)) * math.log(weights[g]) for g in cut)

    return history[1:], [max(map(cost, found)) for found in cuts], cost


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=5), st.lists(st.sampled_from("XYZ"),
                  min_size=1, max_size=5)), min_size=1, max_size=5,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)  # fmt: skip
def test_against_all_cuts(entries, k, m) -> None:
    if not any(all_cuts(word, tuple(phones), k, m) for word, phones in entries):
        with pytest.raises(DataError, match="can be aligned"):
            align(entries, k, m, 4)
        return
    found = align(entries, k, m, 4)
    history, best, cost = oracle(entries, k, m, 4)
    assert found.log_likelihoods == pytest.approx(history)
    assert [cost(word) for word in found.words] == pytest.approx(best)
    assert len(found.words) + found.left_out == len(entries)
    assert all(np.diff(found.log_likelihoods) > -1e-9)


def test_digraphs_silent_letters_and_two_phones() -> None:
    found = align(pairs(PAIRS * 3 + [("grape", "G R EY P"), ("tone", "T OW N")]))
    words = {"".join(g.letters for g in word): word for word in found.words}
    assert Graphone("ph", ("F",)) in words["phone"]
    assert Graphone("x", ("K", "S")) in words["fox"]
    for (word, phones), cut in zip(pairs(PAIRS), found.words, strict=False):
        assert "".join(g.letters for g in cut) == word
        assert list(itertools.chain(*(g.phones for g in cut))) == phones


def test_words_that_cannot_be_aligned_are_left_out() -> None:
    long = "a" * (LONGEST + 1)
    entries = [
        *pairs(PAIRS),
        ("w", ["D", "AH", "B", "AH", "L"]),
        (long, ["A"]),
        ("", ["A"]),
        ("a", []),
    ]
    found = align(entries)
    assert found.left_out == 4 and len(found.words) == len(PAIRS)


def test_errors() -> None:
    with pytest.raises(DataError, match="there are no words"):
        align([])
    with pytest.raises(DataError, match="none of 1 words can be aligned"):
        align([("a", ["X"] * 9)])
    for options in ({"max_letters": 0}, {"max_phones": 4}, {"iterations": 0}, {"max_letters": 1.5}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            align(pairs(PAIRS), **options)


def test_too_many_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqlab.pronunciation.alignment._LARGEST", 100)
    with pytest.raises(DataError, match="must be at most 100; lower max_letters"):
        align(pairs(PAIRS))
