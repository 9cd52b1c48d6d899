"""The words that a search knows: those of a lexicon, or of a language model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqlab.decoding.lexicon_trie import Ints, Trie
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.model import NGramModel
from seqlab.lm.ngram.words import SPECIAL

Spelling = str | Sequence[str] | Sequence[int]
"""Tokens of a word: their texts with white space between, or a sequence of texts or indices."""
Spellings = Spelling | Sequence[Spelling]
Lexicon = Iterable[str] | Mapping[str, Spellings]


@dataclass(frozen=True)
class WordList:
    """The words that a search knows, as a tree of what spells them.

    Args:
        words: each once.
        trie: of their spellings.
        owners: the word of each of the trie's sequences.
        by_tokens: whether tokens spell the words, not characters.
        closed: whether there are no other words.
    """

    words: tuple[str, ...]
    trie: Trie
    owners: Ints
    by_tokens: bool
    closed: bool

    @classmethod
    def none(cls) -> WordList:
        """No words: all of them are unknown and allowed."""
        return cls((), Trie.of([]), np.zeros(0, np.int32), False, False)

    @classmethod
    def of_model(cls, model: NGramModel, units: TokenUnits) -> WordList:
        """The words of a language model that the tokens can spell.

        Raises:
            SeqlabError: there are none.
        """
        known = [word for word in model.words if word not in SPECIAL]
        spelled = [(word, units.numbers(word)) for word in known]
        able = [(word, numbers) for word, numbers in spelled if numbers is not None]
        if not able:
            raise SeqlabError(
                f"the tokens of the model spell none of the {len(known)} words of the language "
                "model; is it of the same case and script, and lm_unit the right one?"
            )
        words = tuple(word for word, _ in able)
        owners = np.arange(len(words), dtype=np.int32)
        return cls(words, Trie.of([numbers for _, numbers in able]), owners, False, False)

    @classmethod
    def of_lexicon(cls, lexicon: Lexicon, units: TokenUnits) -> WordList:
        """The words of a lexicon, and no others.

        Raises:
            SeqlabError: there are none, or one cannot be spelled.
        """
        if isinstance(lexicon, str):
            raise SeqlabError(f"lexicon={lexicon[:40]!r} must be words or a mapping, not a text")
        if isinstance(lexicon, Mapping):
            return cls._of_spellings(lexicon, units)
        if not units.has_words:
            raise SeqlabError(
                "a list of words is no lexicon for tokens that do not spell them; pass a mapping "
                "from words to their spellings in tokens"
            )
        words = tuple(dict.fromkeys(units.normalize(_checked(word)) for word in lexicon))
        sequences = []
        for word in words:
            numbers = units.numbers(word)
            if numbers is None:
                raise SeqlabError(
                    f"lexicon word {word!r} cannot be spelled with the model's tokens; leave it "
                    "out, or spell it with characters that the model was trained with"
                )
            sequences.append(numbers)
        _check_some(words)
        return cls(words, Trie.of(sequences), np.arange(len(words), dtype=np.int32), False, True)

    @classmethod
    def _of_spellings(cls, lexicon: Mapping[str, Spellings], units: TokenUnits) -> WordList:
        names = {name: index for index, name in enumerate(units.names) if index != units.blank}
        sequences, owners, known = [], [], set(names.values())
        for number, (word, given) in enumerate(lexicon.items()):
            found = {tuple(_indices(part, word, names, known)) for part in _spellings(given)}
            if not found:
                raise SeqlabError(f"lexicon word {word!r} has no spelling; leave it out")
            sequences += sorted(found)
            owners += [number] * len(found)
        _check_some(owners)
        return cls(tuple(lexicon), Trie.of(sequences), np.array(owners, np.int32), True, True)


def spelled_lexicon(tokenizer: Any, lexicon: Lexicon | None) -> Lexicon | None:
    """The lexicon of a search whose tokens do not spell words, such as phones.

    Args:
        tokenizer: of the tokens; one with a ``lexicon`` spells its words by ``spellings``.
        lexicon: words to keep to, a mapping that spells them, or None for all that the tokenizer
            knows.

    Returns:
        What was given, where the tokens spell words or the lexicon is a mapping; otherwise a
        mapping. Where a token parts words, each spelling comes with it and, for the last word,
        without.

    Raises:
        DataError: the tokenizer cannot spell a word of the list.
    """
    known = getattr(tokenizer, "lexicon", None)
    if known is None or isinstance(lexicon, Mapping | str):
        return lexicon
    boundary = getattr(tokenizer, "boundary", "")
    ends: list[tuple[int, ...]] = [()]
    if boundary:
        ends.append((tokenizer.tokens.index(boundary),))
    words = known if lexicon is None else map(tokenizer.normalize, lexicon)
    return {
        word: [(*spelling, *end) for spelling in tokenizer.spellings(word) for end in ends]
        for word in dict.fromkeys(words)
    }


def _checked(word: object) -> str:
    if not isinstance(word, str):
        raise SeqlabError(f"lexicon word {word!r} must be a text")
    return word


def _check_some(words: Sequence[object]) -> None:
    if not words:
        raise SeqlabError("a lexicon of 0 words allows no text; pass words, or lexicon=None")


def _spellings(given: Spellings) -> Sequence[Spelling]:
    """The spellings of one word: one, or a sequence of them."""
    if isinstance(given, str) or any(isinstance(part, int | np.integer) for part in given):
        return [given]  # type: ignore[list-item]
    return given  # type: ignore[return-value]


def _indices(spelling: Spelling, word: str, names: Mapping[str, int], known: set[int]) -> list[int]:
    """Token indices of one spelling."""
    parts: list[str | int] = [*(spelling.split() if isinstance(spelling, str) else spelling)]
    found = []
    for part in parts:
        index = names.get(part) if isinstance(part, str) else int(part)
        if index is None or index not in known:
            raise SeqlabError(
                f"{part!r} in the spelling {spelling!r} of lexicon word {word!r} is no token of "
                "the model; correct it"
            )
        found.append(index)
    if not found:
        raise SeqlabError(f"lexicon word {word!r} has an empty spelling; leave it out")
    return found
