"""CTC by the best path, of a stream: steps put together give what ``GreedyCTCDecoder`` gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.contracts import Hypothesis
from seqlab.errors import SeqlabError


@dataclass(frozen=True)
class GreedyState:
    """A stream between two calls of ``step``; never changed by them.

    Args:
        tokens: That are over.
        times: First frame of each, and the one after its last.
        confidences: Of each, in [0, 1].
        frames: So far.
        score: Log-probability of the best path so far.
        token: Best one of the last frame, if any.
        start: First of the last frames that have it.
        before: The score before that frame.
    """

    tokens: tuple[int, ...] = ()
    times: tuple[tuple[int, int], ...] = ()
    confidences: tuple[float, ...] = ()
    frames: int = 0
    score: float = 0.0
    token: int = -1
    start: int = 0
    before: float = 0.0


class GreedyCTCStream:
    """Takes the best token of every frame as frames come, merges repeats and drops blanks.

    Use it for live recognition where no language model helps; ``PrefixBeamDecoder`` has the same
    methods.

    Args:
        decode_tokens: Maps token indices, without blanks and repeats, to text.
        frame_s: Seconds from one encoded frame to the next, above 0.
        blank: Index of the blank token.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: as ``seqlab.decoding.greedy``.

    Example:
        >>> stream = GreedyCTCStream(lambda tokens: "ab"[: len(tokens)], frame_s=0.04)
        >>> probs = torch.tensor([[0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [0.3, 0.1, 0.6]])
        >>> stable, partial, state = stream.step(probs.log(), stream.initial_state())
        >>> stable.text, partial.text, stream.flush(state)[0].token_times
        ('a', 'ab', ((0.0, 0.08), (0.08, 0.12)))
    """

    def __init__(
        self, decode_tokens: Callable[[Sequence[int]], str], frame_s: float, blank: int = 0
    ) -> None:
        check_at_least("blank", blank, 0)
        if not (math.isfinite(frame_s) and frame_s > 0):
            raise SeqlabError(f"frame_s={frame_s} must be above 0; it is hop times subsampling")
        self.decode_tokens, self.frame_s, self.blank = decode_tokens, frame_s, blank

    def initial_state(self) -> GreedyState:
        """The state of a stream before its first frame."""
        return GreedyState()

    def step(
        self, log_probs: Tensor, state: GreedyState
    ) -> tuple[Hypothesis, Hypothesis, GreedyState]:
        """What is final, the answer so far, which begins with it, and the new state.

        Args:
            log_probs: The next frames (T', C).
            state: Of the stream; it stays as it is.

        Raises:
            SeqlabError: If the shape does not fit, or a frame holds no finite number.
        """
        if log_probs.dim() != 2 or log_probs.shape[1] <= self.blank:
            raise SeqlabError(
                f"log_probs of shape {tuple(log_probs.shape)} must be (T', C) with C above "
                f"blank={self.blank}; a state is that of one stream"
            )
        best, tokens = log_probs.detach().float().max(-1)
        if not bool(torch.isfinite(best).all()):
            raise SeqlabError(
                "log_probs of the stream have no finite best token in some frame and cannot be "
                "decoded; look for NaN in its audio or in the model's weights"
            )
        for token, value in zip(tokens.tolist(), best.double().tolist(), strict=True):
            if token != state.token:
                state = replace(
                    self._over(state), token=token, start=state.frames, before=state.score
                )
            state = replace(state, frames=state.frames + 1, score=state.score + value)
        return self._hypothesis(state), self._hypothesis(self._over(state)), state

    def flush(self, state: GreedyState) -> list[Hypothesis]:
        """The answer to a stream that has ended; ``state`` stays as it is."""
        return [self._hypothesis(self._over(state))]

    def _over(self, state: GreedyState) -> GreedyState:
        """The state with its last token among those that are over."""
        if state.token in (self.blank, -1):
            return state
        mean = (state.score - state.before) / (state.frames - state.start)
        return replace(
            state,
            tokens=(*state.tokens, state.token),
            times=(*state.times, (state.start, state.frames)),
            confidences=(*state.confidences, _probability(mean)),
            token=-1,
        )

    def _hypothesis(self, state: GreedyState) -> Hypothesis:
        step = self.frame_s
        return Hypothesis(
            tokens=state.tokens,
            text=self.decode_tokens(state.tokens),
            score=state.score,
            token_times=tuple((start * step, end * step) for start, end in state.times),
            token_confidences=state.confidences,
            confidence=_probability(state.score / state.frames) if state.frames else 0.0,
        )


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))
