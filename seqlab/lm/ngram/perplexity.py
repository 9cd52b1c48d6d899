"""Perplexity of a text: with and without unknown words, by sentence and by word."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from seqlab.errors import DataError
from seqlab.lm.ngram.token_scores import TokenScores, perplexity_per_token
from seqlab.lm.ngram.words import UNKNOWN

__all__ = ["Perplexity", "count_characters", "perplexity_of"]


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text; every ``</s>`` is a token, ``<s>`` is not.

    Args:
        log_prob: natural log-probability of all tokens.
        log_prob_known: that of the tokens that are not ``<unk>``.
        tokens: words and ends of sentences.
        unknown: how many of them are ``<unk>``.
        sentences: how many sentences.
        zeros: tokens of probability 0 (maximum likelihood has them); any makes the perplexity
            inf.
        order_hits: how many tokens end a k-gram of the model, and no longer one, for k = 1, 2,
            ...; empty where that is not known.
        characters: of the text, ends of lines included; 0 where they were not counted.

    Example:
        >>> result = Perplexity(math.log(0.125), math.log(0.5), 3, 1, 1)
        >>> result.perplexity, round(result.perplexity_excluding_unknown, 4)
        (2.0, 1.4142)
    """

    log_prob: float
    log_prob_known: float
    tokens: int
    unknown: int
    sentences: int
    zeros: int = 0
    order_hits: tuple[int, ...] = ()
    characters: int = 0

    @property
    def perplexity(self) -> float:
        """exp(-log_prob / tokens): an unknown word counts with the probability of ``<unk>``."""
        return perplexity_per_token(self.log_prob, self.tokens)

    @property
    def perplexity_excluding_unknown(self) -> float:
        """The same over the known tokens; unknown words stay in the contexts of others."""
        return perplexity_per_token(self.log_prob_known, self.tokens - self.unknown)

    @property
    def cross_entropy(self) -> float:
        """Bits that a token takes: the base-2 logarithm of the perplexity."""
        return -self.log_prob / self.tokens / math.log(2) if self.tokens else math.nan

    @property
    def bits_per_character(self) -> float:
        """Bits that a character takes; nan where characters were not counted.

        For models of different tokens, such as words and subwords, whose perplexities cannot be
        compared.
        """
        return -self.log_prob / self.characters / math.log(2) if self.characters else math.nan

    @property
    def unknown_rate(self) -> float:
        """Part of the words, ends of sentences not counted, that is unknown."""
        words = self.tokens - self.sentences
        return self.unknown / words if words > 0 else 0.0

    @property
    def hit_rates(self) -> tuple[float, ...]:
        """Part of the tokens that end a k-gram of the model, and no longer one, k = 1, 2, ..."""
        return tuple(count / self.tokens for count in self.order_hits)


def perplexity_of(scores: TokenScores, characters: int = 0, order: int = 0) -> Perplexity:
    """Perplexity of a scored text, as KenLM's ``query`` defines it with and without unknown words.

    Args:
        scores: the tokens.
        characters: how many characters the text has (``count_characters``), for
            ``bits_per_character``.
        order: for how many orders hits are listed; as many as occur unless given.

    Raises:
        DataError: there are no tokens.
    """
    if len(scores) == 0:
        raise DataError("a text of 0 tokens has no perplexity; it must have at least one sentence")
    known = scores.numbers != UNKNOWN
    hits: list[int] = []
    if len(scores.orders):
        hits = np.bincount(scores.orders, minlength=order + 1)[1:].tolist()
    return Perplexity(
        log_prob=float(scores.log_probs.sum()),
        log_prob_known=float(scores.log_probs[known].sum()),
        tokens=len(scores),
        unknown=int(len(scores) - np.count_nonzero(known)),
        sentences=len(scores.ends),
        zeros=int(np.count_nonzero(np.isneginf(scores.log_probs))),
        order_hits=tuple(hits),
        characters=characters,
    )


def count_characters(sentences: Iterable[str]) -> int:
    """Characters of sentences whose words are parted by one space, ends of lines included.

    >>> count_characters(["to  be", ""])
    7
    """
    return sum(len(" ".join(sentence.split())) + 1 for sentence in sentences)
