"""What sounds nearly like a phrase and is not it: what a detector of the phrase must not fire on.

All that is found is held against every pronunciation of the phrases: nothing in which one of them
can be heard is ever a near miss, such as "hey sunflowers" of "hey sunflower".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import NamedTuple

import numpy as np

from seqlab.errors import DataError
from seqlab.pronunciation.model import JointSequenceModel
from seqlab.pronunciation.phonemes import espeak_phonemes, is_vowel, plain, replaced
from seqlab.text.lexicon import Lexicon, Phones
from seqlab.text.sayings import Kind, Saying
from seqlab.text.spelling import SpellOut

_VARIANTS = 64  # pronunciations of a phrase that are considered
_TAUGHT_BY = 4  # each so-manieth word of the lexicon teaches how new words are said: seconds
_LONG = 6  # phones from which one alike phone alone is no other word, but a careless speaker


class Word(NamedTuple):
    """A word, or part of one, as it is said."""

    text: str  # for espeak-ng
    phones: Phones
    transcript: str  # "" where it is no word


@dataclass(frozen=True)
class Phrase:
    """A phrase and how it is said.

    Args:
        label: its words in lower case, parted by single spaces.
        words: with their likeliest pronunciation.
        variants: all pronunciations, without stress.
    """

    label: str
    words: tuple[Word, ...]
    variants: frozenset[Phones]

    @property
    def phones(self) -> Phones:
        """All phones, of the likeliest pronunciation."""
        return tuple(phone for word in self.words for phone in word.phones)


class Speller:
    """Says words: as a lexicon does, else as a model of its spelling does.

    The model is trained when a word is first asked for that the lexicon does not know.

    Args:
        lexicon: in the phones of the CMU dictionary, with stress.

    Example:
        >>> speller = Speller(Lexicon({"go": ["G OW1"], "on": ["AA1 N", "AO1 N"]}))
        >>> sorted(speller.phrase("Go  on").variants)
        [('G', 'OW', 'AA', 'N'), ('G', 'OW', 'AO', 'N')]
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._spell_out: SpellOut | None = None

    def pronunciations(self, word: str) -> list[Phones]:
        """Of one word, the likeliest first.

        Raises:
            DataError: it cannot be said.
        """
        found = sorted(self.lexicon.get(word), key=lambda one: -one.probability)
        if found:
            return [one.phones for one in found]
        phones = None
        if all(c.isalpha() or c in "'-" for c in word) and any(map(str.isalpha, word)):
            if self._spell_out is None:
                taught = self.lexicon.selected(list(self.lexicon)[::_TAUGHT_BY])
                model = JointSequenceModel.train(taught, order=5)
                self._spell_out = SpellOut(self.lexicon, model)
            phones = self._spell_out(word)
        if not phones:
            raise DataError(
                f"{word!r} cannot be said, must be English letters; write it as it sounds, and "
                "numbers as words"
            )
        return [phones]

    def phrase(self, text: str) -> Phrase:
        """A typed phrase.

        Raises:
            DataError: it is empty or cannot be said.
        """
        words = text.lower().split()
        if not words:
            raise DataError(f"phrase {text!r} is empty, must be words; type them")
        found = [self.pronunciations(word) for word in words]
        variants = islice(product(*found), _VARIANTS)
        return Phrase(
            " ".join(words),
            tuple(Word(w, every[0], w) for w, every in zip(words, found, strict=True)),
            frozenset(_plain(phones for phones in variant) for variant in variants),
        )

    def may_hold(self, words: Sequence[Word], phrases: Iterable[Phrase]) -> bool:
        """Whether one of the phrases can be heard in the words, however they are said."""
        every = [
            dict.fromkeys([word.phones, *(one.phones for one in self.lexicon.get(word.transcript))])
            for word in words
        ]
        said = [_plain(variant) for variant in islice(product(*every), _VARIANTS)]
        wanted = [variant for phrase in phrases for variant in phrase.variants]
        return any(_within(variant, phones) for phones in said for variant in wanted)


def near_misses(
    phrase: Phrase,
    others: Sequence[Phrase],
    speller: Speller,
    rng: np.random.Generator,
    most: int = 24,
) -> list[Saying]:
    """Near misses of a phrase, of each kind at most so many, drawn at random.

    ``part``: words and beginnings and ends of the phrase that lack at least one of its vowels.
    ``alike``: a word of the lexicon, of which one or two phones are alike ones, for a word.
    ``sound``: two phones of the phrase, or one of a phrase of fewer than six, are alike ones; a
    single one in a long phrase is what a person in a hurry may say.
    ``other``: any word of the lexicon for one of the phrase's, and its words in another order.

    Args:
        phrase: the phrase.
        others: all phrases, none of which may be heard in a near miss.
        speller: knows the words.
        rng: draws.
        most: of each kind.
    """
    makers: dict[Kind, Callable[[], Iterable[Sequence[Word]]]] = {
        "part": lambda: _parts(phrase),
        "alike": lambda: _alike(phrase, speller.lexicon),
        "sound": lambda: _sounds(phrase),
        "other": lambda: _others(phrase, speller.lexicon, rng, most),
    }
    found: dict[str, Saying] = {}
    for kind, make in makers.items():
        candidates = list(make())
        kept = 0
        for place in rng.permutation(len(candidates)):
            if kept == most:
                break
            words = candidates[place]
            saying = saying_of(kind, phrase.label, words)
            if saying.text in found or speller.may_hold(words, [phrase, *others]):
                continue
            found[saying.text] = saying
            kept += 1
    return list(found.values())


def saying_of(kind: Kind, label: str, words: Sequence[Word]) -> Saying:
    """The words in a row."""
    known = all(word.transcript for word in words)
    transcript = " ".join(word.transcript for word in words) if known else ""
    return Saying(kind, label, " ".join(word.text for word in words), transcript)


def _parts(phrase: Phrase) -> Iterable[tuple[Word, ...]]:
    words = phrase.words
    for begin, end in product(range(len(words)), range(1, len(words) + 1)):
        if 0 < end - begin < len(words):
            yield words[begin:end]
    for place, word in enumerate(words):
        for cut in range(2, len(word.phones) - 1):
            head, tail = word.phones[:cut], word.phones[cut:]
            for piece, whole in (
                (head, (*words[:place], _made(head))),
                (tail, (_made(tail), *words[place + 1 :])),
            ):
                if 0 < _vowels(piece) < _vowels(word.phones):
                    yield whole


def _alike(phrase: Phrase, lexicon: Lexicon) -> Iterable[tuple[Word, ...]]:
    by_phones = lexicon.words_by_phones
    for place, word in enumerate(phrase.words):
        for count in (1, 2):
            for phones in replaced(word.phones, count):
                for known, _ in by_phones.get(phones, ())[:1]:
                    # said by its phones: espeak-ng may read rare words as the phrase's own
                    yield _with(phrase, place, Word(espeak_phonemes(phones), phones, known))


def _sounds(phrase: Phrase) -> Iterable[tuple[Word, ...]]:
    places = [place for place, word in enumerate(phrase.words) for _ in word.phones]
    for phones in replaced(phrase.phones, 2 if len(phrase.phones) >= _LONG else 1):
        words = []
        for place, word in enumerate(phrase.words):
            mine = tuple(p for p, where in zip(phones, places, strict=True) if where == place)
            words.append(word if mine == word.phones else _made(mine))
        yield tuple(words)


def _others(
    phrase: Phrase, lexicon: Lexicon, rng: np.random.Generator, most: int
) -> Iterable[tuple[Word, ...]]:
    if len(phrase.words) < 2:
        return
    yield phrase.words[::-1]
    known = list(lexicon)
    for _ in range(2 * most):
        place, number = int(rng.integers(len(phrase.words))), int(rng.integers(len(known)))
        word = known[number]
        if word.isalpha():
            yield _with(phrase, place, Word(word, lexicon.best(word), word))


def _with(phrase: Phrase, place: int, word: Word) -> tuple[Word, ...]:
    return (*phrase.words[:place], word, *phrase.words[place + 1 :])


def _made(phones: Phones) -> Word:
    return Word(espeak_phonemes(phones), phones, "")


def _vowels(phones: Phones) -> int:
    return sum(map(is_vowel, phones))


def _plain(words: Iterable[Phones]) -> Phones:
    return tuple(plain(phone) for phones in words for phone in phones)


def _within(part: Phones, whole: Phones) -> bool:
    ends = range(len(whole) - len(part) + 1)
    return any(whole[begin : begin + len(part)] == part for begin in ends)


__all__ = ["Phrase", "Speller", "Word", "near_misses", "saying_of"]
