"""Log-linear interpolation: products of models, normalised for each context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.alignment import Aligned, align, join_ngrams, join_words, shared_unknown
from seqlab.lm.ngram.interpolation import (
    check_models,
    score_by_token,
    weight_array,
)
from seqlab.lm.ngram.kernels.interpolation import add_moments, shift_moments
from seqlab.lm.ngram.ngrams import BackoffTable, NGrams
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.words import BEGIN

__all__ = ["Contexts", "LogLinearInterpolation", "check_positive", "interpolate_log_linear"]

_Array = NDArray[np.float64]


def interpolate_log_linear(
    tables: Sequence[BackoffTable], weights: Sequence[float]
) -> BackoffTable:
    """Combine models log-linearly, p(w|h) = prod_i p_i(w|h)^weight_i / Z(h), into one model.

    Often better than a mixture for models of different strengths (Klakow 1998, eq. 4). Nothing is
    approximated as long as the vocabularies agree: a word that no model lists after h has the
    product of the back-off weights times its product after the shorter h', so the combination is
    a back-off model itself, and Z(h) follows from Z(h') and the listed words. Where a model lists
    ``<unk>`` after a context, the words that it lacks back off there.

    Args:
        tables: two models or more, of any orders and vocabularies.
        weights: one for each, finite; they need not sum to 1.

    Raises:
        DataError: weights that do not fit, stupid back-off, a negative weight for a model that
            gives a word the probability 0, or a context after which no word is possible.

    Example:
        >>> from seqlab.lm.ngram.ngrams import unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> ngrams = NGrams(Words(["a"]), (unigram_level(Words(["a"])),))
        >>> one = BackoffTable(ngrams, (np.log(np.float32([0.2, 1, 0.2, 0.6])),), ())
        >>> squared = interpolate_log_linear([one, one], [1, 1])
        >>> [f"{p:.3f}" for p in np.exp(squared.log_prob[0])]
        ['0.091', '0.000', '0.091', '0.818']
    """
    check_models(tables, "log-linear interpolation")
    powers = _check_powers(weights, len(tables))
    ngrams = join_ngrams([table.ngrams for table in tables])
    aligned = [align(ngrams, table) for table in tables]
    check_positive([part for part, power in zip(aligned, powers, strict=True) if power < 0])
    sums, exponents = unigram_moments(aligned, powers, full=False)
    _check_normalisers(sums)
    log_prob, log_backoff = [(exponents - np.log(sums[0, 0])).astype(np.float32)], []
    for k in range(1, ngrams.order):
        part = Contexts.of(ngrams, aligned, k)
        shorter, (sums, exponents) = sums, part.moments(powers, sums)
        _check_normalisers(sums)
        log_prob.append((exponents - np.log(sums[part.context, 0])).astype(np.float32))
        change = np.log(shorter[part.suffix, 0]) - np.log(sums[:, 0])
        log_backoff.append((_product(powers, part.backoffs) + change).astype(np.float32))
    log_prob[0][BEGIN] = -np.inf
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff))


def _check_powers(weights: Sequence[float], models: int) -> _Array:
    array = weight_array(weights)
    if array.shape != (models,) or not np.isfinite(array).all():
        raise DataError(
            f"weights={array.tolist()} must be a finite number for each of the {models} models"
        )
    return array


def _check_normalisers(sums: _Array) -> None:
    bad = int(np.count_nonzero(~(np.isfinite(sums) & (sums > 0))))
    if bad:
        raise DataError(
            f"after {bad} contexts the products of all words are 0 or too large for a number; take "
            "weights nearer to 0, or smoothed models"
        )


def check_positive(aligned: Sequence[Aligned]) -> None:
    """Raise DataError for models that give a word the probability 0."""
    for part in aligned:
        never = np.count_nonzero(np.isneginf(part.log_prob[0])) - 1  # <s> is never predicted
        never += sum(np.count_nonzero(np.isneginf(values)) for values in part.log_prob[1:])
        if never:
            raise DataError(
                f"{never} n-grams have probability 0 in a model, which must be above 0 where "
                "weights are fitted or negative; take a smoothed model"
            )


def _product(powers: _Array, columns: NDArray[np.float32]) -> _Array:
    """Sum of power times logarithm over the models (N,); a power of 0 leaves a model out."""
    total = np.zeros(columns.shape[1])
    for power, column in zip(powers, columns, strict=True):
        if power != 0:
            total += power * column
    return total


def unigram_moments(
    aligned: Sequence[Aligned], powers: _Array, full: bool
) -> tuple[_Array, _Array]:
    """Moments of the empty context (1, S), and the exponent of each word (V,)."""
    columns = np.stack([part.log_prob[0] for part in aligned])
    context = np.zeros(columns.shape[1], np.int32)
    context[BEGIN] = 1  # no event: a context of its own that nobody looks at
    listed, unused = _room(2, len(powers), full), _room(2, len(powers), full)
    exponents = np.empty(columns.shape[1])
    add_moments(context, powers, columns, columns, listed, unused, exponents)
    return listed[:1], exponents


def _room(contexts: int, models: int, full: bool) -> _Array:
    return np.zeros((contexts, 1 + models + models**2 if full else 1))


@dataclass(frozen=True)
class Contexts:
    """The contexts of one length, and the n-grams after them, as M models see them.

    Args:
        context: place of each n-gram's context (N,).
        columns: ln p_i(w|h) of the n-grams (M, N).
        lower: ln p_i(w|h') of the same (M, N).
        suffix: place of each context's shorter context (C,).
        backoffs: ln of the models' back-off weights (M, C).
    """

    context: NDArray[np.int32]
    columns: NDArray[np.float32]
    lower: NDArray[np.float32]
    suffix: NDArray[np.int32]
    backoffs: NDArray[np.float32]

    @classmethod
    def of(cls, ngrams: NGrams, aligned: Sequence[Aligned], k: int) -> Contexts:
        """The contexts of ``k`` words."""
        level = ngrams.levels[k]
        return cls(
            level.context,
            np.stack([part.log_prob[k] for part in aligned]),
            np.stack([part.log_prob[k - 1][level.suffix] for part in aligned]),
            ngrams.levels[k - 1].suffix,
            np.stack([part.log_backoff[k - 1] for part in aligned]),
        )

    def only(self, needed: NDArray[np.int64], shorter: NDArray[np.int64]) -> Contexts:
        """Some contexts alone; ``shorter`` are those one word shorter, both rising."""
        place = np.full(self.backoffs.shape[1], -1, np.int32)
        place[needed] = np.arange(len(needed))
        rows = np.flatnonzero(place[self.context] >= 0)
        return Contexts(
            place[self.context[rows]],
            self.columns[:, rows],
            self.lower[:, rows],
            np.searchsorted(shorter, self.suffix[needed]).astype(np.int32),
            self.backoffs[:, needed],
        )

    def moments(self, powers: _Array, below: _Array) -> tuple[_Array, _Array]:
        """Sums over the vocabulary of each context (C, S) from those of the shorter contexts.

        With q = prod_i p_i(w|h)^power_i they are those of q (Z itself), and if ``below`` has them
        of q ln p_i and q ln p_i ln p_j. Also returned is ln q of each n-gram (N,).
        """
        contexts, full = self.backoffs.shape[1], below.shape[1] > 1
        listed, shorter = (_room(contexts, len(powers), full) for _ in range(2))
        exponents = np.empty(len(self.context))
        add_moments(self.context, powers, self.columns, self.lower, listed, shorter, exponents)
        shift_moments(self.suffix, powers, self.backoffs, below, listed, shorter)
        return listed, exponents


class LogLinearInterpolation:
    """Models combined log-linearly at query time, normalised by a sum over the vocabulary.

    To try weights without building a model; what is used for long should be merged by
    ``interpolate_log_linear``. Normalisers of contexts are kept once computed.

    Args:
        tables: two models or more, of any orders and vocabularies.
        weights: one for each, finite.
        end: token that ends a sentence, ``None`` to leave it out.
        cache_size: how many normalisers are kept.

    Raises:
        DataError: weights that do not fit, or stupid back-off.

    Example:
        >>> from seqlab.lm.ngram.ngrams import unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> ngrams = NGrams(Words(["a"]), (unigram_level(Words(["a"])),))
        >>> one = BackoffTable(ngrams, (np.log(np.float32([0.2, 1, 0.2, 0.6])),), ())
        >>> both = LogLinearInterpolation([one, one], [1, 1])
        >>> log_prob, _ = both.advance(both.initial_state(), "a")
        >>> f"{np.exp(log_prob):.3f}"
        '0.818'
    """

    def __init__(
        self,
        tables: Sequence[BackoffTable | Successors],
        weights: Sequence[float],
        end: str | None = "</s>",
        cache_size: int = 100_000,
    ) -> None:
        check_models(tables, "log-linear interpolation")
        self.weights = tuple(_check_powers(weights, len(tables)).tolist())
        self.end, self._cache_size = end, cache_size
        self._models = [Successors.of(table) for table in tables]
        self.words, _ = join_words([model.words for model in self._models])
        self._shared = [shared_unknown(self.words, model.words) for model in self._models]
        self._normalisers: dict[tuple[int, ...], float] = {}

    def initial_state(self) -> tuple[int, ...]:
        """State at the beginning of a sentence."""
        return tuple(model.begin for model in self._models)

    def log_normaliser(self, state: tuple[int, ...]) -> float:
        """Logarithm of Z after a state, by a sum over all words."""
        if state not in self._normalisers:
            total = np.zeros(len(self.words))
            for model, (word_of, share), power, node in zip(
                self._models, self._shared, self.weights, state, strict=True
            ):
                if power != 0:
                    values = model.distribution(node)[word_of] + share
                    values[BEGIN] = 0.0
                    total += power * values
            total[BEGIN] = -np.inf
            if len(self._normalisers) >= self._cache_size:
                self._normalisers.clear()
            peak = float(total.max())
            self._normalisers[state] = peak + float(np.log(np.exp(total - peak).sum()))
        return self._normalisers[state]

    def advance(self, state: tuple[int, ...], token: str) -> tuple[float, tuple[int, ...]]:
        """Natural log-probability of ``token`` after ``state``, and the state that follows."""
        word = max(self.words.find(token), 0)
        total, after = -self.log_normaliser(state), []
        for model, (word_of, share), power, node in zip(
            self._models, self._shared, self.weights, state, strict=True
        ):
            log_prob, following = model.advance(node, int(word_of[word]))
            if power != 0:
                total += power * (log_prob + float(share[word]))
            after.append(following)
        return total, tuple(after)

    def score_batch(self, sentences: Sequence[str | Sequence[str]]) -> _Array:
        """Natural log-probability of each sentence (N,): a text, or its tokens."""
        return score_by_token(self, sentences, self.end)
