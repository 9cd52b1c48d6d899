"""The n-grams of a model: for each order its k-grams in suffix order, linked to shorter ones.

Suffix order sorts by the last word, then by the word before it, and so on back to the first. So
the k-grams that share their last k - 1 words stand together, in the order of those shorter ones,
and an n-gram model's recursion from longer to shorter n-grams walks arrays from front to back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.words import Words

MAX_ORDER = 9
MAX_ROWS = 2**31 - 1  # k-grams of one order: rows are 32-bit numbers


@dataclass(frozen=True)
class Level:
    """The k-grams of one order in suffix order; row i of each array belongs to k-gram i.

    Args:
        first: number of the first (leftmost) word (N,), int32.
        suffix: row, one order lower, of the k-gram without its first word (N,), int32; it never
            falls from row to row. Zero for unigrams.
        context: row, one order lower, of the k-gram without its last word (N,), int32. Zero for
            unigrams.
    """

    first: NDArray[np.int32]
    suffix: NDArray[np.int32]
    context: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class NGrams:
    """All n-grams of a model. Unigrams are complete: row w of level 0 is word number w.

    Every k-gram's suffix and context is there as well.

    Args:
        words: the vocabulary.
        levels: unigrams, bigrams, and so on; as many as the order.
    """

    words: Words
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many k-grams there are, for k = 1, 2, ..."""
        return tuple(len(level) for level in self.levels)

    def word_numbers(self, order: int) -> NDArray[np.int32]:
        """The words of all k-grams of one order, left to right (N, order)."""
        rows = np.arange(len(self.levels[order - 1]), dtype=np.int32)
        result = np.empty((len(rows), order), np.int32)
        for place in range(order):
            level = self.levels[order - 1 - place]
            result[:, place] = level.first[rows]
            rows = level.suffix[rows]
        return result

    def last_words(self, order: int) -> NDArray[np.int32]:
        """Last word of all k-grams of one order (N,)."""
        last = self.levels[0].first
        for level in self.levels[1:order]:
            last = last[level.suffix]
        return last

    def find(self, numbers: NDArray[np.int32] | list[int]) -> int:
        """Row of the k-gram of these word numbers (left to right), or -1 where it is not there."""
        row = int(numbers[-1])
        if not 0 <= row < len(self.words):
            return -1
        for level, word in zip(self.levels[1:], reversed(numbers[:-1]), strict=False):
            begin, end = np.searchsorted(level.suffix, [row, row + 1])
            place = int(begin + np.searchsorted(level.first[begin:end], word))
            if place == end or level.first[place] != word:
                return -1
            row = place
        return row if len(numbers) <= self.order else -1


def unigram_level(words: Words) -> Level:
    """The level of the unigrams: one for each word."""
    numbers = np.arange(len(words), dtype=np.int32)
    return Level(numbers, np.zeros_like(numbers), np.zeros_like(numbers))


@dataclass(frozen=True)
class BackoffTable:
    """An n-gram model in back-off form, natural logarithms.

    ln p(w | h) is ``log_prob`` of the k-gram h w where there is one. Otherwise it is the
    ``log_backoff`` of h plus ln p(w | h without its first word); an h that is no k-gram of the
    model counts ``unseen_backoff`` instead (0 but for stupid back-off).

    Args:
        ngrams: the n-grams.
        log_prob: for each order the log-probability of each k-gram, float32; -inf says never.
            That of the unigram ``<s>`` is -inf: it is given, never predicted.
        log_backoff: for each order but the highest the log back-off weight of each k-gram as a
            context, float32; 0 where it never was one.
        unseen_backoff: log weight of a context that is no k-gram of the model.
    """

    ngrams: NGrams
    log_prob: tuple[NDArray[np.float32], ...]
    log_backoff: tuple[NDArray[np.float32], ...]
    unseen_backoff: float = 0.0

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return self.ngrams.order
