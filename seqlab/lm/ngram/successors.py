"""The words that follow each context: an n-gram model arranged for walking forwards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.kernels.sampling import (
    accumulate,
    count_children,
    fill_distribution,
    follow,
    place_children,
    score_stream,
    trace,
)
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import BEGIN, GAP, Words

__all__ = ["Successors", "check_sums_to_one"]


def check_sums_to_one(table: BackoffTable | Successors, purpose: str) -> None:
    """Raise DataError for a model whose scores are no probabilities (stupid back-off)."""
    if table.unseen_backoff != 0.0:
        raise DataError(
            f"{purpose} needs probabilities that sum to one, and those of stupid back-off do not "
            f"(unseen_backoff={table.unseen_backoff:.4g} must be 0); estimate the model with "
            "another smoothing, such as modified_kneser_ney"
        )


@dataclass(frozen=True)
class Successors:
    """A model's n-grams listed under their contexts, words rising.

    Node 0 is the empty context, node 1 + w the word w, then come the bigrams, and so on. A node
    is all the state that a model needs: the longest context that it knows.

    Args:
        words: the vocabulary.
        order: length of the longest n-grams.
        first_nodes: first node of the n-grams of each order, and one past the last (order + 2,).
        starts: first successor of each context (C + 1,), int64.
        last: word of each successor (N,), int32.
        nodes: node of each successor (N,), int32.
        log_prob: natural log-probability of each successor (N,), float32.
        backoff: natural log back-off weight of each context (C,), float32.
        suffix: node of each n-gram without its first word, int32.
        unseen_backoff: log weight of a context that the model does not know.

    Example:
        >>> from seqlab.lm.ngram.ngrams import NGrams, unigram_level
        >>> words = Words(["a"])
        >>> log_prob = np.array([-2.3025851, -np.inf, -0.9162907, -0.6931472], np.float32)
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> log_p, state = Successors.of(table).advance(0, words.find("a"))
        >>> round(float(np.exp(log_p)), 4), state
        (0.5, 0)
    """

    words: Words
    order: int
    first_nodes: NDArray[np.int64]
    starts: NDArray[np.int64]
    last: NDArray[np.int32]
    nodes: NDArray[np.int32]
    log_prob: NDArray[np.float32]
    backoff: NDArray[np.float32]
    suffix: NDArray[np.int32]
    unseen_backoff: float = 0.0

    @classmethod
    def of(cls, model: BackoffTable | Successors) -> Successors:
        """Successors of a model, in one pass over each order; what is one already is returned.

        Raises:
            DataError: it has 2 ** 31 n-grams or more.
        """
        if isinstance(model, Successors):
            return model
        ngrams = model.ngrams
        first = np.concatenate([[0, 1], 1 + np.cumsum(ngrams.sizes)]).astype(np.int64)
        if first[-1] >= 2**31:
            raise DataError(
                f"a model of {first[-1] - 1} n-grams must have fewer than 2 ** 31 here; prune it"
            )
        backoffs = [np.zeros(1, np.float32), *model.log_backoff]
        suffix = [np.zeros(1 + ngrams.sizes[0], np.int32)]
        for below, level in zip(first[1:], ngrams.levels[1:], strict=False):
            suffix.append(level.suffix + np.int32(below))
        return cls(
            ngrams.words,
            model.order,
            first,
            *_listed(model, first),
            np.concatenate(backoffs),
            np.concatenate(suffix),
            model.unseen_backoff,
        )

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What most loops take: starts, words, nodes, log_prob, backoff, suffix."""
        return self.starts, self.last, self.nodes, self.log_prob, self.backoff, self.suffix

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """Running sum of the probabilities of the successors of each context (N,)."""
        out = np.empty(len(self.last))
        accumulate(self.starts, self.log_prob, len(self.backoff), out)
        return out

    @cached_property
    def ranked(self) -> NDArray[np.int32]:
        """All words but ``<s>`` by falling unigram probability (V - 1,)."""
        order = np.argsort(-self.log_prob[: len(self.words)], kind="stable").astype(np.int32)
        return np.asarray(order[order != BEGIN])

    @property
    def begin(self) -> int:
        """The state at the beginning of a sentence."""
        return 1 + BEGIN if self.order > 1 else 0

    def advance(self, state: int, word: int) -> tuple[float, int]:
        """Natural log-probability of a word number after a state, and the state that follows.

        A state knows no words that the model has forgotten, so ``unseen_backoff`` is left out.
        """
        if not 0 <= word < len(self.words):
            raise DataError(f"word number {word} must be within 0 and {len(self.words) - 1}")
        log_prob, after, _ = follow(state, word, *self.arrays)
        return float(log_prob), int(after)

    def state_of(self, numbers: NDArray[np.int32] | list[int], bos: bool = True) -> int:
        """The state after these word numbers, at the beginning of a sentence if ``bos``."""
        state = self.begin if bos else 0
        for number in numbers:
            state = self.advance(state, int(number))[1]
        return state

    def distribution(self, state: int) -> NDArray[np.float64]:
        """Log-probability of every word after a state (V,); that of ``<s>`` is -inf."""
        out = np.empty(len(self.words))
        fill_distribution(
            state, self.starts, self.last, self.log_prob, self.backoff, self.suffix, out
        )
        return out

    def depth(self, state: int) -> int:
        """How many words a state remembers."""
        return int(np.searchsorted(self.first_nodes, state, side="right")) - 1

    def score(self, stream: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Log-probability and matched order of each number of a stream.

        Args:
            stream: word numbers (T,); ``<s>`` begins a sentence and costs nothing, and so does a
                gap (-1).

        Returns:
            Natural log-probabilities (T,) and lengths of the n-grams they stand in (T,); both 0
            where nothing was predicted.

        Raises:
            DataError: a number is no word.
        """
        stream = np.ascontiguousarray(stream, np.int32)
        if stream.size and not (stream.min() >= GAP and stream.max() < len(self.words)):
            bad = stream.min() if stream.min() < GAP else stream.max()
            raise DataError(
                f"word number {bad} must be within 0 and {len(self.words) - 1}, or {GAP} for a gap"
            )
        out, orders = np.empty(len(stream)), np.empty(len(stream), np.int8)
        score_stream(stream, self.unseen_backoff, self.first_nodes, out, orders, *self.arrays)
        return out, orders

    def contexts(self, stream: NDArray[np.int32]) -> NDArray[np.int32]:
        """The state before each number of a stream (T,); ``<s>`` and gaps (-1) begin anew."""
        out = np.empty(len(stream), np.int32)
        trace(np.ascontiguousarray(stream, np.int32), self.begin, out, *self.arrays)
        return out


def _listed(
    model: BackoffTable, first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Starts, words, nodes and log-probabilities of the successors of all contexts."""
    ngrams, total = model.ngrams, int(first[-1]) - 1
    contexts = int(first[-2])
    counts = np.zeros(contexts + 1, np.int64)
    counts[1] = len(ngrams.words)
    for k in range(1, ngrams.order):
        count_children(ngrams.levels[k].context, counts[1 + first[k] :])
    starts = np.cumsum(counts)
    last, nodes = np.empty(total, np.int32), np.empty(total, np.int32)
    log_prob = np.empty(total, np.float32)
    unigrams = len(ngrams.words)
    last[:unigrams] = np.arange(unigrams)
    nodes[:unigrams] = np.arange(1, unigrams + 1)
    log_prob[:unigrams] = model.log_prob[0]
    for k in range(1, ngrams.order):  # rows in suffix order: last words rise under each context
        place_children(
            ngrams.levels[k].context, ngrams.last_words(k + 1), model.log_prob[k], first[k + 1],
            starts[first[k] : first[k + 1]].copy(), last, nodes, log_prob,
        )  # fmt: skip
    return starts, last, nodes, log_prob
