"""Forced alignment: when each token of a known text was said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.decoding.kernels.viterbi import token_sums
from seqlab.decoding.scores import check_scores, check_tokens
from seqlab.decoding.trellis import best_path, chain
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths, ctc_required_length
from seqlab.text.base import Tokenizer
from seqlab.text.timed import TimedWord
from seqlab.text.words import words_of_tokens


@dataclass(frozen=True)
class Alignment:
    """The best path of a token sequence, and how well it fits.

    Args:
        tokens: (U,).
        starts: first frame of each token (U,).
        ends: frame after the last of each token (U,); blanks may follow.
        token_scores: log-probability of each token, summed over its frames (U,).
        score: log-probability of the path over its frames.
        lost: how much more the best class of every one of these frames gives; 0 or more.
        first_frame: where the path begins.
        num_frames: of the path.
        frame_s: seconds from one frame to the next.
        blank: index of the blank.
    """

    tokens: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    token_scores: tuple[float, ...]
    score: float
    lost: float
    first_frame: int
    num_frames: int
    frame_s: float
    blank: int

    @property
    def token_times(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each token, in seconds."""
        return tuple(
            (start * self.frame_s, end * self.frame_s)
            for start, end in zip(self.starts, self.ends, strict=True)
        )

    @property
    def token_confidences(self) -> tuple[float, ...]:
        """Geometric mean of each token's probability over its frames, in [0, 1]."""
        return tuple(
            _probability(score / (end - start))
            for score, start, end in zip(self.token_scores, self.starts, self.ends, strict=True)
        )

    @property
    def confidence(self) -> float:
        """How much less probable than what the model would hear itself, for each token; in [0, 1].

        ``exp(-lost / U)``: 1 where every frame's best class is on the path. Of a text that was not
        said it is below 0.05 as a rule; long silence around the text does not change it.
        """
        return _probability(-self.lost / max(1, len(self.tokens)))

    @property
    def path(self) -> tuple[int, ...]:
        """The class of each frame (``num_frames``,), blanks included."""
        classes = [self.blank] * self.num_frames
        for token, start, end in zip(self.tokens, self.starts, self.ends, strict=True):
            first, last = start - self.first_frame, end - self.first_frame
            classes[first:last] = [token] * (last - first)
        return tuple(classes)


def align(
    log_probs: Tensor,
    lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    *,
    blank: int = 0,
    frame_s: float = 1.0,
    names: Sequence[str] | None = None,
) -> list[Alignment]:
    """The best CTC path of each utterance's target, found exactly.

    Use it where the text is known; where it is long or only partly spoken, use
    ``seqlab.decoding.segmentation.segment``.

    Args:
        log_probs: (B, T', C), natural.
        lengths: (B,), encoded frames.
        targets: (B, U), tokens without blanks.
        target_lengths: (B,).
        blank: index of the blank.
        frame_s: seconds from one frame to the next, above 0; 1 gives times in frames.
        names: of the utterances (B,), for messages; their numbers if None.

    Returns:
        An alignment for each utterance.

    Raises:
        SeqlabError: shapes do not fit, a target is no class or the blank, there are too few frames
            for a target, or log-probabilities are not finite or above 0.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 4.1, with maxima
    instead of sums.

    Example:
        >>> import torch
        >>> probs = torch.tensor([[[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.1, 0.3, 0.6]]])
        >>> found = align(probs.log(), *map(torch.tensor, ([3], [[1, 2]], [2])), frame_s=0.04)
        >>> found[0].path, found[0].token_times
        ((1, 0, 2), ((0.0, 0.04), (0.08, 0.12)))
    """
    batch = len(log_probs)
    check_log_probs(log_probs, 3, blank, frame_s)
    check_lengths(lengths, log_probs.shape[1], "log_probs")
    check_lengths(target_lengths, targets.shape[-1], "targets")
    if not batch == len(lengths) == len(targets) == len(target_lengths):
        raise SeqlabError(
            f"{batch} utterances of log_probs with {len(lengths)} lengths, {len(targets)} targets "
            f"and {len(target_lengths)} target lengths; pass as many of each"
        )
    if names is not None and len(names) != batch:
        raise SeqlabError(f"{len(names)} names for {batch} utterances; pass one for each")
    scores = log_probs.detach().float().cpu().numpy()
    rows = zip(scores, lengths.tolist(), targets.tolist(), target_lengths.tolist(), strict=True)
    return [
        _align_one(
            np.ascontiguousarray(score[:length]),
            target[:size],
            blank,
            frame_s,
            f"utterance {names[index]}" if names else f"utterance {index} of the batch",
        )
        for index, (score, length, target, size) in enumerate(rows)
    ]


def word_times(alignment: Alignment, tokenizer: Tokenizer) -> tuple[TimedWord, ...]:
    """The words of an alignment, with their times and confidences.

    Args:
        alignment: of tokens of ``tokenizer``.
        tokenizer: that the text was encoded with.
    """
    return words_of_tokens(
        alignment.tokens, alignment.token_times, alignment.token_confidences, tokenizer
    )


def check_log_probs(log_probs: Tensor, dim: int, blank: int, frame_s: float) -> None:
    """Raise SeqlabError unless the shape has ``dim`` axes and fits ``blank``, and frame_s > 0."""
    check_at_least("blank", blank, 0)
    if log_probs.dim() != dim or log_probs.shape[-1] <= blank:
        shape = "(B, T', C)" if dim == 3 else "(T', C)"
        raise SeqlabError(
            f"log_probs of shape {tuple(log_probs.shape)} must be {shape} with C above "
            f"blank={blank}"
        )
    if not (math.isfinite(frame_s) and frame_s > 0):
        raise SeqlabError(f"frame_s={frame_s} must be above 0; it is hop times subsampling")


def _align_one(
    scores: NDArray[np.float32], tokens: list[int], blank: int, frame_s: float, name: str
) -> Alignment:
    check_scores(scores, name)
    check_tokens(tokens, scores.shape[1], blank, name)
    needed = ctc_required_length(tokens)
    if len(scores) < needed:
        raise SeqlabError(
            f"{name} has {len(scores)} frames, its {len(tokens)} tokens need at least {needed}; "
            "is the transcript that of another recording?"
        )
    if not tokens:
        empty = np.empty(0, np.int64)
        return make_alignment(scores, empty, empty, empty, 0, len(scores), frame_s, blank)
    labels = np.array(tokens, np.int64)
    found = best_path(scores, chain(labels), blank, len(labels))
    if found is None:
        raise SeqlabError(
            f"the target of {name} has probability 0 in every alignment; the model excludes a "
            "token where it would have to stand"
        )
    return make_alignment(scores, labels, *found, 0, len(scores), frame_s, blank)


def make_alignment(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    first_frame: int,
    last_frame: int,
    frame_s: float,
    blank: int,
) -> Alignment:
    """The alignment of ``labels`` (U,) with the frames from ``first_frame`` to ``last_frame``.

    Args:
        scores: log-probabilities of the whole recording (T, C).
        labels: tokens (U,).
        starts: first frame of each (U,).
        ends: frame after the last of each (U,).
        first_frame: of the path.
        last_frame: the one after the path.
        frame_s: seconds from one frame to the next.
        blank: index of the blank.
    """
    sums = np.zeros(len(labels))
    token_sums(scores, labels, starts, ends, sums)
    part = scores[first_frame:last_frame]
    spoken = np.zeros(len(part), bool)
    for start, end in zip(starts, ends, strict=True):
        spoken[start - first_frame : end - first_frame] = True
    score = float(sums.sum() + part[~spoken, blank].sum(dtype=np.float64))
    return Alignment(
        tokens=tuple(labels.tolist()),
        starts=tuple(starts.tolist()),
        ends=tuple(ends.tolist()),
        token_scores=tuple(sums.tolist()),
        score=score,
        lost=max(0.0, float(part.max(axis=1).sum(dtype=np.float64)) - score),
        first_frame=first_frame,
        num_frames=len(part),
        frame_s=frame_s,
        blank=blank,
    )


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))
