"""What the tokens of a model mean to a search that knows words: how they spell and part them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.layout import BOUNDARY, EITHER, INSIDE, SEPARATOR, START
from seqlab.errors import SeqlabError

_SPACE = "\u2581"  # sentencepiece's sign for a space
_FOREIGN = -1  # the symbol of what no word can hold


def _same(text: str) -> str:
    return text


@dataclass(frozen=True)
class TokenUnits:
    """Tokens, and how they make words.

    Args:
        tokens: text of each token (C,), the blank included; a piece begins with no mark here.
        kinds: of each: whether it goes on with a word, begins one, stands between two, or whether
            only a lexicon knows (C,), int8.
        decode: token indices to text.
        blank: index of the blank.
        normalize: what is done to words and phrases before they are spelled.
        names: the tokens as the vocabulary has them (C,).

    Example:
        >>> units = TokenUnits.characters(["<blank>", " ", "a", "b"])
        >>> units.decode([2, 1, 3]), [units.symbols[c] for c in "ab"]
        ('a b', [1, 2])
    """

    tokens: tuple[str, ...]
    kinds: NDArray[np.int8]
    decode: Callable[[Sequence[int]], str]
    blank: int = 0
    normalize: Callable[[str], str] = _same
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.blank < len(self.tokens):
            raise SeqlabError(
                f"blank={self.blank} must be one of the {len(self.tokens)} tokens; CTC needs one"
            )

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Of each character that tokens spell words with its number, from 1 on."""
        found = sorted({character for text in self._spelled() for character in text})
        return {character: number for number, character in enumerate(found, BOUNDARY + 1)}

    def _spelled(self) -> list[str]:
        """Characters that each token adds to a word."""
        return [
            "" if index == self.blank or kind == SEPARATOR else text
            for index, (text, kind) in enumerate(zip(self.tokens, self.kinds, strict=True))
        ]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def has_words(self) -> bool:
        """Whether the tokens alone say where words begin and end."""
        return bool((self.kinds != EITHER).any())

    def spelling(self) -> list[list[int]]:
        """Symbols of each token; that of ``<unk>`` is one that no word holds."""
        return [
            [_FOREIGN] if self.names[index] == "<unk>" else [self.symbols[c] for c in text]
            for index, text in enumerate(self._spelled())
        ]

    def numbers(self, word: str) -> list[int] | None:
        """Symbols of a word, or None if it holds a character that no token has."""
        if not word or not all(character in self.symbols for character in word):
            return None
        return [self.symbols[character] for character in word]

    @classmethod
    def characters(
        cls,
        tokens: Sequence[str],
        decode: Callable[[Sequence[int]], str] | None = None,
        blank: int = 0,
        normalize: Callable[[str], str] = _same,
    ) -> TokenUnits:
        """One token a character; white space stands between words."""
        kinds = [SEPARATOR if not text.strip() else INSIDE for text in tokens]
        return cls._of(tokens, tokens, kinds, decode, blank, normalize, "")

    @classmethod
    def subwords(
        cls,
        tokens: Sequence[str],
        decode: Callable[[Sequence[int]], str] | None = None,
        blank: int = 0,
        normalize: Callable[[str], str] = _same,
    ) -> TokenUnits:
        """Pieces of sentencepiece; words begin with the mark U+2581."""
        for index, text in enumerate(tokens):
            if _SPACE in text[1:]:
                raise SeqlabError(
                    f"token {index}, {text!r}, spans two words, which the search cannot part; "
                    "train the pieces with split_by_whitespace"
                )
        kinds = [START if text.startswith(_SPACE) else INSIDE for text in tokens]
        texts = [text.removeprefix(_SPACE) for text in tokens]
        return cls._of(tokens, texts, kinds, decode, blank, normalize, "")

    @classmethod
    def words(
        cls,
        tokens: Sequence[str],
        decode: Callable[[Sequence[int]], str] | None = None,
        blank: int = 0,
        normalize: Callable[[str], str] = _same,
    ) -> TokenUnits:
        """One token a word."""
        return cls._of(tokens, tokens, [START] * len(tokens), decode, blank, normalize, " ")

    @classmethod
    def sounds(
        cls,
        tokens: Sequence[str],
        decode: Callable[[Sequence[int]], str] | None = None,
        blank: int = 0,
        normalize: Callable[[str], str] = _same,
    ) -> TokenUnits:
        """Phones or other signs that only a lexicon of token spellings makes words of."""
        return cls._of(tokens, tokens, [EITHER] * len(tokens), decode, blank, normalize, " ")

    @classmethod
    def _of(
        cls,
        names: Sequence[str],
        texts: Iterable[str],
        kinds: Iterable[int],
        decode: Callable[[Sequence[int]], str] | None,
        blank: int,
        normalize: Callable[[str], str],
        joint: str,
    ) -> TokenUnits:
        def joined(tokens: Sequence[int]) -> str:
            text = joint.join(names[t] for t in tokens if t != blank)
            return " ".join(text.replace(_SPACE, " ").split())

        return cls(
            tuple(texts), np.array(list(kinds), np.int8), decode or joined, blank, normalize,
            tuple(names),
        )  # fmt: skip

    @classmethod
    def of_tokenizer(cls, tokenizer: Any) -> TokenUnits:
        """The tokens of a fitted tokenizer, told apart by its ``unit``.

        Raises:
            SeqlabError: it has no blank.
        """
        if tokenizer.blank is None:
            raise SeqlabError(
                f"{type(tokenizer).__name__} has no blank, and CTC needs one; take a tokenizer "
                "for text, not for labels"
            )
        kinds = {"character": cls.characters, "subword": cls.subwords, "word": cls.words}
        make = kinds.get(tokenizer.unit, cls.sounds)
        return make(tokenizer.tokens, tokenizer.decode, tokenizer.blank, tokenizer.normalize)
