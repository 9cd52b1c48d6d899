"""CTC by the best path: the fastest decoder, without a language model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.contracts import Hypothesis
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths


class GreedyCTCDecoder:
    """Takes the best token of every frame, merges repeats and drops blanks.

    Use it for quick evaluation and wherever no language model helps.

    Each token's time runs from its first frame to the end of its last. A token's confidence is
    the geometric mean of its probability over those frames; the utterance's confidence is the
    geometric mean of the best path over all frames, ``exp(score / frames)``, and 0 where there
    are no frames. The score is the log-probability of that one path, a lower bound of the
    text's own.

    Args:
        decode_tokens: Maps token indices, without blanks and repeats, to text.
        frame_s: Seconds from one encoded frame to the next, above 0.
        blank: Index of the blank token.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3.2.

    Example:
        >>> probs = torch.tensor([[[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]])
        >>> decoder = GreedyCTCDecoder(lambda tokens: "a" * len(tokens), frame_s=0.04)
        >>> best = decoder.decode(probs.log(), torch.tensor([4]))[0][0]
        >>> best.text, best.tokens, best.token_times
        ('aa', (1, 1), ((0.0, 0.08), (0.12, 0.16)))
    """

    def __init__(
        self, decode_tokens: Callable[[Sequence[int]], str], frame_s: float, blank: int = 0
    ) -> None:
        check_at_least("blank", blank, 0)
        if not (math.isfinite(frame_s) and frame_s > 0):
            raise SeqlabError(f"frame_s={frame_s} must be above 0; it is hop times subsampling")
        self.decode_tokens = decode_tokens
        self.frame_s = frame_s
        self.blank = blank

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """One hypothesis for each utterance of log_probs (B, T', C), lengths (B,).

        Raises:
            SeqlabError: If shapes do not fit, or a valid frame holds no finite number.
        """
        if log_probs.dim() != 3 or log_probs.shape[2] <= self.blank:
            raise SeqlabError(
                f"log_probs of shape {tuple(log_probs.shape)} must be (B, T', C) "
                f"with C above blank={self.blank}"
            )
        check_lengths(lengths, log_probs.shape[1], "log_probs")
        if len(lengths) != len(log_probs):
            raise SeqlabError(
                f"{len(lengths)} lengths for {len(log_probs)} utterances of log_probs; pass one "
                "length for each"
            )
        best, tokens = log_probs.detach().float().max(-1)
        rows = zip(best.cpu(), tokens.tolist(), lengths.tolist(), strict=True)
        return [
            [self._hypothesis(scores[:length], path[:length], index)]
            for index, (scores, path, length) in enumerate(rows)
        ]

    def _hypothesis(self, scores: Tensor, path: list[int], index: int) -> Hypothesis:
        if not bool(torch.isfinite(scores).all()):
            raise SeqlabError(
                f"log_probs of utterance {index} in the batch have no finite best token in some "
                "frame and cannot be decoded; "
                "look for NaN in its audio or in the model's weights"
            )
        totals = [0.0, *scores.double().cumsum(0).tolist()]
        tokens: list[int] = []
        times: list[tuple[float, float]] = []
        confidences: list[float] = []
        for token, start, end in _runs(path):
            if token == self.blank:
                continue
            tokens.append(token)
            times.append((start * self.frame_s, end * self.frame_s))
            confidences.append(_probability((totals[end] - totals[start]) / (end - start)))
        return Hypothesis(
            tokens=tuple(tokens),
            text=self.decode_tokens(tokens),
            score=totals[-1],
            token_times=tuple(times),
            token_confidences=tuple(confidences),
            confidence=_probability(totals[-1] / len(path)) if path else 0.0,
        )


def _runs(path: list[int]) -> list[tuple[int, int, int]]:
    """Runs of equal tokens in a path: (token, first frame, frame after the last)."""
    runs = []
    start = 0
    for token, group in itertools.groupby(path):
        end = start + sum(1 for _ in group)
        runs.append((token, start, end))
        start = end
    return runs


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))
