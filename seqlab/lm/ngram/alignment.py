"""Several models over one set of n-grams, and the back-off weights that make a model sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.kernels.interpolation import add_children, balance, match_rows
from seqlab.lm.ngram.kernels.link import child_starts
from seqlab.lm.ngram.ngrams import BackoffTable, Level, NGrams, unigram_level
from seqlab.lm.ngram.scratch import Scratch, released
from seqlab.lm.ngram.words import BEGIN, SPECIAL, UNKNOWN, Words

__all__ = ["Aligned", "align", "backoff_weights", "child_masses", "join_ngrams", "join_words"]


def join_words(vocabularies: Sequence[Words]) -> tuple[Words, list[NDArray[np.int32]]]:
    """The words of all vocabularies, and for each the number there of each of its words.

    The numbers of the first vocabulary stay what they were.

    Example:
        >>> words, numbers = join_words([Words(["a", "b"]), Words(["c", "a"])])
        >>> list(words), numbers[1].tolist()
        (['<unk>', '<s>', '</s>', 'a', 'b', 'c'], [0, 1, 2, 5, 3])
    """
    joined = Words()
    special = np.arange(len(SPECIAL), dtype=np.int32)
    numbers = []
    for words in vocabularies:
        text = " ".join(list(words)[len(SPECIAL) :])
        numbers.append(np.concatenate([special, joined.numbers(text, learn=True)]))
    return joined, numbers


def join_ngrams(models: Sequence[NGrams]) -> NGrams:
    """All n-grams of several models, over the words of all.

    Example:
        >>> one = NGrams(Words(["a"]), (unigram_level(Words(["a"])),))
        >>> two = NGrams(Words(["b"]), (unigram_level(Words(["b"])),))
        >>> join_ngrams([one, two]).sizes
        (5,)
    """
    words, rows = join_words([ngrams.words for ngrams in models])
    word_of = rows
    levels = [unigram_level(words)]
    for k in range(1, max(ngrams.order for ngrams in models)):
        keys, contexts = [], []
        for ngrams, below, numbers in zip(models, rows, word_of, strict=True):
            level = ngrams.levels[k] if k < ngrams.order else _EMPTY
            keys.append(below[level.suffix].astype(np.int64) << 32 | numbers[level.first])
            contexts.append(below[level.context])
        joined, source, places = np.unique(
            np.concatenate(keys), return_index=True, return_inverse=True
        )
        rows = np.split(places.astype(np.int32), np.cumsum([len(part) for part in keys])[:-1])
        levels.append(
            Level(
                (joined & 0xFFFFFFFF).astype(np.int32),
                (joined >> 32).astype(np.int32),
                np.concatenate(contexts)[source],
            )
        )
    return NGrams(words, tuple(levels))


_EMPTY = Level(*(np.zeros(0, np.int32) for _ in range(3)))


@dataclass(frozen=True)
class Aligned:
    """What a model says of n-grams that need not be its own.

    Args:
        log_prob: for each order ln p(w|h) of each n-gram h w (N,), float32, backed off where the
            model has no such n-gram.
        log_backoff: for each order but the highest what the model's probabilities of the words
            that it does not list after a context are multiplied with, logarithms (N,), float32.
        word_of: the model's number of each word (V,); ``UNKNOWN`` where it has none.
        share: ln of the part of the unknown word's probability that each word gets (V,),
            float32; 0 for the words that the model knows.
    """

    log_prob: tuple[NDArray[np.float32], ...]
    log_backoff: tuple[NDArray[np.float32], ...]
    word_of: NDArray[np.int32]
    share: NDArray[np.float32]


def align(ngrams: NGrams, model: BackoffTable, divide: bool = True) -> Aligned:
    """Probabilities that ``model`` gives to n-grams of any vocabulary.

    They sum to one over the larger vocabulary, too. In contexts a word that the model lacks
    counts as ``<unk>``.

    Args:
        ngrams: what is asked for.
        model: what answers; ``unseen_backoff`` is left out.
        divide: what becomes of the words that the model lacks; see ``shared_unknown``.
    """
    word_of, share = shared_unknown(ngrams.words, model.ngrams.words, divide)
    rows: NDArray[np.int32] = word_of
    log_prob = [model.log_prob[0][word_of] + share]
    log_prob[0][BEGIN] = -np.inf
    log_backoff: list[NDArray[np.float32]] = []
    for k in range(1, ngrams.order):
        level = ngrams.levels[k]
        known = rows >= 0
        weights = np.zeros(len(rows), np.float32)
        if k < model.order:
            weights[known] = model.log_backoff[k - 1][rows[known]]
        log_backoff.append(weights)
        values = log_prob[-1][level.suffix] + weights[level.context]
        rows = _rows_of(level, rows, word_of, model.ngrams, k)
        found = rows >= 0
        if found.any():
            last = ngrams.last_words(k + 1)[found]
            values[found] = model.log_prob[k][rows[found]] + share[last]
        log_prob.append(values)
    return Aligned(tuple(log_prob), tuple(log_backoff), word_of, share)


def shared_unknown(
    words: Words, known: Words, divide: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Number in ``known`` of each of ``words``, and the log share of ``<unk>`` that it gets.

    Args:
        words: all words.
        known: those of one model.
        divide: True divides the probability of the model's ``<unk>`` equally among ``<unk>`` and
            the words it lacks. False leaves it whole to ``<unk>``, and these words get none.
    """
    if words == known:
        return np.arange(len(words), dtype=np.int32), np.zeros(len(words), np.float32)
    text = " ".join(list(words)[len(SPECIAL) :])
    special = np.arange(len(SPECIAL), dtype=np.int32)
    word_of = np.concatenate([special, known.numbers(text)])
    lacking = word_of == UNKNOWN
    part = -np.log(np.count_nonzero(lacking)) if divide else -np.inf
    share = np.where(lacking, part, 0.0).astype(np.float32)
    if not divide:
        share[UNKNOWN] = 0.0
    return word_of, share


def _rows_of(
    level: Level,
    below: NDArray[np.int32],
    word_of: NDArray[np.int32],
    ngrams: NGrams,
    k: int,
) -> NDArray[np.int32]:
    """Row of each n-gram of ``level`` among the ``ngrams`` of the same order, or -1."""
    rows = np.full(len(level), -1, np.int32)
    if k < ngrams.order:
        theirs = ngrams.levels[k]
        starts = child_starts(theirs.suffix, ngrams.sizes[k - 1])
        match_rows(level.first, level.suffix, below, word_of, starts, theirs.first, rows)
    return rows


def child_masses(
    level: Level,
    contexts: int,
    log_prob: NDArray[np.float32],
    lower: NDArray[np.float32],
    scratch: Scratch | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    """For each context h the sums of p(w|h) and p(w|h') over its n-grams h w, and their number.

    Args:
        level: the n-grams.
        contexts: how many contexts there are, C.
        log_prob: ln p(w|h) of the n-grams.
        lower: ln p of the n-grams one order lower.
        scratch: where the result goes; memory unless told otherwise.

    Returns:
        Three arrays (C,).
    """
    scratch = scratch or Scratch()
    high, low = scratch.zeros(contexts, np.float64), scratch.zeros(contexts, np.float64)
    counts, context, suffix = scratch.zeros(contexts, np.int32), level.context, level.suffix
    for part in released(len(level), context, suffix, log_prob, lower, high, low, counts):
        add_children(context[part], suffix[part], log_prob[part], lower, high, low, counts)
    return high, low, counts


def backoff_weights(
    level: Level,
    log_prob: NDArray[np.float32],
    lower: NDArray[np.float32],
    words: int,
    fallback: NDArray[np.float32],
    scratch: Scratch | None = None,
) -> NDArray[np.float32]:
    """Log back-off weights with which the probabilities after each context sum to one.

    alpha(h) = (1 - sum p(w|h)) / (1 - sum p(w|h')), over the n-grams h w of the model; h' is h
    without its first word (Katz 1987, eq. 16).

    Args:
        level: the n-grams h w.
        log_prob: ln p(w|h) of each.
        lower: ln p of the n-grams one order lower.
        words: size of the vocabulary.
        fallback: log weights for contexts that leave less than 1e-6, which float32
            logarithms cannot tell from nothing (C,).
        scratch: where large arrays go; memory unless told otherwise.

    Returns:
        Log weights (C,); 0 for contexts of no n-gram or of every word.
    """
    scratch = scratch or Scratch()
    out: NDArray[np.float32] = scratch.empty(len(fallback), np.float32)
    masses = child_masses(level, len(fallback), log_prob, lower, scratch)
    for part in released(len(out), *masses, fallback, out):
        high, low, counts = (array[part] for array in masses)
        balance(high, low, counts, words - 1, fallback[part], out[part])
    return out
