"""Scores of words, sentences and whole texts under an n-gram model."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.errors import DataError
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.kernels.query import NOTHING, score_stream, step_batch, sum_sentences
from seqlab.lm.ngram.kernels.single import advance_for, handle_of
from seqlab.lm.ngram.words import BEGIN, GAP, UNKNOWN

__all__ = ["Scorer", "SentenceScores", "State"]

State = tuple[int, ...]
_CHUNK = 1 << 20  # bytes of text that are scored together
_REFUSALS = (IndexError, OverflowError, SystemError, TypeError, ValueError)  # of compiled code
_SPLIT = re.compile(rb"[\0-\x20]+").split


class SentenceScores(NamedTuple):
    """Scores of the sentences of a text, one entry each.

    Args:
        log_prob: ln p of the sentence, its end included, float64.
        known_log_prob: the part of it that falls on known words, float64.
        tokens: words, the end of the sentence counted, int64.
        unknown: how many of them the model does not know, int64.
    """

    log_prob: NDArray[np.float64]
    known_log_prob: NDArray[np.float64]
    tokens: NDArray[np.int64]
    unknown: NDArray[np.int64]


class Scorer:
    r"""Asks a model for log-probabilities: of streams of words, of whole texts, of one word.

    All ways give the same bits. ln p of ``<s>`` counts 0: it is given.

    Args:
        index: the model.

    Example:
        >>> from seqlab.lm.ngram.ngrams import BackoffTable, NGrams, unigram_level
        >>> from seqlab.lm.ngram.words import Words
        >>> words = Words(["a"])
        >>> log_prob = np.array([-3, -np.inf, -1, -0.5], np.float32)
        >>> table = BackoffTable(NGrams(words, (unigram_level(words),)), (log_prob,), ())
        >>> scorer = Scorer(QueryIndex.build(table))
        >>> scorer.numbers(words.numbers("a b", marks=True))[0].tolist()
        [0.0, -0.5, -3.0, -1.0]
        >>> scorer.text(b"a a\nb\n").log_prob.tolist()
        [-2.0, -4.0]
        >>> scorer.advance(scorer.initial_state(), words.find("a"))
        (-0.5, ())
    """

    def __init__(self, index: QueryIndex) -> None:
        self.index = index
        self._handle = handle_of(index.tables)  # addresses; the arrays live as long as the index
        self._address = int(self._handle.ctypes.data)
        self._size = index.order - 1

    def __reduce__(self) -> tuple[type[Scorer], tuple[QueryIndex]]:
        return Scorer, (self.index,)  # addresses mean nothing elsewhere

    def numbers(self, numbers: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Ln p of each word of a stream after the words before it.

        Args:
            numbers: word numbers (N,). BEGIN starts a sentence; words after GAP know nothing of
                those before it.

        Returns:
            ln p (N,), and the length of the n-gram that was found for it (N,). Both are 0 for
            BEGIN and GAP.

        Raises:
            DataError: a number is neither a word of the model nor GAP.
        """
        numbers = np.ascontiguousarray(numbers, np.int32)
        size = len(self.index.words)
        if len(numbers) and not (numbers.min() >= GAP and numbers.max() < size):
            bad = numbers[(numbers < GAP) | (numbers >= size)][0]
            raise DataError(
                f"word number {bad} must be within 0 and {size - 1}, or {GAP} for a gap; take "
                "numbers from the model's own words"
            )
        return self._scored(numbers)

    def _scored(self, numbers: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        log_prob = np.empty(len(numbers), np.float32)
        matched = np.empty(len(numbers), np.uint8)
        score_stream(self.index.tables, numbers, log_prob, matched)
        return log_prob, matched

    def text(
        self, text: bytes | NDArray[np.uint8], threads: int = 1, chunk: int = _CHUNK
    ) -> SentenceScores:
        """Scores of all sentences of a text, one sentence a line; an empty line is one too.

        Args:
            text: UTF-8 bytes, also those of a memory-mapped file. Read in pieces, so memory
                grows only with the number of sentences, by 32 bytes each.
            threads: how many pieces are scored at a time. They change nothing but the time.
            chunk: bytes of a piece, about.

        Raises:
            DataError: the text holds ``<s>`` or ``</s>``; the message names the line.
        """
        check_at_least("threads", threads, 1)
        check_at_least("chunk", chunk, 1)
        data = np.frombuffer(text, np.uint8)
        pieces = list(self._in_threads(data, threads, chunk))
        if not pieces:
            nothing, none = np.zeros(0), np.zeros(0, np.int64)
            return SentenceScores(nothing, nothing, none, none)
        return SentenceScores(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))

    def _in_threads(
        self, data: NDArray[np.uint8], threads: int, chunk: int
    ) -> Iterator[SentenceScores]:
        if threads == 1:
            yield from (self._sentences(data, *piece) for piece in _whole_lines(data, chunk))
            return
        waiting: deque[Future[SentenceScores]] = deque()
        with ThreadPoolExecutor(min(threads, os.cpu_count() or 1)) as pool:
            for begin, end in _whole_lines(data, chunk):
                waiting.append(pool.submit(self._sentences, data, begin, end))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _sentences(self, data: NDArray[np.uint8], begin: int, end: int) -> SentenceScores:
        """Scores of the lines data[begin:end]."""
        try:
            numbers = self.index.words.numbers(data[begin:end], marks=True)
        except DataError:  # it counts lines from the piece's beginning
            before = sum(
                int(np.count_nonzero(data[i : min(i + _CHUNK, begin)] == ord("\n")))
                for i in range(0, begin, _CHUNK)
            )
            raise DataError(
                f"line {before + _first_mark(data[begin:end])} holds the sentence mark <s> or "
                "</s>, which is added to each line; remove it from the text"
            ) from None
        log_prob, _ = self._scored(numbers)
        count = int(np.count_nonzero(numbers == BEGIN))
        scores = SentenceScores(
            np.empty(count), np.empty(count), np.empty(count, np.int64), np.empty(count, np.int64)
        )
        sum_sentences(numbers, log_prob, *scores)
        return scores

    def initial_state(self) -> State:
        """The state at the start of a sentence, after ``<s>``."""
        return self.advance(self.empty_state(), BEGIN)[1]

    def empty_state(self) -> State:
        """The state without any history."""
        return (NOTHING,) * self._size

    def advance(self, state: State, word: int) -> tuple[float, State]:
        """Ln p of a word after a state, and the state after it.

        States are tuples of integers; equal ones score all that follows equally. They fit only
        the model that made them, and a file of it.

        Args:
            state: of this model.
            word: number of a word; UNKNOWN for unknown ones.
        """
        try:
            return self._advance(self._address, word, state)
        except _REFUSALS:
            self._check_state(state)
            raise

    def by_word(self, number_of: Mapping[str, int]) -> Callable[[State, str], tuple[float, State]]:
        """``advance`` for words by name, with as little Python between as there can be.

        Args:
            number_of: the number of each word; others are unknown.
        """
        find, advance, address = number_of.get, self._advance, self._address

        def advance_by_word(state: State, word: str) -> tuple[float, State]:
            try:
                return advance(address, find(word, UNKNOWN), state)
            except _REFUSALS:
                self._check_state(state)
                raise

        return advance_by_word

    @cached_property
    def _advance(self) -> Callable[[int, int, State], tuple[float, State]]:
        return advance_for(self.index.order)  # type: ignore[no-any-return]

    def _check_state(self, state: State) -> None:
        whole = isinstance(state, tuple) and all(isinstance(n, (int, np.integer)) for n in state)
        if not whole or len(state) != self._size:
            raise DataError(
                f"state {state!r} must be a tuple of {self._size} integers; take it from "
                "initial_state, empty_state or advance of this model"
            ) from None

    def advance_batch(
        self, states: NDArray[np.int64], words: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """``advance`` for many states and words at once.

        Within compiled loops call ``kernels.query.step`` with ``index.tables``.

        Args:
            states: one state a row (N, order - 1).
            words: word numbers (N,).

        Returns:
            ln p (N,) and the new states (N, order - 1).

        Raises:
            DataError: the shapes do not fit.
        """
        states = np.ascontiguousarray(states, np.int64)
        words = np.ascontiguousarray(words, np.int32)
        if states.shape != (*words.shape[:1], self._size) or words.ndim != 1:
            raise DataError(
                f"states {states.shape} and words {words.shape} must be (N, {self._size}) and "
                "(N,); give one state for each word"
            )
        log_prob, new_states = np.empty(len(words), np.float32), np.empty_like(states)
        step_batch(self.index.tables, states, words, log_prob, new_states)
        return log_prob, new_states


def _first_mark(piece: NDArray[np.uint8]) -> int:
    """Number of the first line, from 1 on, in which a sentence mark stands as a word."""
    lines = piece.tobytes().split(b"\n")
    return next(i for i, line in enumerate(lines, 1) if {b"<s>", b"</s>"} & {*_SPLIT(line)})


def _whole_lines(data: NDArray[np.uint8], size: int) -> Iterator[tuple[int, int]]:
    """Where pieces of about ``size`` bytes that end with a line begin and end."""
    begin = 0
    while begin < len(data):
        end = begin + size
        while end < len(data):
            window = data[end - 1 : end - 1 + (1 << 16)] == ord("\n")
            if window.any():
                end += int(np.argmax(window))
                break
            end += len(window)
        yield begin, min(end, len(data))
        begin = end
