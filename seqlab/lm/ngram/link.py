"""From lists of n-grams to the linked table of all: suffix order, suffixes, contexts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.kernels.link import (
    child_starts,
    distinct,
    find_contexts,
    find_suffixes,
    first_disorder,
    first_repeat,
    merge_tables,
    suffix_order,
)
from seqlab.lm.ngram.ngrams import MAX_ORDER, MAX_ROWS, Level, NGrams, unigram_level
from seqlab.lm.ngram.words import Words

__all__ = ["link_ngrams"]

_Table = NDArray[np.int32]  # (N, k) word numbers, in suffix order
_Source = NDArray[np.int64]  # (N,) row each came from, -1 where it was added


def link_ngrams(
    words: Words, grams: Sequence[NDArray[np.int32]]
) -> tuple[NGrams, tuple[NDArray[np.int64], ...]]:
    """Link n-grams that stand in any order; those missing between them are added.

    For n-grams that were read or chosen; counting makes linked ones by itself. The suffix and
    the context of every n-gram (without its first, without its last word) come to exist, and
    theirs, down to the unigrams. Time grows linearly: n-grams that are in suffix order already
    take about a third of the time of others.

    Args:
        words: the vocabulary; each of its words becomes a unigram.
        grams: for k = 1, 2, ... the k-grams (N, k): word numbers, left to right, all different.

    Returns:
        The n-grams, and for each order where in ``grams`` each row came from (N,), int64; -1
        where it was added.

    Raises:
        DataError: an n-gram stands twice; a number is no word; more orders than ``MAX_ORDER``.

    Example:
        >>> words = Words(["a", "b"])
        >>> grams = [np.array([[3], [4]]), np.zeros((0, 2)), np.array([[1, 3, 4]])]
        >>> ngrams, sources = link_ngrams(words, [g.astype(np.int32) for g in grams])
        >>> [[words[n] for n in gram] for gram in ngrams.word_numbers(2)]
        [['<s>', 'a'], ['a', 'b']]
        >>> [source.tolist() for source in sources]
        [[-1, -1, -1, 0, 1], [-1, -1], [0]]
    """
    if not 1 <= len(grams) <= MAX_ORDER:
        raise DataError(
            f"n-grams of {len(grams)} orders must be of 1 to {MAX_ORDER}; leave the longer ones out"
        )
    tables = [_sorted_table(words, k, table) for k, table in enumerate(grams, 1)]
    unigrams = np.full(len(words), -1, np.int64)
    unigrams[tables[0][0][:, 0]] = tables[0][1]
    tables[0] = np.arange(len(words), dtype=np.int32)[:, None], unigrams
    levels = _linked(words, tables)
    if levels is None:
        _add_missing(words, tables)
        levels = _linked(words, tables)
    assert levels is not None
    return NGrams(words, levels), tuple(source for _, source in tables)


def _sorted_table(words: Words, k: int, grams: NDArray[np.int32]) -> tuple[_Table, _Source]:
    """The k-grams in suffix order and their places in ``grams``; DataError where they are bad."""
    if grams.ndim != 2 or grams.shape[1] != k or len(grams) > MAX_ROWS:
        raise DataError(
            f"{k}-grams of shape {grams.shape} must be an array (N, {k}) of word numbers, "
            f"N at most {MAX_ROWS}"
        )
    if grams.size and not (grams.min() >= 0 and grams.max() < len(words)):
        bad = grams[((grams < 0) | (grams >= len(words))).any(1)][0]
        raise DataError(
            f"{k}-gram {bad.tolist()} must hold word numbers within 0 and {len(words) - 1}; "
            "enter its words into the vocabulary first"
        )
    grams = np.ascontiguousarray(grams, np.int32)
    if first_disorder(grams) < 0:
        return grams, np.arange(len(grams))
    order = suffix_order(grams, len(words) - 1)
    grams = grams[order]
    repeat = first_repeat(grams)
    if repeat >= 0:
        text = " ".join(words[int(number)] for number in grams[repeat])
        raise DataError(f"{k}-gram {text!r} stands twice; remove one of the two")
    return grams, order.astype(np.int64)


def find_repeat(grams: NDArray[np.int32]) -> tuple[int, int] | None:
    """The first two rows of a table (N, k) of n-grams that are equal, or None."""
    order = suffix_order(grams, int(grams.max(initial=0)))
    place = int(first_repeat(grams[order]))
    return None if place < 0 else (int(order[place - 1]), int(order[place]))


def _linked(words: Words, tables: list[tuple[_Table, _Source]]) -> tuple[Level, ...] | None:
    """Levels of sorted tables, or None where a suffix or a context is missing."""
    levels = [unigram_level(words)]
    for (shorter, _), (table, _) in itertools.pairwise(tables):
        below, first = levels[-1], np.ascontiguousarray(table[:, 0])
        suffix, context = np.empty(len(table), np.int32), np.empty(len(table), np.int32)
        if not find_suffixes(table, shorter, suffix):
            return None
        if len(levels) == 1:
            context[:] = first
        else:
            starts = child_starts(below.suffix, len(levels[-2]))
            if not find_contexts(first, suffix, below.first, below.context, starts, context):
                return None
        levels.append(Level(first, suffix, context))
    return tuple(levels)


def _add_missing(words: Words, tables: list[tuple[_Table, _Source]]) -> None:
    """Add to each table the suffixes and contexts of the one above, from the longest down."""
    for k in range(len(tables) - 1, 1, -1):
        table = tables[k][0]
        tables[k - 1] = merge_tables(*tables[k - 1], distinct(table, 1))
        contexts = np.ascontiguousarray(table[:, :-1])
        contexts = contexts[suffix_order(contexts, len(words) - 1)]
        contexts = distinct(np.hstack([contexts, contexts[:, -1:]]), 0)
        tables[k - 1] = merge_tables(*tables[k - 1], contexts)
