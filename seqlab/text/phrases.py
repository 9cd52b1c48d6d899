"""Typed phrases as a model would write them: every spelling, and where words begin and end."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import prod

from seqlab.errors import DataError
from seqlab.text.base import Tokenizer, shorten
from seqlab.text.phones import PhoneTokenizer
from seqlab.text.vocabulary import UNKNOWN

__all__ = ["FEWEST_LETTERS", "FEWEST_PHONES", "SpelledPhrase", "edge_tokens", "spell_phrase"]

# By models of AN4 at a threshold of 0.4, a word of 4, 5, 6 and 7 letters raised 93, 70, 13 and 11
# false alarms in an hour of LibriSpeech; one of 3, 4 and 5 phones (not whole words) 209, 60 and 59.
FEWEST_LETTERS, FEWEST_PHONES = 6, 4
_MOST_SPELLINGS = 200


@dataclass(frozen=True)
class SpelledPhrase:
    """A phrase as tokens.

    Args:
        text: As it was typed, without white space around.
        spellings: Token sequences that stand for it, one at least, none empty.
        sounds: Letters, or phones of the shortest pronunciation; what it is told apart by.
        fewest: That a phrase should have.
        unit: What is counted, ``letters`` or ``phones``.
    """

    text: str
    spellings: tuple[tuple[int, ...], ...]
    sounds: int
    fewest: int
    unit: str

    @property
    def warning(self) -> str | None:
        """What to say of a phrase that is too short to be told apart; None of others."""
        if self.sounds >= self.fewest:
            return None
        return (
            f"phrase {shorten(self.text)} has {self.sounds} {self.unit}; with fewer than "
            f"{self.fewest} it is found in much else that is said: choose a longer one, or its "
            "threshold with seqlab operating-point"
        )


def spell_phrase(tokenizer: Tokenizer, phrase: str) -> SpelledPhrase:
    """The token sequences that a phrase may be found by.

    Characters and subwords give one, phones one for each choice of pronunciations of its words.

    Args:
        tokenizer: Of a CTC model.
        phrase: Words; they are normalised as transcripts are.

    Raises:
        DataError: Nothing is left of the phrase, a letter or word is not known, or it has more than
            200 spellings.

    Example:
        >>> tokenizer = PhoneTokenizer(lexicon={"the": ["DH AH", "DH IY"], "tea": ["T IY"]})
        >>> spell_phrase(tokenizer.fit(["the tea"]), "The tea").spellings
        ((3, 2, 1, 5, 4), (3, 4, 1, 5, 4))
    """
    if tokenizer.blank is None:
        raise DataError(f"{type(tokenizer).__name__} writes no phrases; use a CTC model of texts")
    text = " ".join(phrase.split())
    words = tokenizer.normalize(text).split()
    if not words:
        raise DataError(f"phrase {shorten(phrase)} is empty once normalised; type a word")
    try:
        if isinstance(tokenizer, PhoneTokenizer):
            return _said(tokenizer, text, words)
        tokens = tuple(tokenizer.encode(text))
    except DataError as error:
        raise DataError(f"phrase {shorten(text)} cannot be spotted: {error}") from None
    _check_known(tokenizer, text, tokens)
    letters = sum(map(len, words))
    return SpelledPhrase(text, (tokens,), letters, FEWEST_LETTERS, "letters")


def edge_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """Tokens that come between words or begin one: heard before and after, a word is whole.

    None where tokens do not tell where words end, as phones without a boundary, nor where each
    token is a word of its own.

    Example:
        >>> from seqlab.text.tokenizers import CharacterTokenizer, WordTokenizer
        >>> sorted(edge_tokens(CharacterTokenizer().fit(["go on"])))
        [1]
        >>> sorted(edge_tokens(WordTokenizer().fit(["go on"])))
        []
    """
    if isinstance(tokenizer, PhoneTokenizer):
        boundary = tokenizer.boundary
        return frozenset([tokenizer.vocabulary.index(boundary)] if boundary else [])
    units = [index for index in range(len(tokenizer)) if index != tokenizer.blank]
    edges = frozenset(i for i in units if tokenizer.pieces([i])[0].startswith(" "))
    return frozenset() if len(edges) == len(units) else edges


def _said(tokenizer: PhoneTokenizer, text: str, words: list[str]) -> SpelledPhrase:
    """A phrase of phones, of all pronunciations of its words."""
    choices = [tokenizer.spellings(word) for word in words]
    if (count := prod(map(len, choices))) > _MOST_SPELLINGS:
        raise DataError(
            f"its words have {count} pronunciations together, at most {_MOST_SPELLINGS} are "
            "followed; make it shorter"
        )
    between = list(edge_tokens(tokenizer))
    spellings = []
    for chosen in itertools.product(*choices):
        tokens = [*chosen[0]]
        for word in chosen[1:]:
            tokens += [*between, *word]
        spellings.append(tuple(tokens))
    shortest = sum(min(map(len, choice)) for choice in choices)
    return SpelledPhrase(
        text, tuple(dict.fromkeys(spellings)), shortest, FEWEST_PHONES, f"{tokenizer.unit}s"
    )


def _check_known(tokenizer: Tokenizer, text: str, tokens: tuple[int, ...]) -> None:
    """DataError if a word stands for any unknown one."""
    for word, token in zip(tokenizer.normalize(text).split(), tokens, strict=False):
        if tokenizer.vocabulary[token] == UNKNOWN:
            raise DataError(
                f"phrase {shorten(text)} cannot be spotted: {word!r} is none of the words that "
                "the model knows; train with it"
            )
