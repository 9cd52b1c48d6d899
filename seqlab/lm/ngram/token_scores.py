"""The tokens of a text as a model sees them: the rows that tables and comparisons are made from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.words import BEGIN, END, GAP, UNKNOWN, Words

__all__ = ["SentenceScore", "TokenScores", "WordScore", "perplexity_per_token", "score_tokens"]


def perplexity_per_token(log_prob: float, tokens: int) -> float:
    """exp(-log_prob / tokens); nan without tokens, inf beyond what a float holds."""
    if tokens == 0:
        return math.nan
    mean = -log_prob / tokens
    return math.exp(mean) if mean < 700 else math.inf


@dataclass(frozen=True)
class WordScore:
    """A word as a model sees it.

    Args:
        word: the word; ``<unk>`` where the model does not know it.
        log_prob: natural log-probability after the words before it.
        order: length of the longest n-gram of the model that it ends; 0 where that is not known.
        unknown: whether it is ``<unk>``.
    """

    word: str
    log_prob: float
    order: int
    unknown: bool


@dataclass(frozen=True)
class SentenceScore:
    """A sentence as a model sees it.

    Args:
        log_prob: natural log-probability, ``</s>`` included.
        tokens: its words and ``</s>``.
        unknown: how many are ``<unk>``.
    """

    log_prob: float
    tokens: int
    unknown: int

    @property
    def perplexity(self) -> float:
        """exp(-log_prob / tokens); inf where a word has the probability 0."""
        return perplexity_per_token(self.log_prob, self.tokens)


@dataclass(frozen=True)
class TokenScores:
    """Every token of a text as a model sees it: what tables and comparisons are made from.

    Args:
        words: the model's vocabulary.
        numbers: word numbers (T,), int32; ``</s>`` ends a sentence.
        log_probs: natural log-probabilities (T,).
        orders: length of the longest n-gram that each token ends (T,), int8; empty where that is
            not known.
        ends: end of each sentence in the arrays (S,), int64, rising.

    Raises:
        DataError: the arrays do not fit each other, or a log-probability is NaN or above 0.
    """

    words: Words
    numbers: NDArray[np.int32]
    log_probs: NDArray[np.float64]
    orders: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    ends: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        tokens = len(self.numbers)
        if len(self.log_probs) != tokens or len(self.orders) not in (0, tokens):
            found = f"log-probabilities ({len(self.log_probs)}) and orders ({len(self.orders)}"
            raise DataError(f"{tokens} tokens must have as many {found}, or none); score one text")
        if np.isnan(self.log_probs).any() or (np.asarray(self.log_probs) > 1e-3).any():
            raise DataError(
                "log-probabilities must be at most 0 and no NaN; give natural logarithms"
            )
        if not len(self.ends):
            ends = np.flatnonzero(self.numbers == END).astype(np.int64) + 1
            if tokens and (not len(ends) or ends[-1] != tokens):
                ends = np.append(ends, np.int64(tokens))
            object.__setattr__(self, "ends", ends)
        if tokens != (self.ends[-1] if len(self.ends) else 0) or (np.diff(self.ends) < 0).any():
            raise DataError(f"ends of sentences must rise to the number of tokens, {tokens}")

    @classmethod
    def of_stream(
        cls,
        words: Words,
        stream: NDArray[np.int32],
        log_probs: NDArray[np.floating[Any]],
        orders: NDArray[np.integer[Any]],
    ) -> TokenScores:
        """Scores of a stream of word numbers (T,); ``<s>`` and gaps are left out.

        ``</s>`` ends a sentence, or a gap where none stands before it.
        """
        predicted = (stream != BEGIN) & (stream != GAP)
        after_end = np.append(False, stream[:-1] == END)
        closing = (stream == END) | ((stream == GAP) & ~after_end)
        counts = np.cumsum(predicted)
        ends = counts[closing]
        if predicted.any() and (not len(ends) or ends[-1] != counts[-1]):
            ends = np.append(ends, counts[-1])
        return cls(
            words,
            stream[predicted],
            log_probs[predicted].astype(np.float64),
            orders[predicted].astype(np.int8),
            ends,
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def sentence_totals(self) -> NDArray[np.float64]:
        """Ln p of each sentence (S,)."""
        return self.sentence_sums(self.log_probs)

    def sentences(self) -> list[SentenceScore]:
        """A row for each sentence."""
        totals = self.sentence_totals()
        unknown = self.sentence_sums((self.numbers == UNKNOWN).astype(np.float64))
        sizes = np.diff(self.ends, prepend=0)
        return [
            SentenceScore(float(total), int(size), int(count))
            for total, size, count in zip(totals, sizes, unknown, strict=True)
        ]

    def sentence_sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of a value of each token over every sentence (S,); -inf stays in its sentence."""
        sentence = np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))
        return np.bincount(sentence, values, len(self.ends)).astype(np.float64)

    def word_table(self) -> Iterator[WordScore]:
        """A row for each token, in the order of the text."""
        for place, (number, log_prob) in enumerate(zip(self.numbers, self.log_probs, strict=True)):
            order = int(self.orders[place]) if len(self.orders) else 0
            yield WordScore(
                self.words[int(number)], float(log_prob), order, bool(number == UNKNOWN)
            )


def score_tokens(model: BackoffTable | Successors, stream: NDArray[np.int32]) -> TokenScores:
    """Score every token of a stream with a model in memory.

    Args:
        model: the model.
        stream: word numbers (T,), int32, such as ``words.numbers(text, marks=True)``; ``<s>``
            and gaps (-1) begin anew and are left out of the result.

    Raises:
        DataError: a number is no word.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> from seqlab.lm.ngram.perplexity import perplexity_of
        >>> words = Words(["a"])
        >>> log_prob = np.log(np.float32([0.25, 1e-9, 0.25, 0.5]))
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> scores = score_tokens(table, words.numbers("a b", marks=True))
        >>> [(row.word, round(row.log_prob, 2), row.unknown) for row in scores.word_table()]
        [('a', -0.69, False), ('<unk>', -1.39, True), ('</s>', -1.39, False)]
        >>> round(perplexity_of(scores).perplexity, 4)
        3.1748
    """
    successors = Successors.of(model)
    log_probs, orders = successors.score(stream)
    return TokenScores.of_stream(successors.words, stream, log_probs, orders)
