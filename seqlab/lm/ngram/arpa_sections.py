"""The n-grams read from the sections of an ARPA file, and the model they make."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, ModelError
from seqlab.lm.ngram.arpa_source import ArpaText
from seqlab.lm.ngram.arpa_words import ArpaWords
from seqlab.lm.ngram.link import find_repeat, link_ngrams
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.words import BEGIN


@dataclass
class Section:
    """The k-grams of one order, as they stand in the file."""

    numbers: NDArray[np.int32]  # (N, k), left to right
    log_prob: NDArray[np.float32]  # (N,), natural
    log_backoff: NDArray[np.float32]  # (N,), natural
    parts: list[tuple[int, int, NDArray[np.int32] | None]]  # first row, its line, lines from there

    def line(self, row: int) -> int:
        """Line of a k-gram in the file."""
        first, line, offsets = next(part for part in reversed(self.parts) if part[0] <= row)
        return line + (row - first if offsets is None else int(offsets[row - first]))


def joined(
    k: int,
    blocks: list[tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]],
    parts: list[tuple[int, int, NDArray[np.int32] | None]],
) -> Section:
    """The section of k-grams that were read block by block."""
    empty = np.empty((0, k), np.int32), np.empty(0, np.float32), np.empty(0, np.float32)
    numbers, log_prob, log_backoff = zip(*(blocks or [empty]), strict=True)
    return Section(
        np.concatenate(numbers), np.concatenate(log_prob), np.concatenate(log_backoff), parts
    )


def linked_table(text: ArpaText, words: ArpaWords, sections: list[Section]) -> BackoffTable:
    """The model of all n-grams of a file, those missing between them added."""
    _clamp(text, sections)
    grams = [section.numbers for section in sections]
    try:
        ngrams, sources = link_ngrams(words.finish(grams), grams)
    except DataError as error:
        raise _repeated(text, sections, error) from error
    log_prob: list[NDArray[np.float32]] = []
    log_backoff: list[NDArray[np.float32]] = []
    for section, source, level in zip(sections, sources, ngrams.levels, strict=True):
        probs = _picked(section.log_prob, source, -np.inf)
        added = np.flatnonzero(source < 0)
        if log_prob and len(added):  # they never say anything new
            below = log_backoff[-1][level.context[added]]
            probs[added] = np.minimum(below + log_prob[-1][level.suffix[added]], 0)
        log_prob.append(probs)
        log_backoff.append(_picked(section.log_backoff, source, 0))
    log_prob[0][BEGIN] = -np.inf
    return BackoffTable(ngrams, tuple(log_prob), tuple(log_backoff[:-1]))


def _clamp(text: ArpaText, sections: list[Section]) -> None:
    """Log-probabilities above 0 become 0, with a warning."""
    above, first = 0, 0
    for section in sections:
        rows = np.flatnonzero(section.log_prob > 0)
        if len(rows):
            first = first or section.line(int(rows[0]))
            above += len(rows)
            section.log_prob[rows] = 0
    if above:
        message = text.error(
            f"{above} log-probabilities lie above 0 by rounding, the first one here; they become 0",
            first,
        )
        warnings.warn(str(message), stacklevel=4)


def _repeated(text: ArpaText, sections: list[Section], error: DataError) -> ModelError:
    """The error of an n-gram that stands twice, with its lines."""
    for section in sections:
        rows = find_repeat(section.numbers)
        if rows is not None:
            lines = section.line(rows[0]), section.line(rows[1])
            return text.error(f"{error}; line {lines[0]} has it too", lines[1])
    raise AssertionError(error)


def _picked(
    values: NDArray[np.float32], source: NDArray[np.int64], missing: float
) -> NDArray[np.float32]:
    """values[source], and ``missing`` where the source is -1."""
    if len(values) == 0:
        return np.full(len(source), missing, np.float32)
    return np.where(source < 0, np.float32(missing), values[source])
