"""Posteriors of labels in a stream: what a detector of keywords follows.

Three ways, by what the model can do. ``FramePosteriors``: a causal encoder and a head that gives
posteriors at every frame. ``FrameWindows``: a causal encoder and any classifier, which judges the
last frames again and again. ``AudioWindows``: a model that needs whole utterances, which hears
overlapping windows of the sound as if each were a recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seqlab.checks import check_range
from seqlab.errors import ModelError
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.encoding import EncodedStream, ListenerState, why_not_streamed
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = [
    "AudioWindows",
    "FramePosteriors",
    "FrameWindows",
    "PosteriorStream",
    "posterior_stream",
]

_MOST = 32  # windows that are judged at a time


class PosteriorStream(Protocol):
    """Samples to posteriors, step by step; state goes in and comes out."""

    unit: int  # samples from one frame of posteriors to the next

    def initial_state(self) -> Any:
        """The state before the first sample."""
        ...

    def step(self, samples: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        ...

    def flush(self, state: Any) -> Tensor:
        """Posteriors (T', C) that only the end of the stream completes."""
        ...


def posterior_stream(
    model: SpeechModel, *, window_s: float = 1.0, hop_s: float = 0.1
) -> PosteriorStream:
    """The way that suits a model.

    Args:
        model: A classifier, such as one with ``KeywordHead``.
        window_s: Seconds that are judged at once, where the head does not say how many; about as
            long as the recordings it was trained on, within [0.05, 60].
        hop_s: Seconds between two windows of a model that needs whole utterances, up to
            ``window_s``.

    Raises:
        ModelError: The model gives no labels.
        SeqlabError: An argument is out of range.
    """
    check_range("window_s", window_s, 0.05, 60, "1 suits single words")
    check_range("hop_s", hop_s, 0.01, window_s, "0.1 is usual")
    if model.head.output != "label":
        raise ModelError(
            f"{type(model.head).__name__} gives no labels to spot; train a model with KeywordHead, "
            "or spot phrases by a CTC model (PhraseSpotter)"
        )
    if why_not_streamed(model) is not None:
        return AudioWindows(model, window_s, hop_s)
    if isinstance(model.head, KeywordHead):
        return FramePosteriors(model, model.head)
    return FrameWindows(model, window_s)


def unit_of(model: SpeechModel) -> int:
    """Samples from one encoded frame to the next.

    Raises:
        ModelError: The encoder gives a single frame.
    """
    if math.isnan(model.frame_s):
        raise ModelError(
            f"{type(model.encoder).__name__} gives a single frame for an utterance, must give one "
            "every few samples to be followed"
        )
    return round(model.frame_s * model.sample_rate)


class FramePosteriors:
    """The posteriors that a ``KeywordHead`` gives at every frame.

    Args:
        model: Whose encoder, normalizer and front end can stream.
        head: The model's.

    Raises:
        ModelError: They cannot.
    """

    def __init__(self, model: SpeechModel, head: KeywordHead) -> None:
        self.model, self.head, self.unit = model, head, unit_of(model)
        self._encoded = EncodedStream(model)

    def initial_state(self) -> tuple[ListenerState, Any]:
        """The state before the first sample."""
        return self._encoded.initial_state(), self.head.initial_posterior_state()

    def step(
        self, samples: Tensor, state: tuple[ListenerState, Any]
    ) -> tuple[Tensor, tuple[ListenerState, Any]]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        encoded, listener = self._encoded.step(samples, state[0])
        posteriors, after = self._judged(encoded, state[1])
        return posteriors, (listener, after)

    def flush(self, state: tuple[ListenerState, Any]) -> Tensor:
        """Posteriors (T', C) that only the end of the stream completes."""
        return self._judged(self._encoded.flush(state[0]), state[1])[0]

    def _judged(self, encoded: Tensor, state: Any) -> tuple[Tensor, Any]:
        with evaluating(self.head), torch.inference_mode():
            posteriors, state = self.head.posterior_step(encoded, state)
        return posteriors[0].float().cpu(), state


@dataclass(frozen=True)
class _Windowed:
    """State of ``FrameWindows``: of the encoder, its last frames, and how many came, at most W."""

    listener: ListenerState
    encoded: Tensor  # (n, D), n below W
    seen: int


class FrameWindows:
    """A classifier that judges the last frames of a causal encoder, at every frame.

    Before a whole window was heard all posteriors are 0; a stream that ends sooner is judged once,
    at its end.

    Args:
        model: A classifier whose encoder, normalizer and front end can stream.
        window_s: Seconds of a window.

    Raises:
        ModelError: They cannot.
    """

    def __init__(self, model: SpeechModel, window_s: float) -> None:
        self.model, self.unit = model, unit_of(model)
        self.width = max(1, round(window_s / model.frame_s))
        self._encoded = EncodedStream(model)

    def initial_state(self) -> _Windowed:
        """The state before the first sample."""
        none = torch.zeros(0, self.model.encoder.output_dim, device=self.model.device)
        return _Windowed(self._encoded.initial_state(), none, 0)

    def step(self, samples: Tensor, state: _Windowed) -> tuple[Tensor, _Windowed]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        encoded, listener = self._encoded.step(samples, state.listener)
        every = torch.cat([state.encoded, encoded[0]])
        posteriors = self._judged(every, encoded.shape[1])
        seen = min(self.width, state.seen + encoded.shape[1])
        keep = every[max(0, len(every) - self.width + 1) :].clone()
        return posteriors, _Windowed(listener, keep, seen)

    def flush(self, state: _Windowed) -> Tensor:
        """Posteriors (T', C) that only the end of the stream completes."""
        encoded = self._encoded.flush(state.listener)[0]
        every = torch.cat([state.encoded, encoded])
        posteriors = self._judged(every, len(encoded))
        if len(every) > 0 and state.seen + len(encoded) < self.width:
            [last] = _classified(self.model, every[None])
            posteriors = torch.cat([posteriors, last[None]]) if len(encoded) == 0 else posteriors
            posteriors[-1] = last
        return posteriors

    def _judged(self, every: Tensor, count: int) -> Tensor:
        """Posteriors (count, C) of the last ``count`` frames, each with those before it."""
        answers = every.new_zeros(count, len(self.model.tokenizer)).float().cpu()
        if len(every) < self.width or count == 0:
            return answers
        windows = every.unfold(0, self.width, 1).transpose(1, 2)
        found = [_classified(self.model, part) for part in torch.split(windows, 8 * _MOST)]
        answers[count - len(windows) :] = torch.cat(found)
        return answers


@dataclass(frozen=True)
class _Held:
    """State of ``AudioWindows``: samples that are still needed, and whether a window was judged."""

    samples: Tensor
    judged: bool = False


class AudioWindows:
    """Any classifier, on overlapping windows of the sound, each as if it were a recording.

    It costs ``window_s / hop_s`` times what a causal model does, and hears no more than a window.
    The frame of a window is the one at its end. Before a whole window was heard all posteriors
    are 0; a stream that ends sooner is judged once, at its end.

    Args:
        model: A classifier.
        window_s: Seconds of a window.
        hop_s: Seconds from one to the next.
    """

    def __init__(self, model: SpeechModel, window_s: float, hop_s: float) -> None:
        self.model = model
        self.unit = max(1, round(hop_s * model.sample_rate))
        self.ahead = max(1, round(window_s / hop_s))  # units of a window
        self.width = self.ahead * self.unit

    def initial_state(self) -> _Held:
        """The state before the first sample."""
        return _Held(torch.zeros(0))

    def step(self, samples: Tensor, state: _Held) -> tuple[Tensor, _Held]:
        """Posteriors (T', C) that the next samples (n,) complete, and the new state."""
        every = torch.cat([state.samples, samples.float().cpu()])
        parts = [torch.zeros(0, len(self.model.tokenizer))]
        judged = state.judged
        if len(every) >= self.width:
            if not judged:
                parts.append(torch.zeros(self.ahead - 1, len(self.model.tokenizer)))
            windows = every.unfold(0, self.width, self.unit)
            parts += [self._heard(part) for part in torch.split(windows, _MOST)]
            every, judged = every[len(windows) * self.unit :].clone(), True
        return torch.cat(parts), _Held(every, judged)

    def flush(self, state: _Held) -> Tensor:
        """Posteriors (T', C) that only the end of the stream completes."""
        classes = len(self.model.tokenizer)
        frames = self.model.output_lengths(torch.tensor([len(state.samples)]))
        if state.judged or int(frames) < 1:
            return torch.zeros(0, classes)
        before = torch.zeros(max(0, -(-len(state.samples) // self.unit) - 1), classes)
        return torch.cat([before, self._heard(state.samples[None])])

    def _heard(self, windows: Tensor) -> Tensor:
        model = self.model
        with evaluating(model), torch.inference_mode():
            lengths = torch.full((len(windows),), windows.shape[1], device=model.device)
            log_probs: Tensor = model(windows.to(model.device), lengths)[0]
            return log_probs.exp().float().cpu()


def _classified(model: SpeechModel, encoded: Tensor) -> Tensor:
    """Posteriors (n, C) of encoded windows (n, W, D)."""
    lengths = torch.full((len(encoded),), encoded.shape[1], device=encoded.device)
    with evaluating(model), torch.inference_mode():
        log_probs: Tensor = model.head(encoded, lengths)
        return log_probs.exp().float().cpu()
