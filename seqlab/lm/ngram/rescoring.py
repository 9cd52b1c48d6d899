"""Recognition hypotheses in a new order, by their scores and a language model's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqlab.errors import DataError

__all__ = ["Rescored", "rescore", "rescore_batch"]


@dataclass(frozen=True)
class Rescored:
    """A hypothesis with its new score.

    Args:
        hypothesis: what was given: a pair of text or tokens and score, or an object.
        score: acoustic score + weight * language-model score + word bonus * words.
        acoustic: the score it came with.
        language: natural log-probability by the language model.
        words: how many words it has.
        rank: its place before, from 0.
    """

    hypothesis: Any
    score: float
    acoustic: float
    language: float
    words: int
    rank: int


def rescore(
    nbest: Sequence[Any], model: Any, weight: float = 0.5, word_bonus: float = 0.0
) -> list[Rescored]:
    """Put the hypotheses of one utterance in the order of their scores with a language model.

    score = acoustic + weight ln p(words) + word_bonus * number of words, as speech recognisers
    combine them (e.g. Graves and Jaitly 2014; the bonus makes up for the model's preference for
    short sentences). Tune both numbers on development data.

    Args:
        nbest: pairs of a text (or its tokens) and its score, natural log-probabilities as a rule,
            or objects with ``text`` and ``score``.
        model: an object with ``score_batch(sentences)``, any language model.
        weight: of the language model, finite.
        word_bonus: added for each word, finite.

    Returns:
        The best first; of equals the one that stood before the other.

    Raises:
        DataError: a hypothesis has no text or score, a score is NaN, or a weight is not finite.

    Example:
        >>> class Short:
        ...     def score_batch(self, sentences):
        ...         return [-float(len(sentence)) for sentence in sentences]
        >>> nbest = [("recognise speech", -3.0), ("wreck a nice beach", -2.5)]
        >>> [row.hypothesis[0] for row in rescore(nbest, Short(), weight=1.0)]
        ['recognise speech', 'wreck a nice beach']
    """
    return rescore_batch([nbest], model, weight, word_bonus)[0]


def rescore_batch(
    nbests: Sequence[Sequence[Any]], model: Any, weight: float = 0.5, word_bonus: float = 0.0
) -> list[list[Rescored]]:
    """``rescore`` for many utterances; the language model sees all hypotheses at once."""
    for name, value in (("weight", weight), ("word_bonus", word_bonus)):
        if not math.isfinite(value):
            raise DataError(f"{name}={value!r} must be a finite number; 0 leaves it out")
    parts = [[_parts(hypothesis) for hypothesis in nbest] for nbest in nbests]
    sentences = [sentence for nbest in parts for sentence, _ in nbest]
    scores = np.asarray(model.score_batch(sentences) if sentences else [], np.float64)
    if scores.shape != (len(sentences),) or np.isnan(scores).any():
        raise DataError(
            f"the language model must give one log-probability for each of {len(sentences)} "
            f"hypotheses, none NaN; score_batch returned shape {scores.shape}"
        )
    result, begin = [], 0
    for nbest, given in zip(nbests, parts, strict=True):
        rows = []
        for rank, (hypothesis, (sentence, acoustic)) in enumerate(zip(nbest, given, strict=True)):
            language = float(scores[begin + rank])
            words = len(sentence.split()) if isinstance(sentence, str) else len(sentence)
            # nothing times -inf is nothing: a weight of 0 leaves the model out
            total = acoustic + (weight * language if weight else 0.0) + word_bonus * words
            rows.append(Rescored(hypothesis, total, acoustic, language, words, rank))
        begin += len(rows)
        result.append(sorted(rows, key=lambda row: (-row.score, row.rank)))
    return result


def _parts(hypothesis: Any) -> tuple[str | Sequence[Any], float]:
    """Text or tokens, and score."""
    if isinstance(hypothesis, tuple | list) and len(hypothesis) == 2:
        sentence, score = hypothesis
    elif hasattr(hypothesis, "text") and hasattr(hypothesis, "score"):
        sentence, score = hypothesis.text, hypothesis.score
    else:
        raise DataError(
            f"hypothesis {str(hypothesis)[:60]!r} must be a pair of text and score, or have the "
            "attributes text and score"
        )
    if sentence is None:
        raise DataError("a hypothesis has no text; decode with a vocabulary, or give its tokens")
    score = float(score)
    if math.isnan(score) or score == math.inf:
        raise DataError(f"score {score} of a hypothesis must be a number; -inf is allowed")
    return sentence, score
