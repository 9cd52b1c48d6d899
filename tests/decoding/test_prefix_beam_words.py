"""Words with times and confidences, from the answers of the prefix beam search."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.errors import SeqlabError
from seqlab.text.phones import PhoneTokenizer

CHARACTERS = TokenUnits.characters(["-", " ", "a", "b"])


def rows(path: list[int], tokens: int, best: float = 0.97) -> torch.Tensor:
    found = torch.full((1, len(path), tokens), (1 - best) / (tokens - 1))
    for frame, token in enumerate(path):
        found[0, frame, token] = best
    return found.log()


def decode(decoder: PrefixBeamDecoder, log_probs: torch.Tensor):
    answers = decoder.decode(log_probs, torch.tensor([log_probs.shape[1]]))[0]
    return answers, [(w.text, w.start_s, w.end_s) for w in decoder.words(answers)]


def test_characters_by_hand():
    decoder = PrefixBeamDecoder(CHARACTERS, 1.0)
    answers, words = decode(decoder, rows([0, 1, 2, 3, 3, 1, 1, 0, 3, 0], 4))
    assert answers[0].text == "ab b" and words == [("ab", 2.0, 5.0), ("b", 8.0, 9.0)]
    assert decoder.words(answers)[1].confidence == pytest.approx(0.97, abs=1e-4)


def test_pieces_by_hand():
    units = TokenUnits.subwords(["-", "\u2581a", "b", "\u2581"])
    _, words = decode(PrefixBeamDecoder(units, 1.0), rows([1, 2, 3, 2, 0, 1], 4))
    assert words == [("ab", 0.0, 2.0), ("b", 2.0, 4.0), ("a", 5.0, 6.0)]


@pytest.mark.parametrize("space", [False, True])
def test_spellings_by_hand(space):
    lexicon = {"one": "a b", "two": ["b", "a a"]}
    path = [2, 3, 0, 3, 0, 2, 3] if not space else [1, 2, 3, 1, 3, 1, 2, 3, 1]
    units = CHARACTERS if space else TokenUnits.sounds(["-", "c", "a", "b"])
    decoder = PrefixBeamDecoder(units, 1.0, lexicon=lexicon)
    answers, words = decode(decoder, rows(path, 4))
    begins = [1.0, 4.0, 6.0] if space else [0.0, 3.0, 5.0]
    assert [word[:2] for word in words] == list(zip(["one", "two", "one"], begins, strict=True))
    assert answers[0].text == "one two one"


def test_confidence_is_the_share_that_agrees():
    log_probs = rows([2, 1, 2, 1, 3], 4, 1 - 1e-6)
    log_probs[0, 2] = torch.tensor([1e-6, 1e-6, 0.7, 0.3]).log()
    decoder = PrefixBeamDecoder(CHARACTERS, 1.0, n_best=2)
    answers, _ = decode(decoder, log_probs)
    assert [answer.text for answer in answers] == ["a a b", "a b b"]
    first, second, third = decoder.words(answers)
    assert first.confidence == third.confidence == 1.0
    assert second.confidence == pytest.approx(0.7, abs=1e-4)
    assert decoder.words(answers, 1)[1].confidence == pytest.approx(0.3, abs=1e-4)
    assert math.fsum(answer.details["posterior"] for answer in answers) <= 1


def test_nothing_said_has_no_words():
    decoder = PrefixBeamDecoder(CHARACTERS, 1.0, n_best=3)
    assert decode(decoder, rows([0, 0], 4))[1] == []
    assert decode(decoder, torch.zeros(1, 0, 4))[1] == []


@pytest.mark.parametrize("boundary", ["", "|"])
def test_phones_search_the_lexicon_of_their_tokenizer(boundary):
    lexicon = {"tea": ["t iy"], "eat": ["iy t"], "eighty": ["ey t iy", "ey d iy"]}
    tokenizer = PhoneTokenizer(lexicon=lexicon, boundary=boundary).fit(["tea eat eighty"])
    decoder = PrefixBeamDecoder.for_tokenizer(tokenizer, 1.0, word_bonus=0.1)
    names = ["ey", "d", "iy", "<blank>", *([boundary] if boundary else []), "iy", "t"]
    path = [tokenizer.tokens.index(name) for name in names]
    answers, words = decode(decoder, rows(path, len(tokenizer.tokens)))
    assert answers[0].text == "eighty eat"
    assert [text for text, _, _ in words] == ["eighty", "eat"]
    # of a list, only its words are allowed, spelled as the tokenizer does
    few = PrefixBeamDecoder.for_tokenizer(tokenizer, 1.0, lexicon=["Eighty", "tea"])
    assert decode(few, rows(path, len(tokenizer.tokens)))[0][0].text in ("eighty", "eighty tea")
    with pytest.raises(SeqlabError, match="toe"):
        PrefixBeamDecoder.for_tokenizer(tokenizer, 1.0, lexicon=["toe"])


def test_what_is_refused():
    decoder = PrefixBeamDecoder(CHARACTERS, 1.0)
    answers, _ = decode(decoder, rows([2], 4))
    with pytest.raises(SeqlabError, match="answer 1 must be one of the 1"):
        decoder.words(answers, 1)
    sounds = PrefixBeamDecoder(TokenUnits.sounds(["-", "x"]), 1.0)
    with pytest.raises(SeqlabError, match="decode with a lexicon"):
        decode(sounds, rows([1], 2))
