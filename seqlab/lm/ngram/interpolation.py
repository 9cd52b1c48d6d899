"""Linear interpolation: one model from several, the exact mixture, and its weights by EM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.errors import DataError
from seqlab.lm.ngram.alignment import (
    align,
    backoff_weights,
    join_ngrams,
    join_words,
    shared_unknown,
)
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.successors import Successors, check_sums_to_one
from seqlab.lm.ngram.words import BEGIN, END, Words

__all__ = [
    "LinearInterpolation",
    "Weights",
    "fit_linear_weights",
    "interpolate",
    "score_columns",
]


@dataclass(frozen=True)
class Weights:
    """Weights of models fitted on held-out text, and how the fit went.

    Args:
        weights: one for each model.
        log_likelihoods: mean natural log-probability of a token before each step and at the end.
        iterations: steps taken.
        converged: whether the tolerance was reached.
    """

    weights: tuple[float, ...]
    log_likelihoods: tuple[float, ...]
    iterations: int
    converged: bool

    @property
    def perplexity(self) -> float:
        """Perplexity of the held-out text with these weights."""
        return math.exp(-self.log_likelihoods[-1])


def check_models(tables: Sequence[Any], purpose: str) -> None:
    """Raise DataError unless there are two models or more, whose probabilities sum to one."""
    if len(tables) < 2:
        raise DataError(f"{len(tables)} models must be at least 2 for {purpose}; add one")
    for table in tables:
        if isinstance(table, BackoffTable | Successors):
            check_sums_to_one(table, purpose)


def weight_array(weights: Sequence[float]) -> NDArray[np.float64]:
    """Weights as an array; DataError where they are no numbers."""
    try:
        return np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"weights={weights!r} must be numbers, one for each model") from None


def _check_weights(weights: Sequence[float], models: int) -> NDArray[np.float64]:
    array = weight_array(weights)
    if array.shape != (models,):
        raise DataError(f"{array.size} weights must be one for each of the {models} models")
    if not (np.isfinite(array).all() and (array >= 0).all() and abs(array.sum() - 1) < 1e-6):
        raise DataError(
            f"weights={array.tolist()} must be at least 0 and sum to 1; divide them by their sum"
        )
    return array


def interpolate(tables: Sequence[BackoffTable], weights: Sequence[float]) -> BackoffTable:
    """Mix models linearly, p(w|h) = sum_i weight_i p_i(w|h), into one model of the same kind.

    The n-grams of all models get exactly this probability (Jelinek and Mercer 1980), and
    back-off weights make every context sum to one. The words that no model lists after a context
    are the approximation: they share what is left as they would after the shorter context, where
    the exact mixture, ``LinearInterpolation``, weighs each model's back-off by itself. SRILM's
    ``ngram -mix-lm`` does the same. A model gives words that it lacks no probability: they have
    what the models that know them say, and ``<unk>`` is what none knows.

    Args:
        tables: two models or more, of any orders and vocabularies.
        weights: one for each, at least 0, summing to 1.

    Raises:
        DataError: weights that do not fit, or stupid back-off.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> ngrams = NGrams(Words(["a"]), (unigram_level(Words(["a"])),))
        >>> one = BackoffTable(ngrams, (np.log(np.float32([0.2, 1e-9, 0.4, 0.4])),), ())
        >>> two = BackoffTable(ngrams, (np.log(np.float32([0.2, 1e-9, 0.2, 0.6])),), ())
        >>> [f"{p:.2f}" for p in np.exp(interpolate([one, two], [0.5, 0.5]).log_prob[0])]
        ['0.20', '0.00', '0.30', '0.50']
    """
    check_models(tables, "linear interpolation")
    shares = _check_weights(weights, len(tables))
    ngrams = join_ngrams([table.ngrams for table in tables])
    aligned = [align(ngrams, table, divide=False) for table in tables]
    log_prob = [_mixed(shares, [part.log_prob[k] for part in aligned]) for k in range(ngrams.order)]
    log_backoff = []
    for k in range(1, ngrams.order):
        mean = _mixed(shares, [part.log_backoff[k - 1] for part in aligned])
        log_backoff.append(
            backoff_weights(ngrams.levels[k], log_prob[k], log_prob[k - 1], len(ngrams.words), mean)
        )
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff))


def _mixed(shares: NDArray[np.float64], logs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Logarithm of the weighted sum of what the logarithms stand for."""
    total = np.full(len(logs[0]), -np.inf, np.float32)
    for share, values in zip(shares, logs, strict=True):
        if share > 0:
            np.logaddexp(total, values + np.float32(math.log(share)), out=total)
    return total


def score_columns(
    tables: Sequence[BackoffTable | Successors], text: str | bytes
) -> NDArray[np.float64]:
    """Natural log-probabilities of the words of a text, a column for each model.

    Args:
        tables: the models.
        text: one sentence a line; ``</s>`` is scored as well.

    Returns:
        An array (T, M).

    Raises:
        DataError: there are no words.
    """
    models = [Successors.of(table) for table in tables]
    words, _ = join_words([model.words for model in models])
    stream = held_out_stream(words, text)
    predicted = stream != BEGIN
    return np.stack([column_of(model, words, stream)[predicted] for model in models], 1)


def held_out_stream(words: Words, text: str | bytes) -> NDArray[np.int32]:
    """Word numbers of held-out text, one sentence a line; DataError where there are no words."""
    stream = words.numbers(text, marks=True)
    if not ((stream != BEGIN) & (stream != END)).any():
        raise DataError("the held-out text must have words, and has none; give other text")
    return stream


def column_of(
    model: Successors, words: Words, stream: NDArray[np.int32], divide: bool = False
) -> NDArray[np.float64]:
    """What a model gives each number of a stream of other words (T,); see ``shared_unknown``."""
    word_of, share = shared_unknown(words, model.words, divide)
    return model.score(word_of[stream])[0] + share[stream]


def fit_linear_weights(
    columns: NDArray[np.floating[Any]], tolerance: float = 1e-6, max_iterations: int = 1000
) -> Weights:
    """Weights that make a mixture of models most probable, by expectation-maximisation.

    Each step multiplies weight i by g_i = mean_t p_i(t) / p(t) with the mixture p (Jelinek and
    Mercer 1980; Dempster, Laird and Rubin 1977), and the likelihood never falls. As it is concave
    in the weights, max_i g_i - 1 bounds what is left to be gained for a token, in nats: there the
    fit stops.

    Args:
        columns: natural log-probabilities of held-out tokens (T, M), a column for each model.
        tolerance: of the mean log-probability of a token, above 0.
        max_iterations: after which it stops even so.

    Raises:
        DataError: no tokens, values that are no log-probabilities, or a token that all models
            give the probability 0.

    Example:
        >>> fit = fit_linear_weights(np.log([[0.5, 0.1], [0.2, 0.2], [0.1, 0.4]]))
        >>> fit.converged, [round(weight, 2) for weight in fit.weights]
        (True, [0.54, 0.46])
    """
    check_at_least("max_iterations", max_iterations, 1)
    ratios, peaks = _scaled(np.asarray(columns, np.float64))
    weights = np.full(ratios.shape[1], 1 / ratios.shape[1])
    history: list[float] = []
    converged = False
    while True:
        mixture = ratios @ weights
        history.append(float(np.mean(np.log(mixture) + peaks)))
        gains = np.mean(ratios / mixture[:, None], 0)
        converged = bool(gains.max() - 1 < tolerance)
        if converged or len(history) > max_iterations:
            break
        weights = weights * gains
        weights /= weights.sum()
    return Weights(tuple(weights.tolist()), tuple(history), len(history) - 1, converged)


def _scaled(columns: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (T, M) divided by the largest of each token, and its logarithm (T,)."""
    if columns.ndim != 2 or 0 in columns.shape:
        raise DataError(
            f"log-probabilities of shape {columns.shape} must be (tokens, models), at least one "
            "of each; give held-out text"
        )
    if np.isnan(columns).any() or (columns > 1e-4).any():
        raise DataError("log-probabilities must be at most 0 and no NaN; give natural logarithms")
    peaks = columns.max(1)
    never = int(np.count_nonzero(np.isneginf(peaks)))
    if never:
        raise DataError(
            f"{never} of {len(peaks)} held-out tokens have probability 0 in every model; add a "
            "smoothed model, or leave them out: columns[~np.isneginf(columns).all(1)]"
        )
    return np.exp(columns - peaks[:, None]), peaks


class LinearInterpolation:
    """The exact mixture of language models, p(w|h) = sum_i weight_i p_i(w|h), word by word.

    For models that cannot be merged (n-gram and neural), or when the approximation of
    ``interpolate`` matters. It is a language model like its parts.

    Args:
        models: objects with ``initial_state()`` and ``advance(state, token)``. They should
            know the same words; each treats unknown ones by its own rule.
        weights: one for each, at least 0, summing to 1.
        end: token that ends a sentence, ``None`` to leave it out.

    Raises:
        DataError: fewer than two models, or weights that do not fit.

    Example:
        >>> class Coin:
        ...     def __init__(self, heads):
        ...         self.heads = heads
        ...     def initial_state(self):
        ...         return None
        ...     def advance(self, state, token):
        ...         return math.log(self.heads if token == "heads" else 1 - self.heads), None
        >>> coin = LinearInterpolation([Coin(0.5), Coin(0.9)], [0.5, 0.5], end=None)
        >>> np.exp(coin.score_batch(["heads", "heads tails"])).round(2).tolist()
        [0.7, 0.21]
    """

    def __init__(
        self, models: Sequence[Any], weights: Sequence[float], end: str | None = "</s>"
    ) -> None:
        check_models(models, "linear interpolation")
        self.models, self.end = tuple(models), end
        self.weights = tuple(_check_weights(weights, len(models)).tolist())

    def initial_state(self) -> tuple[Any, ...]:
        """State at the beginning of a sentence: those of all models."""
        return tuple(model.initial_state() for model in self.models)

    def advance(self, state: tuple[Any, ...], token: Any) -> tuple[float, tuple[Any, ...]]:
        """Natural log-probability of ``token`` after ``state``, and the state that follows."""
        steps = [model.advance(s, token) for model, s in zip(self.models, state, strict=True)]
        peak = max(log_prob for log_prob, _ in steps)
        if peak == -math.inf:
            return peak, tuple(after for _, after in steps)
        total = sum(
            weight * math.exp(log_prob - peak)
            for weight, (log_prob, _) in zip(self.weights, steps, strict=True)
        )
        log_prob = math.log(total) + peak if total > 0 else -math.inf
        return log_prob, tuple(after for _, after in steps)

    def score_batch(self, sentences: Sequence[str | Sequence[Any]]) -> NDArray[np.float64]:
        """Natural log-probability of each sentence (N,): a text, or its tokens."""
        return score_by_token(self, sentences, self.end)


def score_by_token(
    model: Any, sentences: Sequence[str | Sequence[Any]], end: str | None
) -> NDArray[np.float64]:
    """Log-probability of each sentence (N,), token by token; ``end`` is added to each."""
    totals = np.zeros(len(sentences))
    for place, sentence in enumerate(sentences):
        tokens = sentence.split() if isinstance(sentence, str) else sentence
        state = model.initial_state()
        for token in [*tokens, *([] if end is None else [end])]:
            log_prob, state = model.advance(state, token)
            totals[place] += log_prob
    return totals
