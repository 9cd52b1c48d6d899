"""Weights of log-linear combinations, fitted on held-out text by Newton's method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.lm.ngram.alignment import Aligned, align, join_ngrams
from seqlab.lm.ngram.interpolation import Weights, check_models, column_of, held_out_stream
from seqlab.lm.ngram.log_linear import Contexts, check_positive, unigram_moments
from seqlab.lm.ngram.ngrams import BackoffTable, NGrams
from seqlab.lm.ngram.successors import Successors
from seqlab.lm.ngram.words import BEGIN

__all__ = ["fit_log_linear_weights"]

_Array = NDArray[np.float64]


def fit_log_linear_weights(
    tables: Sequence[BackoffTable],
    text: str | bytes,
    tolerance: float = 1e-9,
    max_iterations: int = 50,
) -> Weights:
    """Weights of a log-linear combination that make held-out text most probable.

    The log-likelihood is concave in the weights: its gradient is the models' log-probabilities
    less their expectation under the combination, its Hessian minus their covariance (as in any
    maximum-entropy model; Della Pietra et al. 1997). Newton's method with step halving (Nocedal
    and Wright 2006, algorithm 3.2) needs a handful of steps. The sums over the vocabulary are
    made for the contexts of the text alone.

    Args:
        tables: two models or more, none with a probability of 0.
        text: held-out sentences, one a line.
        tolerance: of the mean log-probability of a token: the fit stops where Newton's step
            promises less.
        max_iterations: after which it stops even so.

    Raises:
        DataError: no words, stupid back-off, or a probability of 0.

    Example:
        >>> from seqlab.lm.ngram.ngrams import unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> ngrams = NGrams(Words(["a"]), (unigram_level(Words(["a"])),))
        >>> one = BackoffTable(ngrams, (np.log(np.float32([0.1, 1, 0.3, 0.6])),), ())
        >>> two = BackoffTable(ngrams, (np.log(np.float32([0.6, 1, 0.2, 0.2])),), ())
        >>> fit = fit_log_linear_weights([one, two], "a a b a")
        >>> fit.converged, fit.iterations < 10, round(fit.perplexity, 2)
        (True, True, 2.59)
    """
    check_models(tables, "log-linear interpolation")
    check_at_least("max_iterations", max_iterations, 1)
    held_out = _HeldOut.of(tables, text)
    weights = np.full(len(tables), 1 / len(tables))
    value, gradient, curvature = held_out.at(weights)
    history, converged = [value], False
    while len(history) <= max_iterations:
        step = np.linalg.lstsq(curvature, gradient, rcond=1e-10)[0]  # models may be the same
        promise = float(gradient @ step)
        converged = promise / 2 < tolerance
        if converged:
            break
        scale = 1.0
        while True:
            after = held_out.at(weights + scale * step)
            if after[0] >= value + 1e-4 * scale * promise or scale < 1e-6:
                break
            scale /= 2
        if not after[0] >= value:  # rounding: nothing is left to be gained
            break
        weights = weights + scale * step
        value, gradient, curvature = after
        history.append(value)
    return Weights(tuple(weights.tolist()), tuple(history), len(history) - 1, converged)


@dataclass(frozen=True)
class _HeldOut:
    """A text as a log-linear combination sees it: the contexts in it, and how often."""

    mean: _Array  # of ln p_i over the tokens (M,)
    aligned: list[Aligned]
    parts: list[Contexts]
    counts: list[_Array]  # share of the tokens after each context, from the empty one on

    @classmethod
    def of(cls, tables: Sequence[BackoffTable], text: str | bytes) -> _HeldOut:
        """A text as the combination of some models sees it.

        Args:
            tables: the models (M,).
            text: whole lines.

        Raises:
            DataError: a model cannot be combined, or the text has no words.
        """
        ngrams = join_ngrams([table.ngrams for table in tables])
        aligned = [align(ngrams, table) for table in tables]
        check_positive(aligned)
        stream = held_out_stream(ngrams.words, text)
        predicted = stream != BEGIN
        tokens = int(np.count_nonzero(predicted))
        columns = [
            column_of(Successors.of(t), ngrams.words, stream, divide=True)[predicted]
            for t in tables
        ]
        walk = Successors.of(BackoffTable(ngrams, aligned[0].log_prob, aligned[0].log_backoff))
        nodes, counts = np.unique(walk.contexts(stream)[predicted], return_counts=True)
        parts, shares = _needed(ngrams, aligned, walk.first_nodes, nodes, counts / tokens)
        return cls(np.mean(columns, 1), aligned, parts, shares)

    def at(self, weights: _Array) -> tuple[float, _Array, _Array]:
        """Mean log-likelihood, its gradient, and minus its Hessian; nan for overlong steps."""
        with np.errstate(all="ignore"):
            return self._at(weights)

    def _at(self, weights: _Array) -> tuple[float, _Array, _Array]:
        models = len(weights)
        sums, _ = unigram_moments(self.aligned, weights, full=True)
        value, gradient = float(weights @ self.mean), self.mean.copy()
        curvature = np.zeros((models, models))
        for place, counts in enumerate(self.counts):
            if place:
                sums, _ = self.parts[place - 1].moments(weights, sums)
            expected = sums[:, 1 : 1 + models] / sums[:, :1]
            squares = (sums[:, 1 + models :] / sums[:, :1]).reshape(-1, models, models)
            value -= float(counts @ np.log(sums[:, 0]))
            gradient -= counts @ expected
            products = expected[:, :, None] * expected[:, None, :]
            curvature += np.tensordot(counts, squares - products, 1)
        return value, gradient, curvature


def _needed(
    ngrams: NGrams,
    aligned: Sequence[Aligned],
    first_nodes: NDArray[np.int64],
    nodes: NDArray[np.int64],
    shares: _Array,
) -> tuple[list[Contexts], list[_Array]]:
    """The contexts of a text and all shorter ones they need, with each one's share of the text."""
    rows: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * ngrams.order
    for k in range(ngrams.order - 1, 0, -1):
        inside = nodes[(nodes >= first_nodes[k]) & (nodes < first_nodes[k + 1])] - first_nodes[k]
        longer = ngrams.levels[k].suffix[rows[k + 1]] if k + 1 < ngrams.order else rows[k]
        rows[k] = np.union1d(inside, longer).astype(np.int64)
    rows[0] = np.zeros(1, np.int64)
    parts, counts = [], []
    for k in range(ngrams.order):
        count = np.zeros(len(rows[k]))
        low, high = (0, 1) if k == 0 else (first_nodes[k], first_nodes[k + 1])
        inside = (nodes >= low) & (nodes < high)
        count[np.searchsorted(rows[k], nodes[inside] - low)] = shares[inside]
        counts.append(count)
        if k:
            parts.append(Contexts.of(ngrams, aligned, k).only(rows[k], rows[k - 1]))
    return parts, counts
