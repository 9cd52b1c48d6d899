"""What a text consists of, and how much of another it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.errors import DataError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.words import BEGIN, END, GAP, UNKNOWN

__all__ = [
    "Coverage",
    "TextStatistics",
    "counts_of_counts",
    "coverage",
    "out_of_vocabulary_curve",
    "text_statistics",
    "type_token_curve",
]


@dataclass(frozen=True)
class TextStatistics:
    """What a text consists of; sentence marks are not counted.

    Args:
        sentences: how many.
        tokens: words, repetitions included.
        types: different words.
        once: words that occur once (hapax legomena).
        longest: words of the longest sentence.
    """

    sentences: int
    tokens: int
    types: int
    once: int
    longest: int

    @property
    def mean_length(self) -> float:
        """Words of a sentence on average."""
        return self.tokens / self.sentences if self.sentences else 0.0

    @property
    def type_token_ratio(self) -> float:
        """Different words for each word."""
        return self.types / self.tokens if self.tokens else 0.0

    @property
    def unseen_mass(self) -> float:
        """Probability that the next word is new, estimated by the words seen once (Good 1953)."""
        return self.once / self.tokens if self.tokens else 0.0


def _is_word(stream: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.asarray((stream != BEGIN) & (stream != END) & (stream != GAP))


def text_statistics(stream: NDArray[np.int32]) -> TextStatistics:
    """Count sentences, words and different words.

    Args:
        stream: word numbers with sentence marks (T,): ``words.numbers(text, marks=True)``.
            Unknown words are one type.

    Example:
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words()
        >>> statistics = text_statistics(words.numbers("a rose is a rose", True, True))
        >>> statistics.tokens, statistics.types, statistics.once
        (5, 3, 1)
    """
    word = _is_word(stream)
    counts = np.bincount(stream[word])
    ends = np.cumsum(word)[stream == END]
    return TextStatistics(
        sentences=len(ends),
        tokens=int(np.count_nonzero(word)),
        types=int(np.count_nonzero(counts)),
        once=int(np.count_nonzero(counts == 1)),
        longest=int(np.diff(ends, prepend=0).max(initial=0)),
    )


def type_token_curve(
    stream: NDArray[np.int32], points: int = 100
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How the vocabulary grows with the text (Heaps 1978).

    Args:
        stream: word numbers (T,); sentence marks are skipped.
        points: of the curve, evenly spaced, at least 1.

    Returns:
        Tokens read and different words among them (P,).

    Example:
        >>> tokens, types = type_token_curve(np.int32([3, 4, 3, 3, 5, 4]), points=3)
        >>> tokens.tolist(), types.tolist()
        ([2, 4, 6], [2, 2, 3])
    """
    check_at_least("points", points, 1)
    numbers = stream[_is_word(stream)]
    _, first = np.unique(numbers, return_index=True)
    new = np.zeros(len(numbers) + 1, np.int64)
    new[first + 1] = 1
    tokens = np.unique(np.linspace(0, len(numbers), points + 1).round().astype(np.int64))[1:]
    return tokens, np.cumsum(new)[tokens]


def out_of_vocabulary_curve(
    training: NDArray[np.int32], text: NDArray[np.int32], sizes: Sequence[int]
) -> NDArray[np.float64]:
    """Part of a text that the most frequent words of another leave unknown.

    To choose the size of a vocabulary.

    Args:
        training: word numbers of the training text (T,).
        text: those of the text, in the same numbers; ``UNKNOWN`` where training lacks a word.
        sizes: of vocabularies, at least 0.

    Returns:
        Rates within 0 and 1, one for each size.

    Raises:
        DataError: the text has no words, or a size is negative.

    Example:
        >>> out_of_vocabulary_curve(np.int32([3, 3, 3, 4, 4, 5]), np.int32([3, 4, 5, 0]), [1, 9])
        array([0.75, 0.25])
    """
    words = text[_is_word(text)]
    if len(words) == 0:
        raise DataError("a text of 0 words has no rate of unknown words; give one with words")
    if min(sizes, default=0) < 0:
        raise DataError(f"vocabulary size {min(sizes)} must be at least 0")
    seen = training[_is_word(training) & (training != UNKNOWN)]
    counts = np.bincount(seen, minlength=int(words.max()) + 1)
    order = np.argsort(-counts, kind="stable")
    covered = np.bincount(words[words != UNKNOWN], minlength=len(counts))[order]
    covered[counts[order] == 0] = 0
    total = np.concatenate([[0], np.cumsum(covered)])
    return np.asarray(1 - total[np.minimum(sizes, len(counts))] / len(words))


@dataclass(frozen=True)
class Coverage:
    """How much of a text a model's n-grams cover.

    Args:
        tokens: words and ends of sentences.
        unknown: how many of them the model does not know.
        matched: how many end a k-gram of the model, whatever longer ones there are, k = 1, 2, ...
        possible: how many have k - 1 tokens before them in their sentence, ``<s>`` included.
    """

    tokens: int
    unknown: int
    matched: tuple[int, ...]
    possible: tuple[int, ...]

    @property
    def hit_rates(self) -> tuple[float, ...]:
        """Part of the text's k-grams that the model has, k = 1, 2, ..."""
        return tuple(m / p if p else 0.0 for m, p in zip(self.matched, self.possible, strict=True))


def coverage(model: BackoffTable | Successors, stream: NDArray[np.int32]) -> Coverage:
    """Count how many of a text's n-grams a model has.

    Args:
        model: the model.
        stream: word numbers of the model's vocabulary with sentence marks (T,), int32. An
            unknown word matches as a unigram, ``<unk>``.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words(["a"])
        >>> log_prob = np.log(np.float32([0.25, 1e-9, 0.25, 0.5]))
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> coverage(table, words.numbers("a b", marks=True))
        Coverage(tokens=3, unknown=1, matched=(3,), possible=(3,))
    """
    successors = Successors.of(model)
    _, orders = successors.score(stream)
    restart = (stream == BEGIN) | (stream == GAP)
    begins = np.maximum.accumulate(np.where(restart, np.arange(len(stream)), -1))
    before = np.arange(len(stream)) - begins - (stream[begins] != BEGIN) * 1
    predicted = ~restart
    longest = range(1, successors.order + 1)
    return Coverage(
        tokens=int(np.count_nonzero(predicted)),
        unknown=int(np.count_nonzero(stream == UNKNOWN)),
        matched=tuple(int(np.count_nonzero(predicted & (orders >= k))) for k in longest),
        possible=tuple(int(np.count_nonzero(predicted & (before >= k - 1))) for k in longest),
    )


def counts_of_counts(counts: NGramCounts, largest: int = 10) -> tuple[tuple[int, ...], ...]:
    """How many k-grams occur once, twice, ... up to ``largest`` times, for each order.

    Smoothing starts from these numbers: discounts need the first four.

    Args:
        counts: of a text.
        largest: occurrences, at least 1.

    Returns:
        For each order ``largest`` numbers.
    """
    check_at_least("largest", largest, 1)
    result = []
    for occurrences in counts.occurrences:
        small = np.bincount(occurrences[occurrences <= largest], minlength=largest + 1)
        result.append(tuple(int(count) for count in small[1:]))
    return tuple(result)
