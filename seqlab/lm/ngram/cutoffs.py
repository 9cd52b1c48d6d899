"""Count cut-offs: leaving n-grams out of a model that occur too rarely to be worth their room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable, Level, NGrams


def check_cutoffs(cutoffs: Sequence[int]) -> None:
    """Raise SeqlabError unless cut-offs are whole numbers that begin with 0 and never fall.

    A longer n-gram occurs at most as often as the shorter ones in it, so that cut-offs that never
    fall keep every context and suffix of what they keep.

    >>> check_cutoffs((0, 2, 1))
    Traceback (most recent call last):
    seqlab.errors.SeqlabError: cutoffs=(0, 2, 1) must be whole numbers that begin with 0, for \
unigrams, and never fall, such as 0 0 1; raise those of the longer n-grams
    """
    good = all(isinstance(c, int) and not isinstance(c, bool) and c >= 0 for c in cutoffs)
    if not good or list(cutoffs) != sorted(cutoffs) or (len(cutoffs) > 0 and cutoffs[0] != 0):
        raise SeqlabError(
            f"cutoffs={tuple(cutoffs)} must be whole numbers that begin with 0, for unigrams, "
            "and never fall, such as 0 0 1; raise those of the longer n-grams"
        )


def cutoff(cutoffs: Sequence[int], order: int) -> int:
    """The cut-off of one order; the last one given serves all longer n-grams, none is 0."""
    return cutoffs[min(order, len(cutoffs)) - 1] if cutoffs else 0


def kept_rows(counts: NGramCounts, cutoffs: Sequence[int]) -> tuple[NDArray[np.bool_], ...]:
    """For each order from bigrams on, which k-grams occur more often than their cut-off."""
    return tuple(
        occurrences > cutoff(cutoffs, order)
        for order, occurrences in enumerate(counts.occurrences[1:], 2)
    )


def select_rows(table: BackoffTable, kept: Sequence[NDArray[np.bool_]]) -> BackoffTable:
    """The model with some of its n-grams only, every value as it was.

    Args:
        table: the model.
        kept: for each order from bigrams on which k-grams stay (N,); with a k-gram its context
            and its suffix must stay. Orders that lose all go from the model.
    """
    old = table.ngrams
    levels, log_prob, log_backoff = [old.levels[0]], [table.log_prob[0]], []
    rows = np.arange(len(old.words), dtype=np.int32)  # new row of each old one
    stays = np.ones(len(old.words), np.bool_)
    for k, mask in enumerate(kept, 1):
        if not mask.any():
            break
        level = old.levels[k]
        levels.append(Level(level.first[mask], rows[level.suffix[mask]], rows[level.context[mask]]))
        log_prob.append(table.log_prob[k][mask])
        log_backoff.append(table.log_backoff[k - 1][stays])
        rows, stays = (np.cumsum(mask) - 1).astype(np.int32), mask
    ngrams = NGrams(old.words, tuple(levels))
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff), table.unseen_backoff)
