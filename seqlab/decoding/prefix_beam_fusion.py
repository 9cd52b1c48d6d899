"""Language model, lexicon and hotwords as the arrays that the search reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.hotwords import Hotwords
from seqlab.decoding.kernels.layout import (
    DEAD,
    FIRST,
    LM_FLOOR,
    NO_LM,
    ROOT,
    SEPARATOR,
    START,
    TOKEN_LM,
    WORD_LM,
    Fusion,
)
from seqlab.decoding.lexicon_trie import Ints
from seqlab.decoding.prefix_beam_lexicon import WordList
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.errors import SeqlabError
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.kernels.index import Tables
from seqlab.lm.ngram.model import NGramModel
from seqlab.lm.ngram.ngrams import BackoffTable, NGrams, unigram_level
from seqlab.lm.ngram.words import END, UNKNOWN, Words

_NOTHING = Hotwords.nothing()
_MOST_MASKED = 62  # bit 63 stands for symbols that no word holds


@dataclass(frozen=True)
class Weights:
    """What counts how much.

    Args:
        language_model: times ln p of the language model.
        word_bonus: for each word, or each token where the language model scores tokens.
        unknown_penalty: taken off for each of these that the language model does not know.
        lookahead: whether the best word that may still come counts while a word is spelled.
    """

    language_model: float = 0.0
    word_bonus: float = 0.0
    unknown_penalty: float = 0.0
    lookahead: bool = True


@dataclass(frozen=True)
class Guidance:
    """All that guides a search beside the acoustics, but hotwords, which come with each call.

    Args:
        units: tokens.
        words: that are known.
        model: language model, if any.
        lm: NO_LM, WORD_LM or TOKEN_LM.
        weights: what counts how much.
    """

    units: TokenUnits
    words: WordList
    model: NGramModel | None
    lm: int
    weights: Weights

    @property
    def plain(self) -> bool:
        """Whether nothing but the acoustics counts."""
        return self.lm == NO_LM and not self.words.closed and self.weights.word_bonus == 0

    @cached_property
    def tables(self) -> Tables:
        """Arrays of the language model; those of an empty one if there is none."""
        return _empty_tables() if self.model is None else self.model.index.tables

    @cached_property
    def lm_start(self) -> NDArray[np.int64]:
        """State of the language model at the beginning (K - 1,)."""
        if self.model is None:
            return np.zeros(0, np.int64)
        marks = self.model.facts.marks
        state = self.model.initial_state() if marks else self.model.empty_state()
        return np.array(state, np.int64)

    @cached_property
    def _lm_numbers(self) -> Ints:
        """Numbers of the words, or tokens, in the language model (W,)."""
        if self.model is None:
            return np.zeros(1, np.int32)
        names = self.words.words
        if self.lm == TOKEN_LM:
            names = token_names(self.units, self.model)
        found = np.array([self.model.words.find(name) for name in names], np.int32)
        if (found <= END).all():
            raise SeqlabError(
                f"the language model of {len(self.model.words)} words knows none of the "
                f"{len(names)} {'tokens' if self.lm == TOKEN_LM else 'words of the lexicon'}; is "
                "it of the same units, case and script?"
            )
        return np.where(found <= END, np.int32(UNKNOWN), found).astype(np.int32)

    @cached_property
    def _ahead(self) -> NDArray[np.float64]:
        """What the best word below a trie node adds to the score at most (N,)."""
        trie, weights = self.words.trie, self.weights
        ahead = np.zeros(len(trie))
        if self.lm != WORD_LM or not weights.lookahead:
            return ahead
        unigrams = np.maximum(np.asarray(self.tables.unigrams[::2], np.float64), LM_FLOOR)
        worth = unigrams * weights.language_model
        worth[UNKNOWN] -= weights.unknown_penalty
        ahead = trie.best_below(worth[self._lm_numbers[self.words.owners]])
        if not self.words.closed:
            ahead = np.maximum(ahead, worth[UNKNOWN])  # any word may turn out to be unknown
        ahead[ROOT] = 0.0
        if self.words.closed:
            ahead[DEAD] = 0.0
        return ahead

    @cached_property
    def _leaps(self) -> NDArray[np.float64]:
        """Factor by which the step to a trie node changes what may come below it (N,)."""
        steps = self._ahead[FIRST:] - self._ahead[self.words.trie.parents()]
        # not by NumPy, whose last bits are not always those of the loops
        return np.array([1.0] * FIRST + [math.exp(step) for step in steps.tolist()])

    @cached_property
    def _spring(self) -> NDArray[np.float64]:
        """Factor by which a token may raise a probability at most at a trie node (N,)."""
        with np.errstate(over="ignore"):  # infinite: nothing is left untried
            return np.exp(np.maximum(0.0, self.weights.word_bonus - self._ahead))

    @cached_property
    def _masks(self) -> tuple[NDArray[np.uint64], bool]:
        """Which symbols the edges of each trie node carry (N,), and whether these fit."""
        trie = self.words.trie
        masks, symbols = np.zeros(len(trie), np.uint64), trie.edges.astype(np.uint64)
        if symbols.max(initial=0) > _MOST_MASKED:
            return masks, False
        np.bitwise_or.at(masks, trie.parents(), np.uint64(1) << symbols)
        return masks, True

    @cached_property
    def _bits(self) -> NDArray[np.uint64]:
        """The bit in such masks of each token's symbol, 0 where it has not just one (C,)."""
        at, symbols = self._spelling
        bits = np.zeros(len(self.units), np.uint64)
        if self._masks[1]:
            single = np.flatnonzero(np.diff(at) == 1)
            bits[single] = np.uint64(1) << (symbols[at[single]] & 63).astype(np.uint64)
        return bits

    @cached_property
    def _text(self) -> tuple[Ints, Ints]:
        """Symbols of tokens, or of words that tokens do not spell, for hotwords."""
        if not self.words.by_tokens:
            return _rows([list(map(int, symbols)) for symbols in self.units.spelling()])
        return _rows([[1 + number] for number in range(len(self.words.words))])

    def spell(self, phrase: str) -> list[list[int]]:
        """Symbols of each word of a hotword.

        Raises:
            SeqlabError: the search can never write such a word.
        """
        if self.words.by_tokens:
            words = phrase.split()
            found = [self._number_of.get(word) for word in words]
            spelled = [None if number is None else [1 + number] for number in found]
        elif not self.units.has_words:
            raise SeqlabError(
                "these tokens do not say where words begin, so that hotwords need a lexicon: a "
                "mapping from words to their spellings in tokens"
            )
        else:
            words = self.units.normalize(phrase).split()
            spelled = [self.units.numbers(word) for word in words]
            if self.words.closed:
                known = self._number_of
                spelled = [s if w in known else None for w, s in zip(words, spelled, strict=True)]
        for word, symbols in zip(words, spelled, strict=True):
            if symbols is None:
                where = "the lexicon" if self.words.closed else "what the model's tokens can spell"
                raise SeqlabError(
                    f"hotword {phrase!r}: {word!r} is not within {where}; add it or correct it"
                )
        return [symbols for symbols in spelled if symbols is not None]

    @cached_property
    def most_symbols(self) -> int:
        """Symbols of hotwords that one token may stand for, the end of a word counted."""
        if self.words.by_tokens:
            return 2
        spelled = list(zip(self.units.spelling(), self.units.kinds, strict=True))
        return max(len(symbols) + int(kind == START) for symbols, kind in spelled)

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words.words)}

    @cached_property
    def _spelling(self) -> tuple[Ints, Ints]:
        """Symbols of the trie for each token."""
        if not self.words.by_tokens:
            return _rows(self.units.spelling())
        parts = self.units.kinds == SEPARATOR
        return _rows([[] if part else [token] for token, part in enumerate(parts)])

    @cached_property
    def _widest(self) -> int:
        """Prefixes that one token may lead to from another."""
        return 1 + max(1, int(np.diff(self.words.trie.ends_at).max(initial=0)))

    def fusion(self, hotwords: Hotwords | None = None) -> Fusion:
        """The arrays, with hotwords if there are any."""
        trie, weights = self.words.trie, self.weights
        ends = self.words.owners[trie.ends]
        hot = hotwords or _NOTHING
        marks = self.model is not None and self.model.facts.marks
        rise = math.exp(max(weights.word_bonus, 0.0)) if self.lm == TOKEN_LM else 1.0
        return Fusion(
            self.plain and hotwords is None, self.units.kinds, *self._spelling, trie.edges_at,
            trie.edges, trie.ends_at, ends, *self._masks, self._bits, self._ahead, self._leaps,
            self._spring, not self.words.closed, self.lm,
            self._lm_numbers, END if marks else -1, float(weights.language_model),
            float(weights.word_bonus), float(weights.unknown_penalty), rise, hotwords is not None,
            hot.edges_at, hot.edges, hot.fail, hot.credit, hot.done, np.exp(hot.reach), *self._text,
            self.words.by_tokens, self._widest,
        )  # fmt: skip


def token_names(units: TokenUnits, model: NGramModel) -> tuple[str, ...]:
    """The tokens as words of a language model that scores tokens."""
    if model.facts.unit != "character":
        return tuple("<s>" if index == units.blank else n for index, n in enumerate(units.names))
    return tuple(
        "<s>" if index == units.blank else model.facts.space if not name.strip() else name
        for index, name in enumerate(units.names)
    )


def _rows(rows: list[list[int]]) -> tuple[Ints, Ints]:
    """Where each row begins, and all rows one after the other."""
    ends = np.cumsum([0, *(len(row) for row in rows)])
    flat = [number for row in rows for number in row]
    return ends.astype(np.int32), np.array(flat, np.int32)


def _empty_tables() -> Tables:
    words = Words()
    log_prob = np.zeros(len(words), np.float32)
    table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
    return QueryIndex.build(table).tables


__all__ = ["Guidance", "Weights", "token_names"]
