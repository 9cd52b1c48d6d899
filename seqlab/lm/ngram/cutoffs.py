"""Count cut-offs: leaving n-grams out of a model that occur too rarely to be worth their room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import SeqlabError
from seqlab.lm.ngram.counts import NGramCounts


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
    """For each order which k-grams occur more often than their cut-off; all unigrams stay."""
    kept = [
        occurrences > cutoff(cutoffs, order)
        if order > 1 and cutoff(cutoffs, order)
        else np.ones(len(occurrences), np.bool_)
        for order, occurrences in enumerate(counts.occurrences, 1)
    ]
    return tuple(kept)
