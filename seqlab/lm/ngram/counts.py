"""Counts of n-grams, what every smoothing starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.ngrams import NGrams

Counts: TypeAlias = "NDArray[np.integer[Any]]"  # int32, or int64 of a text of 2 ** 31 words


@dataclass(frozen=True)
class NGramCounts:
    """How often the k-grams of each order occur, and after how many different words.

    Args:
        ngrams: all k-grams of the text.
        occurrences: for each order how often each k-gram occurs (N,). Of ``<s>`` it is
            the number of sentences; a word of a fixed vocabulary that never occurs has 0.
        left_types: for each order but the highest the number of different words (``<s>``
            included) that precede each k-gram (N,): the continuation counts of Kneser and
            Ney (1995). A k-gram that begins with ``<s>`` has 0.
    """

    ngrams: NGrams
    occurrences: tuple[Counts, ...]
    left_types: tuple[Counts, ...]

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return self.ngrams.order
