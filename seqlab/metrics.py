"""Error rates with their alignment, accuracy, confusion, detection curves, confidence intervals.

Texts are compared as they are: words are what white space separates, and normalising case or
punctuation is the caller's decision (``seqlab.text.normalize``). Corpus figures are ratios of
sums, so a long utterance counts for more than a short one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqlab.detection import DetectionCurve, detection_curve
from seqlab.errors import SeqlabError
from seqlab.intervals import bootstrap_interval, wilson_interval

__all__ = [
    "Alignment",
    "DetectionCurve",
    "ErrorRate",
    "accuracy",
    "align",
    "align_characters",
    "align_words",
    "bootstrap_interval",
    "confusion_matrix",
    "detection_curve",
    "error_rate",
    "wilson_interval",
]

Operation = Literal["hit", "substitution", "deletion", "insertion"]
_SIGNS: dict[Operation, str] = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}


@dataclass(frozen=True)
class Alignment:
    r"""How a hypothesis differs from its reference, step by step, at the least number of errors.

    Attributes:
        steps: (operation, reference token, hypothesis token); a token that is not there is "".

    Example:
        >>> alignment = align_words("a big cat", "a bad big hat")
        >>> alignment.errors, alignment.reference_length
        (2, 3)
        >>> print(*alignment.rows(), sep="\n")
        a *** big cat
        a bad big hat
          I       S
    """

    steps: tuple[tuple[Operation, str, str], ...]

    def _count(self, operation: Operation) -> int:
        return sum(step[0] == operation for step in self.steps)

    @cached_property
    def hits(self) -> int:
        """Tokens recognised."""
        return self._count("hit")

    @cached_property
    def substitutions(self) -> int:
        """Tokens mistaken for another."""
        return self._count("substitution")

    @cached_property
    def deletions(self) -> int:
        """Reference tokens with nothing in the hypothesis."""
        return self._count("deletion")

    @cached_property
    def insertions(self) -> int:
        """Hypothesis tokens with nothing in the reference."""
        return self._count("insertion")

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions: the edit distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Tokens of the reference."""
        return self.hits + self.substitutions + self.deletions

    def rows(self) -> tuple[str, str, str]:
        """Reference, hypothesis and signs (S, D, I) in columns, for a fixed-width font."""
        columns = []
        for operation, reference, hypothesis in self.steps:
            width = max(len(reference), len(hypothesis), 1)
            cells = (reference or "*" * width, hypothesis or "*" * width, _SIGNS[operation])
            columns.append([cell.ljust(width) for cell in cells])
        top, middle, bottom = (" ".join(c[i] for c in columns).rstrip() for i in range(3))
        return top, middle, bottom


@dataclass(frozen=True)
class ErrorRate:
    """Errors of a corpus. With empty references and insertions the rate is infinite."""

    alignments: tuple[Alignment, ...]

    @cached_property
    def hits(self) -> int:
        """Tokens recognised."""
        return sum(a.hits for a in self.alignments)

    @cached_property
    def substitutions(self) -> int:
        """Tokens mistaken for another."""
        return sum(a.substitutions for a in self.alignments)

    @cached_property
    def deletions(self) -> int:
        """Reference tokens missed."""
        return sum(a.deletions for a in self.alignments)

    @cached_property
    def insertions(self) -> int:
        """Tokens that nobody said."""
        return sum(a.insertions for a in self.alignments)

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Tokens of all references."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """Errors a reference token, 0 or more (above 1 when much is inserted).

        Where all references are empty: 0.0 if nothing was inserted, else infinity.
        """
        if self.reference_length:
            return self.errors / self.reference_length
        return math.inf if self.errors else 0.0

    def interval(
        self, groups: Sequence[str] | None = None, confidence: float = 0.95, seed: int = 0
    ) -> tuple[float, float]:
        """Bootstrap interval of the rate; ``groups`` such as the speaker of each utterance."""
        return bootstrap_interval(
            [a.errors for a in self.alignments],
            [a.reference_length for a in self.alignments],
            groups,
            confidence=confidence,
            seed=seed,
        )


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    """Align two sequences of tokens at the least number of errors.

    Use it for units other than words and characters, such as phones.

    Source: Levenshtein 1966; computed by rapidfuzz, as jiwer does.
    """
    from rapidfuzz.distance import Levenshtein

    steps: list[tuple[Operation, str, str]] = []
    for code in Levenshtein.opcodes(reference, hypothesis):
        said = reference[code.src_start : code.src_end]
        heard = hypothesis[code.dest_start : code.dest_end]
        if code.tag == "equal":
            steps += [("hit", token, token) for token in said]
        elif code.tag == "replace":
            steps += [("substitution", r, h) for r, h in zip(said, heard, strict=True)]
        elif code.tag == "delete":
            steps += [("deletion", token, "") for token in said]
        else:
            steps += [("insertion", "", token) for token in heard]
    return Alignment(tuple(steps))


def align_words(reference: str, hypothesis: str) -> Alignment:
    """Align two texts word by word."""
    return align(reference.split(), hypothesis.split())


def align_characters(reference: str, hypothesis: str) -> Alignment:
    """Align two texts character by character; runs of white space count as one space."""
    return align(list(" ".join(reference.split())), list(" ".join(hypothesis.split())))


def error_rate(
    references: Sequence[str],
    hypotheses: Sequence[str],
    unit: Literal["word", "character"] = "word",
) -> ErrorRate:
    """Word or character error rate of a corpus, with every alignment.

    For phones write them as words. Spaces between words count as characters, as in jiwer.

    Args:
        references: what was said, one text an utterance; may be empty texts.
        hypotheses: what was recognised, in the same order.
        unit: ``word`` or ``character``.

    Returns:
        Counts, the rate, and the alignment of each utterance.

    Raises:
        SeqlabError: sequences of different length, none at all, or another unit.

    Example:
        >>> result = error_rate(["one two", "three"], ["one too", "three four"])
        >>> result.errors, result.reference_length, round(result.rate, 3)
        (2, 3, 0.667)
    """
    _check_pairs(references, hypotheses)
    aligners = {"word": align_words, "character": align_characters}
    if unit not in aligners:
        raise SeqlabError(f"unit={unit!r} must be 'word' or 'character'; write phones as words")
    pairs = zip(references, hypotheses, strict=True)
    return ErrorRate(tuple(aligners[unit](r, h) for r, h in pairs))


def accuracy(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Share of labels that are right, in [0, 1].

    >>> accuracy(["yes", "no"], ["yes", "yes"])
    0.5
    """
    _check_pairs(references, hypotheses)
    right = sum(r == h for r, h in zip(references, hypotheses, strict=True))
    return right / len(references)


def confusion_matrix(
    references: Sequence[str], hypotheses: Sequence[str], labels: Sequence[str]
) -> NDArray[np.int64]:
    """How often each label (row) was taken for each label (column): (C, C) counts.

    Raises SeqlabError for a label that ``labels`` does not hold.

    >>> confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    _check_pairs(references, hypotheses)
    index = {label: i for i, label in enumerate(labels)}
    for label in (*references, *hypotheses):
        if label not in index:
            raise SeqlabError(f"label {label!r} is not among {list(labels)}; add it to labels")
    matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
    rows, columns = ([index[label] for label in texts] for texts in (references, hypotheses))
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def _check_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    for name, texts in (("references", references), ("hypotheses", hypotheses)):
        if isinstance(texts, str):
            raise SeqlabError(f"{name} is one text, must be a list of texts; write [{name}]")
    if len(references) != len(hypotheses) or not references:
        raise SeqlabError(
            f"{len(references)} references and {len(hypotheses)} hypotheses must be as many, "
            "and at least 1; pass both for the same utterances"
        )
