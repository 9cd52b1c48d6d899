"""Count cut-offs: leaving n-grams out of a model that occur too rarely to be worth their room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.ngrams import BackoffTable, Level, NGrams
from seqlab.lm.ngram.scratch import Scratch, released


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


def kept_rows(
    counts: NGramCounts, cutoffs: Sequence[int], scratch: Scratch | None = None
) -> tuple[NDArray[np.bool_], ...]:
    """For each order from bigrams on, which k-grams occur more often than their cut-off."""
    scratch, result = scratch or Scratch(), []
    for order, occurrences in enumerate(counts.occurrences[1:], 2):
        kept = scratch.empty(len(occurrences), np.bool_)
        for part in released(len(kept), occurrences, kept):
            np.greater(occurrences[part], cutoff(cutoffs, order), out=kept[part])
        result.append(kept)
    return tuple(result)


def select_rows(
    table: BackoffTable, kept: Sequence[NDArray[np.bool_]], scratch: Scratch | None = None
) -> BackoffTable:
    """The model with some of its n-grams only, every value as it was.

    Args:
        table: the model.
        kept: for each order from bigrams on which k-grams stay (N,); with a k-gram its context
            and its suffix must stay. Orders that lose all go from the model.
        scratch: where large arrays go; memory unless told otherwise.
    """
    old, scratch = table.ngrams, scratch or Scratch()
    levels, log_prob, log_backoff = [old.levels[0]], [table.log_prob[0]], []
    rows = old.levels[0].first  # new row of each old one
    stays = np.ones(len(rows), np.bool_)
    for k, mask in enumerate(kept, 1):
        new_rows, size = _new_rows(mask, scratch)
        if not size:
            break
        level = old.levels[k]
        levels.append(
            Level(
                selected(level.first, mask, size, scratch),
                selected(level.suffix, mask, size, scratch, rows),
                selected(level.context, mask, size, scratch, rows),
            )
        )
        log_prob.append(selected(table.log_prob[k], mask, size, scratch))
        weights = table.log_backoff[k - 1]
        log_backoff.append(selected(weights, stays, len(levels[k - 1]), scratch))
        rows, stays = new_rows, mask
    ngrams = NGrams(old.words, tuple(levels))
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff), table.unseen_backoff)


def selected(
    values: NDArray[Any],
    mask: NDArray[np.bool_],
    size: int,
    scratch: Scratch,
    mapped: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """The ``size`` values that a mask chooses, or what they are ``mapped`` to (size,)."""
    source = values if mapped is None else mapped
    result, begin = scratch.empty(size, source.dtype), 0
    for part in released(len(values), values, mask, source, result):
        chosen = values[part][mask[part]]
        result[begin : begin + len(chosen)] = chosen if mapped is None else mapped[chosen]
        begin += len(chosen)
    return result


def _new_rows(mask: NDArray[np.bool_], scratch: Scratch) -> tuple[NDArray[np.int32], int]:
    """Row of each k-gram among those that stay (N,), for those alone; and how many stay."""
    rows, size = scratch.empty(len(mask), np.int32), 0
    for part in released(len(mask), mask, rows):
        np.cumsum(mask[part], dtype=np.int32, out=rows[part])
        rows[part] += size - 1
        size += int(np.count_nonzero(mask[part]))
    return rows, size
