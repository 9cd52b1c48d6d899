"""Error rates with their alignment, accuracy, confusion, detection curves, confidence intervals.

Texts are compared as they are: words are what white space separates, and normalising case or
punctuation is the caller's decision (``seqlab.text.normalize``). Corpus figures are ratios of
sums, so a long utterance counts for more than a short one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.errors import SeqlabError

Operation = Literal["hit", "substitution", "deletion", "insertion"]
_SIGNS: dict[Operation, str] = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}


@dataclass(frozen=True)
class Alignment:
    """How a hypothesis differs from its reference, step by step, at the least number of errors.

    Attributes:
        steps: (operation, reference token, hypothesis token); a token that is not there is "".

    Example:
        >>> alignment = align_words("a big cat", "a bad big hat")
        >>> alignment.errors, alignment.reference_length
        (2, 3)
        >>> print(*alignment.rows(), sep="\\n")
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


def bootstrap_interval(
    errors: ArrayLike,
    weights: ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of sum(errors) / sum(weights) over utterances or speakers.

    Utterances of one speaker are alike, so an interval for new speakers needs ``groups``. For the
    difference of two systems pass the difference of their errors.

    Args:
        errors: (B,) errors of each utterance, or 0 and 1 for right and wrong.
        weights: (B,) reference tokens of each, 0 or more; None counts utterances.
        groups: speaker (or session) of each utterance, drawn as a whole; None draws utterances.
        confidence: above 0 and below 1.
        resamples: 100 or more.
        seed: the same seed gives the same interval.

    Returns:
        Lower and upper bound, by percentiles.

    Raises:
        SeqlabError: different lengths, fewer than two units to draw from, or no weight.

    Source: Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation", section 2; the drawing of whole speakers is our addition.
    """
    top = np.asarray(errors, dtype=np.float64)
    bottom = np.ones_like(top) if weights is None else np.asarray(weights, dtype=np.float64)
    _check_bootstrap(top, bottom, confidence, resamples)
    if groups is not None:
        if len(groups) != len(top):
            raise SeqlabError(f"{len(groups)} groups and {len(top)} errors must be as many")
        _, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        top, bottom = np.bincount(member, top), np.bincount(member, bottom)
    if len(top) < 2:
        raise SeqlabError(f"{len(top)} unit(s) to draw from, must be 2 or more; use other groups")
    rng = np.random.default_rng(seed)
    rates: list[NDArray[np.float64]] = []
    for start in range(0, resamples, 100):  # blocks bound the memory
        size = min(100, resamples - start)
        drawn = rng.multinomial(len(top), np.full(len(top), 1 / len(top)), size=size)
        total = drawn @ bottom
        rates.append((drawn @ top)[total > 0] / total[total > 0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(rates), [tail, 1 - tail])
    return float(low), float(high)


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a share of independent trials, such as an accuracy near 100 %.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> [round(bound, 4) for bound in wilson_interval(10, 10)]
    [0.7225, 1.0]
    """
    if not 0 <= right <= total or total == 0:
        raise SeqlabError(f"right={right} of total={total} must be 0 <= right <= total, total > 0")
    _check_confidence(confidence)
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share = right / total
    center = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def _check_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    for name, texts in (("references", references), ("hypotheses", hypotheses)):
        if isinstance(texts, str):
            raise SeqlabError(f"{name} is one text, must be a list of texts; write [{name}]")
    if len(references) != len(hypotheses) or not references:
        raise SeqlabError(
            f"{len(references)} references and {len(hypotheses)} hypotheses must be as many, "
            "and at least 1; pass both for the same utterances"
        )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise SeqlabError(f"confidence={confidence} must be above 0 and below 1, such as 0.95")


def _check_bootstrap(
    errors: NDArray[np.float64], weights: NDArray[np.float64], confidence: float, resamples: int
) -> None:
    _check_confidence(confidence)
    if resamples < 100:
        raise SeqlabError(f"resamples={resamples} must be 100 or more; 2000 is usual")
    if errors.ndim != 1 or errors.shape != weights.shape:
        raise SeqlabError(
            f"errors {errors.shape} and weights {weights.shape} must be one-dimensional and alike"
        )
    if not (np.isfinite(errors).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise SeqlabError("errors and weights must be finite, and weights not negative")
    if not weights.sum() > 0:
        raise SeqlabError("the weights sum to 0, must be more; are all references empty?")
