"""Lists of units: cuts by hand, against trying all cuts, and a published example."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, ModelError
from seqlab.text.units import ListTokenizer

UNITS = ["a", "b", "ab", "ba", "aba", "bb"]


def cuts(word: str, units: list[str]) -> Iterator[list[str]]:
    """All ways to cut a word."""
    if not word:
        yield []
    for unit in units:
        if word.startswith(unit):
            for rest in cuts(word[len(unit) :], units):
                yield [unit, *rest]


def cut(tokenizer: ListTokenizer, text: str) -> list[str]:
    return [tokenizer.tokens[i] for i in tokenizer.encode(text)]


class TestCuts:
    def test_digraphs(self) -> None:
        """Welsh has single letters written with two signs, such as dd, ff, ll, ch, th."""
        tokenizer = ListTokenizer(units=[*"aceilnodfhygrwt", "dd", "ll", "ch", "th", "ng"]).fit(
            ["a"]
        )
        assert cut(tokenizer, "Llanelli") == ["ll", "a", "n", "e", "ll", "i"]
        assert cut(tokenizer, "chwarae teg"[:2] + "i") == ["ch", "i"]

    def test_the_longest_first_unless_it_leads_nowhere(self) -> None:
        assert cut(ListTokenizer(units=["ab", "abc", "cd", "d"]).fit(["abd"]), "abcd") == [
            "abc",
            "d",
        ]
        assert cut(ListTokenizer(units=["ab", "abc", "cd"]).fit(["ab"]), "abcd") == ["ab", "cd"]

    def test_fewest(self) -> None:
        options = {"units": ["a", "aa", "aab", "b", "bbbb"]}
        assert cut(ListTokenizer(**options).fit(["a"]), "aabbbb") == ["aab", "b", "b", "b"]
        fewest = ListTokenizer(**options, segmentation="fewest").fit(["a"])
        assert cut(fewest, "aabbbb") == ["aa", "bbbb"]

    def test_likeliest_learns_from_the_texts(self) -> None:
        units = ["t", "h", "e", "th", "he", "n"]
        often = ListTokenizer(units=units, segmentation="likeliest").fit(["th"] * 9 + ["e"] * 9)
        assert cut(often, "the") == ["th", "e"]
        other = ListTokenizer(units=units, segmentation="likeliest").fit(["he"] * 9 + ["t"] * 9)
        assert cut(other, "the") == ["t", "he"]

    def test_expectation_by_hand(self) -> None:
        """One step from uniform p = 1/3: cuts a b (1/9) and ab (1/3), so 1/4 and 3/4 of a word."""
        tokenizer = ListTokenizer(units=["a", "b", "ab"]).fit(["ab"])
        assert tokenizer._expected({"ab": 4}) == pytest.approx([1.01, 1.01, 3.01])

    @given(st.text("ab", min_size=1, max_size=9))
    def test_against_all_cuts(self, word: str) -> None:
        every = list(cuts(word, UNITS))
        fewest = cut(ListTokenizer(units=UNITS, segmentation="fewest").fit(["a"]), word)
        assert fewest in every and len(fewest) == min(map(len, every))
        likeliest = ListTokenizer(units=UNITS, segmentation="likeliest").fit(["abab bba aba"])
        found = cut(likeliest, word)
        cost = {u: math.fsum(likeliest._costs[x] for x in u) for u in map(tuple, every)}
        assert cost[tuple(found)] == pytest.approx(min(cost.values()))
        longest = cut(ListTokenizer(units=UNITS).fit(["a"]), word)
        assert longest == max(every, key=lambda found: [len(unit) for unit in found])

    @settings(max_examples=100)
    @given(
        st.lists(st.text("abcdé", min_size=1, max_size=4), min_size=1, unique=True),
        st.lists(st.text("abcdé ", max_size=10), min_size=1),
        st.sampled_from(["longest", "fewest", "likeliest"]),
    )
    def test_round_trip(self, units: list[str], texts: list[str], segmentation: str) -> None:
        tokenizer = ListTokenizer(units=sorted({*units, *"abcdé"}), segmentation=segmentation).fit(
            [*texts, "a"]
        )
        for text in texts:
            assert tokenizer.decode(tokenizer.encode(text)) == tokenizer.normalize(text)


class TestErrors:
    @pytest.mark.parametrize(
        ("units", "message"),
        [
            (["a", "a"], "token 'a' stands twice"),
            ([""], "unit '' must be text"),
            (["a b"], "unit 'a b' must be text without white space"),
            (["A"], "unit 'A' must be text without white space as normalised text has it ('a')"),
        ],
    )
    def test_bad_units(self, units: list[str], message: str) -> None:
        with pytest.raises(DataError, match=re.escape(message)):
            ListTokenizer(units=units)

    def test_words_it_cannot_cut(self) -> None:
        tokenizer = ListTokenizer(units=["a", "bc"])
        with pytest.raises(DataError, match=r"'x' \(U\+0078\) is not among"):
            tokenizer.fit(["ax"])
        with pytest.raises(DataError, match="word 'ab' cannot be put together from the 2 units"):
            tokenizer.fit(["a ab"])
        with pytest.raises(ValueError, match="segmentation='best' must be one of"):
            ListTokenizer(units=["a"], segmentation="best")

    @pytest.mark.parametrize(
        "counts", ["[1]", "[1, -1, 1]", "[1, NaN, 1]", '["a", 1, 1]', "3", "[1, 1e999, 1]"]
    )
    def test_damaged_counts(self, counts: str) -> None:
        tokenizer = ListTokenizer(units=["a", "b", "ab"]).fit(["ab"])
        state = {**tokenizer.state(), "unit_counts.json": f'{{"counts": {counts}}}'.encode()}
        with pytest.raises(ModelError, match=r"unit_counts.json is damaged"):
            ListTokenizer(units=["a", "b", "ab"]).load_state(state)

    def test_another_list(self) -> None:
        state = ListTokenizer(units=["a", "b"]).fit(["ab"]).state()
        with pytest.raises(ModelError, match="other units"):
            ListTokenizer(units=["a", "c"]).load_state(state)
