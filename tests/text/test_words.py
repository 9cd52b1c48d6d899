"""Words of tokens: the same as the decoded text's, for every tokenizer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.text.tokenizers import CharacterTokenizer, WordTokenizer
from seqlab.text.words import word_spans, words_of_tokens
from tests.text.test_tokenizers import TEXTS, TOKENIZERS

FITTED = [tokenizer.fit(TEXTS) for tokenizer in TOKENIZERS]


@pytest.mark.parametrize("tokenizer", FITTED, ids=lambda t: f"{type(t).__name__}")
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_words_are_those_of_the_text(tokenizer, data):
    most = 1 if tokenizer.blank is None else 20
    index = st.integers(0, len(tokenizer) - 1)
    tokens = data.draw(st.lists(index, min_size=most == 1, max_size=most))
    pieces = tokenizer.pieces(tokens)
    assert len(pieces) == len(tokens)
    assert " ".join("".join(pieces).split()) == tokenizer.decode(tokens)
    spans = word_spans(pieces)
    assert [text for text, _, _ in spans] == tokenizer.decode(tokens).split()
    places = [place for _, first, last in spans for place in (first, last - 1)]
    assert places == sorted(places)


@pytest.mark.parametrize("tokenizer", FITTED[:-1], ids=lambda t: f"{type(t).__name__}")
def test_words_of_a_sentence(tokenizer):
    tokens = tokenizer.encode(TEXTS[0])
    times = [(float(i), i + 0.5) for i in range(len(tokens))]
    words = words_of_tokens(tokens, times, [0.5] * len(tokens), tokenizer)
    assert [w.text for w in words] == tokenizer.decode(tokens).split()
    assert words[0].start_s <= 1 and words[-1].end_s == len(tokens) - 0.5


def test_spaces_take_no_time_and_no_confidence():
    tokenizer = CharacterTokenizer(characters=" ab")
    times = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    words = words_of_tokens([1, 2, 1, 3, 1], times, [0.1, 0.9, 0.1, 0.8, 0.1], tokenizer)
    assert [(w.text, w.start_s, w.end_s, w.confidence) for w in words] == [
        ("a", 1, 2, 0.9),
        ("b", 3, 4, 0.8),
    ]


def test_a_piece_with_a_space_within_belongs_to_both_words():
    assert word_spans(["a b", "c", " d"]) == [("a", 0, 1), ("bc", 0, 2), ("d", 2, 3)]


def test_as_many_times_as_tokens():
    tokenizer = WordTokenizer().fit(["one"])
    message = "2 tokens with 1 times and 2 confidences, must be as many"
    with pytest.raises(DataError, match=re.escape(message)):
        words_of_tokens([1, 1], [(0, 1)], [1, 1], tokenizer)
