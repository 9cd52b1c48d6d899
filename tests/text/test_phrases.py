"""Phrases as tokens: every spelling, edges of words, and what is refused."""

from __future__ import annotations

import pytest

from seqlab.errors import DataError
from seqlab.text.base import Tokenizer
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.phrases import edge_tokens, spell_phrase
from seqlab.text.subwords import SentencePieceTokenizer
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer, WordTokenizer
from seqlab.text.units import ListTokenizer

TEXTS = ["see the sea", "see the sand", "the sand and the sea"]
LEXICON = {"the": ["DH AH", "DH IY"], "sea": ["S IY"], "a": ["AH", "EY"]}


def units(tokenizer: Tokenizer, phrase: str) -> list[str]:
    found = spell_phrase(tokenizer, phrase)
    return [" ".join(tokenizer.tokens[i] for i in s).replace("  ", " _") for s in found.spellings]


def test_letters_and_subwords() -> None:
    assert units(CharacterTokenizer().fit(TEXTS), "  The\tsea ") == ["t h e _ s e a"]
    subwords = SentencePieceTokenizer(vocab_size=14, model_type="bpe").fit(TEXTS)
    [spelled] = spell_phrase(subwords, "the sea").spellings
    assert subwords.decode(spelled) == "the sea"
    assert all(subwords.tokens[i].startswith("\u2581") for i in edge_tokens(subwords))
    assert spelled[0] in edge_tokens(subwords)
    llan = ListTokenizer(units=["l", "ll", "a", "n"]).fit(["llan alla"])
    assert units(llan, "llan alla") == ["ll a n _ a ll a"]
    assert [llan.tokens[i] for i in edge_tokens(llan)] == [" "]


def test_every_choice_of_pronunciations() -> None:
    tokenizer = PhoneTokenizer(lexicon=LEXICON).fit(["the sea a"])
    assert units(tokenizer, "the sea") == ["DH AH | S IY", "DH IY | S IY"]
    assert len(units(tokenizer, "a the a")) == 8
    assert [tokenizer.tokens[i] for i in edge_tokens(tokenizer)] == ["|"]
    bare = PhoneTokenizer(lexicon=LEXICON, boundary="").fit(["the sea a"])
    assert units(bare, "the sea") == ["DH AH S IY", "DH IY S IY"]
    assert edge_tokens(bare) == frozenset()


def test_short_phrases_are_named() -> None:
    letters = CharacterTokenizer().fit(TEXTS)
    assert spell_phrase(letters, "the sea").warning is None
    assert "phrase 'sand' has 4 letters; with fewer than 6" in str(
        spell_phrase(letters, "sand").warning
    )
    phones = PhoneTokenizer(lexicon=LEXICON).fit(["the sea a"])
    assert spell_phrase(phones, "the sea").warning is None
    assert "has 3 phones; with fewer than 4" in str(spell_phrase(phones, "a sea").warning)


def test_what_cannot_be_spelled() -> None:
    letters = CharacterTokenizer().fit(TEXTS)
    phones = PhoneTokenizer(lexicon=LEXICON).fit(["the sea a"])
    for tokenizer, phrase, message in [
        (letters, "", "phrase '' is empty once normalised"),
        (letters, " \n", "is empty"),
        (letters, "zebra", r"phrase 'zebra' cannot be spotted: .*character 'z' \(U\+007A\)"),
        (phones, "the tea", "phrase 'the tea' cannot be spotted: .*tea"),
        (phones, " ".join(["a"] * 8), "256 pronunciations together, at most 200"),
        (LabelTokenizer(labels=["go"]), "go", "LabelTokenizer writes no phrases"),
        (WordTokenizer().fit(TEXTS), "the zebra", "cannot be spotted: .*'zebra'"),
        (WordTokenizer(unknown=True).fit(TEXTS), "the zebra", "'zebra' is none of the words"),
    ]:
        with pytest.raises(DataError, match=message):
            spell_phrase(tokenizer, phrase)
