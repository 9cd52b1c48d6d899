"""Spellings of words for a decoder, from every kind of tokenizer."""

from __future__ import annotations

import pytest

from seqlab.errors import DataError
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.spellings import spellings
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer
from tests.text.test_tokenizers import IDS, TEXTS, TOKENIZERS

WORDS = ["the", "sun", "rises"]
KINDS = [(name, t) for name, t in zip(IDS, TOKENIZERS, strict=True) if name != "labels"]


@pytest.mark.parametrize("tokenizer", [t for _, t in KINDS], ids=[name for name, _ in KINDS])
def test_every_spelling_decodes_to_its_word(tokenizer):
    tokenizer = type(tokenizer)(**tokenizer.constructor_arguments).fit(TEXTS)
    found = spellings(tokenizer, WORDS, "leave_out")
    assert list(found) == WORDS
    for word, given in found.items():
        assert len(set(given)) == len(given) >= 1
        for spelling in given:
            heard = tokenizer.decode(spelling)
            assert heard in (tokenizer.normalize(word), "<unk>")


def test_pronunciations_are_spellings():
    tokenizer = PhoneTokenizer(lexicon={"the": ["DH AH", "DH IY"], "thee": ["DH IY"]}).fit(["the"])
    assert spellings(tokenizer, ["The", "thee", "The"]) == {
        "The": [(3, 2), (3, 4)],
        "thee": [(3, 4)],
    }


def test_words_that_cannot_be_spelled():
    tokenizer = CharacterTokenizer().fit(["abc"])
    with pytest.raises(DataError, match="'d'"):
        spellings(tokenizer, ["cab", "bad"])
    assert spellings(tokenizer, ["cab", "bad"], "leave_out") == {"cab": [(3, 1, 2)]}
    for word in ("", "a b", " "):
        with pytest.raises(DataError, match="must be one word"):
            spellings(tokenizer, [word])
    with pytest.raises(DataError, match="LabelTokenizer spells no words"):
        spellings(LabelTokenizer().fit(["yes"]), ["yes"])
    with pytest.raises(DataError, match="no tokens yet"):
        spellings(CharacterTokenizer(), ["yes"], "leave_out")
    with pytest.raises(ValueError, match="unknown='skip' must be one of"):
        spellings(tokenizer, ["cab"], "skip")
