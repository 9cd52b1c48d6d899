"""The contract of every tokenizer, and the errors they share."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self

from seqlab.errors import DataError, ModelError
from seqlab.text.normalize import TextNormalizer
from seqlab.text.vocabulary import BLANK, FILE_NAME, Vocabulary
from seqlab.values import Described


class Tokenizer(Described, abc.ABC):
    """Text to token indices and back.

    ``blank`` is the index of CTC's blank, always 0 where there is one, else None. For every text
    that can be encoded ``decode(encode(text)) == normalize(text)``.
    """

    unit: ClassVar[str]
    blank: int | None = 0

    def __init__(self, normalizer: TextNormalizer) -> None:
        self.normalize = normalizer
        self._vocabulary: Vocabulary | None = None

    @abc.abstractmethod
    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the tokens from training texts; returns itself. DataError if there are none."""

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token indices (U,) of ``text``; DataError names what is not known."""

    @abc.abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token indices (U,), blanks skipped; DataError for an index out of range."""

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """What each of the tokens (U,) adds to the text, with the space before or after it.

        Joined, and with the spaces tidied, they are what ``decode`` gives; a blank adds nothing.
        A tokenizer whose tokens are less than words says so here.
        """
        return [f" {unit}" if unit else "" for unit in self._units_or_blanks(tokens)]

    def spellings(self, word: str) -> list[tuple[int, ...]]:
        """The token sequences that stand for one word; ``seqlab.text.spellings`` takes many.

        Raises:
            DataError: nothing is left of the word, it is several words, or it cannot be encoded.
        """
        return [tuple(self.encode(self._one_word(word)))]

    @property
    def vocabulary(self) -> Vocabulary:
        """All tokens, blank included; DataError before ``fit`` or ``load_state``."""
        if self._vocabulary is None:
            raise not_fitted(self)
        return self._vocabulary

    @property
    def tokens(self) -> list[str]:
        """The tokens in the order of their indices."""
        return list(self.vocabulary.tokens)

    def __len__(self) -> int:
        """Number of tokens, blank included: the number of classes of the head."""
        return len(self.vocabulary)

    def state(self) -> dict[str, bytes]:
        """What was learned, by file name."""
        return {FILE_NAME: self.vocabulary.to_bytes()}

    def load_state(self, files: Mapping[str, bytes]) -> Self:
        """Take over what ``state`` gave; ModelError if it is missing, damaged or another kind's."""
        vocabulary = Vocabulary.from_bytes(state_file(files, FILE_NAME))
        if (vocabulary[0] == BLANK) != (self.blank is not None):
            raise ModelError(
                f"{FILE_NAME} begins with {vocabulary[0]!r}, which is not how a "
                f"{type(self).__name__} begins; does it belong to another model?"
            )
        self._vocabulary = vocabulary
        return self

    def _units_or_blanks(self, tokens: Sequence[int]) -> list[str]:
        return ["" if int(t) == self.blank else self.vocabulary[int(t)] for t in tokens]

    def _one_word(self, word: str) -> str:
        """The word as normalised text has it; DataError unless it is exactly one."""
        normalized = self.normalize(word)
        if normalized.split() != [normalized]:
            raise DataError(
                f"word {shorten(word)} must be one word, but is {shorten(normalized)} once "
                "normalised; join, split or remove it"
            )
        return normalized

    def _units(self, tokens: Sequence[int]) -> list[str]:
        return [self.vocabulary[int(t)] for t in tokens if int(t) != self.blank]


def state_file(files: Mapping[str, bytes], name: str) -> bytes:
    """The content of one file of a tokenizer's state; ModelError if it is not there."""
    if name not in files:
        raise ModelError(f"{name} is missing, found {sorted(files)}; save the model again")
    return files[name]


def shorten(text: str) -> str:
    """The text quoted for a message of one line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def unknown_character(text: str, character: str, known: Iterable[str]) -> DataError:
    """The error for a character of ``text`` that the tokens ``known`` do not hold."""
    inventory = "".join(token for token in known if len(token) == 1)
    return DataError(
        f"text {shorten(text)}: character {character!r} (U+{ord(character):04X}) is not among the "
        f"{len(inventory)} known {shorten(inventory)}; normalise the text or train with it"
    )


def not_fitted(tokenizer: Tokenizer) -> DataError:
    """The error for a tokenizer that has learned nothing yet."""
    return DataError(
        f"{type(tokenizer).__name__} has no tokens yet; call fit(texts) or load_state(files)"
    )
