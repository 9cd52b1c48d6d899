"""Smaller models: n-grams go that change what the model says the least."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.errors import DataError
from seqlab.lm.ngram.alignment import align, backoff_weights, child_masses
from seqlab.lm.ngram.cutoffs import select_rows, selected
from seqlab.lm.ngram.kernels.pruning import raise_shorter, relative_entropies
from seqlab.lm.ngram.ngrams import BackoffTable, Level, NGrams
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.successors import check_sums_to_one
from seqlab.lm.ngram.words import BEGIN, END

__all__ = ["Pruned", "context_log_probs", "keep", "prune", "prune_to_size", "pruning_scores"]

RECORD_BYTES = 20  # of an n-gram in a BackoffTable: three links, probability, back-off weight


@dataclass(frozen=True)
class Pruned:
    """A smaller model and what it cost.

    Args:
        table: the model.
        threshold: n-grams of a smaller relative entropy have gone (nats).
        before: how many n-grams of each order there were.
        after: how many are left.
    """

    table: BackoffTable
    threshold: float
    before: tuple[int, ...]
    after: tuple[int, ...]


def context_log_probs(
    table: BackoffTable, history: BackoffTable | None = None
) -> tuple[NDArray[np.float64], ...]:
    """Log-probability p(h) of the n-grams of each order but the highest, by the chain rule.

    ``<s>`` is never predicted; it is as frequent as ``</s>``, and gets its probability.

    Args:
        table: whose n-grams.
        history: the model that gives the probabilities, ``table`` itself unless given.
    """
    source = table.log_prob if history is None else align(table.ngrams, history).log_prob
    result: list[NDArray[np.float64]] = []
    for k, level in enumerate(table.ngrams.levels[:-1]):
        values = source[k].astype(np.float64)
        if k == 0:
            values[BEGIN] = values[END]
        else:
            values += result[-1][level.context]
        result.append(values)
    return tuple(result)


def pruning_scores(
    table: BackoffTable, history: BackoffTable | None = None
) -> tuple[NDArray[np.float32], ...]:
    """What each n-gram is worth: relative entropy between the models with and without it.

    D(p || p') = -p(h) { p(w|h) [ln p(w|h') + ln alpha'(h) - ln p(w|h)]
    + (1 - sum_v p(v|h)) [ln alpha'(h) - ln alpha(h)] }, the sum over the n-grams h v of the model
    and alpha'(h) the back-off weight without h w (Stolcke 1998, eq. 5 to 9). An n-gram that longer
    ones need as their context or suffix is worth at least as much as each of them; Stolcke asks
    that of contexts only.

    Args:
        table: the model.
        history: gives p(h), ``table`` itself unless given. Under Kneser-Ney the shorter n-grams
            say after how many words a word occurs, not how often, and their product is a poor
            p(h): heavily pruned models turn out worse than with other smoothings (Chelba et
            al. 2010). A Witten-Bell or Katz model of the same text sets that right: 5.8 M
            n-grams of WikiText-2 (order 5, perplexity 220) cut to 0.3 M have 260 instead of 275.

    Returns:
        For each order from bigrams on the scores (N,), nats, float32.

    Raises:
        DataError: the model's probabilities do not sum to one.
    """
    check_sums_to_one(table, "entropy pruning")
    ngrams = table.ngrams
    log_context = context_log_probs(table, history)
    result = []
    for k in range(1, table.order):
        level, scores = ngrams.levels[k], np.empty(ngrams.sizes[k], np.float32)
        high, low, _ = child_masses(
            level, ngrams.sizes[k - 1], table.log_prob[k], table.log_prob[k - 1]
        )
        relative_entropies(
            level.context, level.suffix, table.log_prob[k], table.log_prob[k - 1], high, low,
            table.log_backoff[k - 1], log_context[k - 1], scores,
        )  # fmt: skip
        result.append(scores)
    for k in range(table.order - 1, 1, -1):
        level = ngrams.levels[k]
        raise_shorter(level.context, level.suffix, result[k - 1], result[k - 2])
    return tuple(result)


def keep(
    table: BackoffTable, kept: tuple[NDArray[np.bool_], ...], scratch: Scratch | None = None
) -> BackoffTable:
    """The model with some of its n-grams only; contexts that lost any sum to one again.

    Probabilities stay what they were, and so do the weights of contexts that lost none. Those of
    stupid back-off, whose scores do not sum to one, all stay.

    Args:
        table: the model.
        kept: for each order from bigrams on which n-grams stay (N,). Highest orders that lose all
            go from the model.
        scratch: where large arrays go; memory unless told otherwise.

    Raises:
        DataError: an n-gram stays, but its context or its suffix does not.
    """
    scratch = scratch or Scratch()
    _check_links(table.ngrams, kept)
    smaller = select_rows(table, kept, scratch)
    if table.unseen_backoff:
        return smaller
    words, stays, log_backoff = len(table.ngrams.words), None, []
    for k in range(1, smaller.order):
        weights, level = smaller.log_backoff[k - 1], smaller.ngrams.levels[k]
        lost = _lost(table.ngrams.levels[k], kept[k - 1], table.ngrams.sizes[k - 1], scratch)
        if stays is not None:
            lost = selected(lost, stays, len(weights), scratch)
        fresh = backoff_weights(
            level, smaller.log_prob[k], smaller.log_prob[k - 1], words, weights, scratch
        )
        for part in released(len(fresh), lost, fresh, weights):
            np.copyto(fresh[part], weights[part], where=~lost[part])
        log_backoff.append(fresh)
        stays = kept[k - 1]
    return replace(smaller, log_backoff=tuple(log_backoff))


def _check_links(ngrams: NGrams, kept: tuple[NDArray[np.bool_], ...]) -> None:
    """Raise DataError unless the context and the suffix of every n-gram that stays do, too."""
    for k, mask in enumerate(kept[1:], 2):
        stays, level = kept[k - 2], ngrams.levels[k]
        for part in released(len(mask), mask, stays, level.suffix, level.context):
            chosen = mask[part]
            shorter = level.suffix[part][chosen], level.context[part][chosen]
            if not all(stays[rows].all() for rows in shorter):
                raise DataError(
                    f"every {k + 1}-gram that is kept needs its context and suffix; keep those as "
                    "well"
                )


def _lost(
    level: Level, mask: NDArray[np.bool_], contexts: int, scratch: Scratch
) -> NDArray[np.bool_]:
    """Which contexts lose an n-gram (C,)."""
    lost: NDArray[np.bool_] = scratch.zeros(contexts, np.bool_)
    for part in released(len(mask), mask, level.context, lost):
        lost[level.context[part][~mask[part]]] = True
    return lost


def prune(table: BackoffTable, threshold: float, history: BackoffTable | None = None) -> Pruned:
    """Leave out n-grams whose absence changes the model by less than a threshold.

    To make a model smaller at little cost: with 1e-8 the perplexity hardly changes, with 1e-6 it
    rises by some per cent. An n-gram goes if the model's perplexity on its own text would
    rise by a factor of less than 1 + ``threshold`` (Stolcke 1998, eq. 4), which is what SRILM's
    ``-prune`` compares as well; unigrams stay.

    Args:
        table: the model.
        threshold: at least 0, which removes nothing.
        history: see ``pruning_scores``.

    Returns:
        The smaller model and its sizes.

    Raises:
        DataError: the threshold is negative or not finite, or the model's probabilities do not
            sum to one.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words(["a"])
        >>> log_prob = np.log(np.array([0.1, 0, 0.4, 0.5], np.float32) + 1e-30)
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> prune(table, 1e-7).after
        (4,)
    """
    check_range("threshold", threshold, 0, 1e300, "1e-8 prunes a little, 1e-6 a lot")
    scores = pruning_scores(table, history)
    bound = math.log1p(threshold)
    return _pruned(table, tuple(part >= bound for part in scores), threshold)


def prune_to_size(
    table: BackoffTable,
    ngrams: int | None = None,
    size: int | None = None,
    history: BackoffTable | None = None,
    bytes_per_ngram: float = RECORD_BYTES,
) -> Pruned:
    """The best model of a given size, by the threshold that leaves just as much.

    The relative entropies do not depend on each other, so they are computed once, and the
    threshold is read off their sorted list.

    Args:
        table: the model.
        ngrams: how many n-grams may be left, all orders together; at least the unigrams.
        size: how many bytes they may take; give this or ``ngrams``.
        history: see ``pruning_scores``.
        bytes_per_ngram: what one takes: 20 in memory; that of a file, if it is to have ``size``.

    Returns:
        The smaller model; n-grams of equal worth go together, so it may be smaller than asked.

    Raises:
        DataError: neither or both sizes are given, or not even the unigrams fit.
    """
    if (ngrams is None) == (size is None):
        raise DataError(f"ngrams={ngrams} and size={size}: exactly one must be given; drop one")
    room = ngrams if ngrams is not None else int((size or 0) / bytes_per_ngram)
    unigrams = table.ngrams.sizes[0]
    if room < unigrams:
        asked = f"ngrams={ngrams}" if ngrams is not None else f"size={size} ({room} n-grams)"
        raise DataError(
            f"{asked} must leave room for the {unigrams} unigrams, which are never pruned; "
            "allow more, or estimate with a smaller vocabulary"
        )
    scores = pruning_scores(table, history)
    out = sum(len(part) for part in scores) - (room - unigrams)  # how many have to go
    if out <= 0:
        return _pruned(table, tuple(np.ones(len(part), bool) for part in scores), 0.0)
    bound = np.partition(np.concatenate(scores), out - 1)[out - 1]
    threshold = math.expm1(np.nextafter(bound, np.float32(np.inf)))
    return _pruned(table, tuple(part > bound for part in scores), threshold)


def _pruned(table: BackoffTable, kept: tuple[NDArray[np.bool_], ...], threshold: float) -> Pruned:
    smaller = keep(table, kept)
    after = smaller.ngrams.sizes
    after += (0,) * (table.order - len(after))
    return Pruned(smaller, threshold, table.ngrams.sizes, after)
