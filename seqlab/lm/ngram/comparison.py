"""Two models on one text: which is better, how surely, and on which words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least, check_probability
from seqlab.errors import DataError
from seqlab.lm.ngram.token_scores import TokenScores

__all__ = ["Comparison", "WordDifference", "compare"]

_CHUNK = 1 << 22  # resampled sentences held at a time


@dataclass(frozen=True)
class WordDifference:
    """What one model gains over another at a word.

    Args:
        word: the word.
        count: how often it occurs.
        total: sum of ln p_first - ln p_second over its occurrences: above 0 where the first
            model is better.
    """

    word: str
    count: int
    total: float

    @property
    def mean(self) -> float:
        """Difference at one occurrence."""
        return self.total / self.count


@dataclass(frozen=True)
class Comparison:
    """Two models on one text.

    Args:
        log_ratio: ln of the second perplexity over the first: above 0 where the first model is
            better.
        low, high: ends of the confidence interval of ``log_ratio``.
        confidence: of the interval, such as 0.95.
        wins, losses, ties: sentences to which the first model gives more, less, the same.
        differences: ln p_first - ln p_second of each token (T,).
        words: every word with its difference, the largest gains first.
    """

    log_ratio: float
    low: float
    high: float
    confidence: float
    wins: int
    losses: int
    ties: int
    differences: NDArray[np.float64]
    words: tuple[WordDifference, ...]

    @property
    def perplexity_ratio(self) -> float:
        """Second perplexity over the first."""
        return math.exp(self.log_ratio)

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 0."""
        return not self.low <= 0 <= self.high

    def largest(self, count: int = 10) -> tuple[list[WordDifference], list[WordDifference]]:
        """The words with which each model gains most over the other, the most important first."""
        first = [row for row in self.words[:count] if row.total > 0]
        second = [row for row in self.words[::-1][:count] if row.total < 0]
        return first, second


def compare(
    first: TokenScores,
    second: TokenScores,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> Comparison:
    """Compare two models on the same text, sentence by sentence.

    To tell a real difference from chance: sentences are drawn with replacement, the same for
    both models, and the quantiles of the log-ratio of the perplexities make its interval (paired
    percentile bootstrap; Efron and Tibshirani 1993, ch. 13; Koehn 2004 for language
    technology).

    Args:
        first: the text scored by one model, token by token.
        second: the same text scored by the other.
        confidence: of the interval, above 0 and below 1.
        resamples: how many texts are drawn, at least 100.
        seed: of the draws.
        tolerance: sentences whose log-probabilities differ by no more are ties.

    Raises:
        DataError: the texts differ in their sentences, there are none, or a token has the
            probability 0 in either model.
    """
    check_probability("confidence", confidence)
    check_at_least("resamples", resamples, 100)
    if len(first) == 0 or not np.array_equal(first.ends, second.ends):
        raise DataError(
            f"texts of {len(first)} and {len(second)} tokens must be the same text, sentence by "
            "sentence and not empty; score one text with both models"
        )
    never = int(np.count_nonzero(np.isneginf(first.log_probs) | np.isneginf(second.log_probs)))
    if never:
        raise DataError(
            f"{never} tokens have probability 0 in a model, so no ratio can be given; compare "
            "smoothed models"
        )
    differences = np.asarray(first.log_probs - second.log_probs, np.float64)
    sums = first.sentence_sums(differences)
    sizes = np.diff(first.ends, prepend=0).astype(np.float64)
    ratios = _resampled(sums, sizes, resamples, np.random.default_rng(seed))
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    wins = int(np.count_nonzero(sums > tolerance))
    losses = int(np.count_nonzero(sums < -tolerance))
    return Comparison(
        float(sums.sum() / sizes.sum()), float(low), float(high), confidence, wins, losses,
        len(sums) - wins - losses, differences, _by_word(first, second, differences),
    )  # fmt: skip


def _resampled(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean difference of a token in texts drawn from the sentences (resamples,)."""
    result, step = np.empty(resamples), max(1, _CHUNK // len(sums))
    for begin in range(0, resamples, step):
        end = min(begin + step, resamples)
        drawn = rng.integers(0, len(sums), (end - begin, len(sums)), dtype=np.int32)
        result[begin:end] = sums[drawn].sum(1) / np.maximum(sizes[drawn].sum(1), 1)
    return result


def _by_word(
    first: TokenScores, second: TokenScores, differences: NDArray[np.float64]
) -> tuple[WordDifference, ...]:
    """Sums over the occurrences of each word, named by the model that knows it."""
    numbers = first.numbers.astype(np.int64) << 32 | second.numbers
    keys, places = np.unique(numbers, return_inverse=True)
    totals, counts = np.bincount(places, differences), np.bincount(places)
    rows = []
    for key, count, total in zip(keys.tolist(), counts.tolist(), totals.tolist(), strict=True):
        ours, theirs = key >> 32, key & 0xFFFFFFFF
        word = first.words[ours] if ours else second.words[theirs]
        rows.append(WordDifference(word, count, total))
    return tuple(sorted(rows, key=lambda row: (-row.total, row.word)))
