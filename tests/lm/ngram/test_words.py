from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.words import BEGIN, END, GAP, UNKNOWN, Words

LINES = st.lists(st.lists(st.text("ab é\u2581ﬀ", min_size=1, max_size=3).map(str.strip)))


def plain(lines: list[list[str]]) -> list[list[str]]:
    return [[word for piece in line for word in piece.split()] for line in lines]


@settings(deadline=None)
@given(LINES, st.integers(1, 40))
def test_numbers_spell_the_text(lines: list[list[str]], room: int) -> None:
    sentences = plain(lines)
    words = Words()
    text = "".join(" ".join(sentence) + "\n" for sentence in sentences)
    numbers = words.numbers(text, learn=True, marks=True)
    spelled = [words[int(n)] for n in numbers]
    expected = [w for sentence in sentences for w in ["<s>", *sentence, "</s>"]]
    assert spelled == (expected or ["<s>", "</s>"])  # an empty text is an empty line
    assert len(set(words)) == len(words)


def test_numbers_go_on_where_a_room_was_full() -> None:
    text = "".join(f"w{i} x w{i % 7}\n" for i in range(100_000))
    words = Words()
    numbers = words.numbers(text, learn=True, marks=True)
    assert len(words) == 3 + 100_001
    assert [words[int(n)] for n in numbers[-5:]] == ["<s>", "w99999", "x", "w4", "</s>"]
    assert np.count_nonzero(numbers == BEGIN) == 100_000


def test_white_space_and_empty_lines() -> None:
    words = Words()
    assert list(words.numbers("  a\tb\x00a \r\n   \n c", learn=True, marks=True)) == [
        BEGIN, 3, 4, 3, END, BEGIN, END, BEGIN, 5, END,
    ]  # fmt: skip


def test_unknown_words_and_gaps() -> None:
    words = Words(["a"])
    assert list(words.numbers("a b")) == [3, UNKNOWN]
    assert list(words.numbers("a\nb a\n")) == [3, GAP, UNKNOWN, 3]
    assert words.find("b") == -1
    assert "b" not in words
    assert "a" in words


def test_bytes_that_are_no_utf8_survive() -> None:
    words = Words()
    words.numbers(b"caf\xe9 ok", learn=True)
    assert words[3].encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert words.find(words[3]) == 3


def test_from_bytes_equals_the_original() -> None:
    words = Words(["one", "two", "drei"])
    copy = Words.from_bytes(words.store.copy(), words.starts.copy())
    assert copy == words
    assert copy.find("drei") == 5
    assert copy != Words(["one"])


def test_a_mark_in_the_text_names_its_line() -> None:
    with pytest.raises(DataError, match="line 3 holds the sentence mark"):
        Words().numbers("a\nb\nc </s>\n", learn=True)


@pytest.mark.parametrize(
    ("bad", "message"),
    [("a b", "white space"), ("", "white space"), ("a", "stands twice"), ("<s>", "stands twice")],
)
def test_words_that_cannot_be_added(bad: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Words(["a", bad])


def test_numbers_out_of_range() -> None:
    with pytest.raises(DataError, match="within 0 and 2"):
        Words()[3]
