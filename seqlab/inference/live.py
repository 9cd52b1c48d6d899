"""Speech to text while it is being said: a model and a decoder that are fed as samples come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seqlab.contracts import Hypothesis
from seqlab.decoding.greedy_stream import GreedyCTCStream
from seqlab.errors import ModelError
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = ["Listener", "ListenerState", "LiveState", "LiveTranscriber", "StreamDecoder"]

_CHUNK = "assign encoder.chunk_frames (seqlab transcribe --chunk-frames 16)"


class StreamDecoder(Protocol):
    """What decodes frames as they come: ``PrefixBeamDecoder``, ``GreedyCTCStream``."""

    frame_s: float

    def initial_state(self) -> Any:
        """The state of a stream before its first frame."""
        ...

    def step(self, log_probs: Tensor, state: Any) -> tuple[Hypothesis, Hypothesis, Any]:
        """What is final after the next frames (T', C), the answer so far, and the new state."""
        ...

    def flush(self, state: Any) -> list[Hypothesis]:
        """The n-best list of a stream that has ended."""
        ...


def why_not_live(model: SpeechModel) -> str | None:
    """What keeps a model from hearing speech as it comes, and what to do; None: nothing does.

    Args:
        model: A recogniser or classifier, in any mode.
    """
    encoder, name = model.encoder, type(model.encoder).__name__
    if model.head.output != "frames":
        return f"{type(model.head).__name__} gives no answer for each frame; train with CTC"
    if not encoder.causal:
        if getattr(encoder, "chunk_frames", None) == 0:
            return f"{name} hears whole utterances; {_CHUNK}, best after training with chunks"
        return f"{name} looks ahead to the end; train one with causal=True, or with chunks"
    if model.normalizer is not None and not model.normalizer.can_stream:
        return (
            f"{type(model.normalizer).__name__} needs the whole utterance; train with GlobalCMVN "
            "or SlidingCMVN"
        )
    if not getattr(model.frontend, "can_stream", True):
        return f"{type(model.frontend).__name__} needs the whole utterance for its dynamic_range"
    return None


@dataclass(frozen=True)
class ListenerState:
    """Where a stream stands between two steps; never changed by them.

    Args:
        frontend: Of the front end.
        normalizer: Of the normalizer; None without one.
        encoder: Of the encoder.
        features: Frames that the encoder was given.
    """

    frontend: Any
    normalizer: Any
    encoder: Any
    features: int = 0


class Listener:
    """The model as far as the log-probabilities, step by step; one stream.

    All steps and the flush put together equal ``model(waveform, lengths)``.

    Args:
        model: Whose encoder, normalizer and front end can stream.

    Raises:
        ModelError: They cannot; the message says what to do.
    """

    def __init__(self, model: SpeechModel) -> None:
        reason = why_not_live(model)
        if reason is not None:
            raise ModelError(f"this model cannot hear speech as it comes: {reason}")
        self.model = model

    def initial_state(self) -> ListenerState:
        """The state before the first sample."""
        model = self.model
        normalizer = None if model.normalizer is None else model.normalizer.initial_state()
        return ListenerState(
            model.frontend.initial_state(), normalizer, model.encoder.initial_state()
        )

    def step(self, samples: Tensor, state: ListenerState) -> tuple[Tensor, ListenerState]:
        """Log-probabilities (T', C) that the next samples (n,) complete, and the new state."""
        model = self.model
        with evaluating(model), torch.inference_mode():
            waveform = samples.to(model.device, torch.float32)[None]
            features, frontend = model.frontend.step(waveform, state.frontend)
            normalizer = state.normalizer
            if model.normalizer is not None:
                features, normalizer = model.normalizer.step(features, normalizer)
            encoded, encoder = self._encode(features, state.encoder)
        count = state.features + features.shape[1]
        return self._answers(encoded), ListenerState(frontend, normalizer, encoder, count)

    def flush(self, state: ListenerState) -> Tensor:
        """Log-probabilities (T', C) of the frames that only the end of the stream completes."""
        model = self.model
        with evaluating(model), torch.inference_mode():
            features = model.frontend.flush(state.frontend)
            if model.normalizer is not None:
                first, normalizer = model.normalizer.step(features, state.normalizer)
                features = torch.cat([first, model.normalizer.flush(normalizer)], 1)
            first, encoder = self._encode(features, state.encoder)
            return self._answers(torch.cat([first, self._rest(encoder)], 1))

    def restart(self, state: ListenerState) -> tuple[Tensor, ListenerState]:
        """End an utterance: the last log-probabilities (T', C) of the encoder, and its new start.

        Front end and normalizer go on, so that no sample is lost.
        """
        with evaluating(self.model), torch.inference_mode():
            rest = self._rest(state.encoder)
        fresh = self.model.encoder.initial_state()
        fresh_state = ListenerState(state.frontend, state.normalizer, fresh, state.features)
        return self._answers(rest), fresh_state

    def _encode(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        if features.shape[1] == 0:
            return features.new_zeros(1, 0, self.model.encoder.output_dim), state
        between = self.model.between()
        looked: dict[str, Any] = {} if between is None else {"between": between}
        return self.model.encoder.step(features, state, **looked)

    def _rest(self, state: Any) -> Tensor:
        between = self.model.between()
        looked: dict[str, Any] = {} if between is None else {"between": between}
        return self.model.encoder.flush(state, **looked)

    def _answers(self, encoded: Tensor) -> Tensor:
        model = self.model
        if encoded.shape[1] == 0:
            return encoded.new_zeros(0, len(model.tokenizer))
        lengths = torch.tensor([encoded.shape[1]], device=encoded.device)
        with evaluating(model), torch.inference_mode():
            log_probs: Tensor = model.head(encoded, lengths)[0].float().cpu()
        return log_probs


@dataclass(frozen=True)
class LiveState:
    """A recognition between two steps; never changed by them.

    Args:
        listener: Of the model.
        decoder: Of the decoder.
    """

    listener: ListenerState
    decoder: Any


class LiveTranscriber:
    """Recognises one utterance as its samples come.

    Use it where you know when an utterance begins and ends; ``live_results`` finds that out. What
    ``flush`` gives equals what the model says of the whole recording, with the same chunks.

    Args:
        model: Whose encoder, normalizer and front end can stream.
        decoder: Such as a ``PrefixBeamDecoder``; the best path, if None.

    Raises:
        ModelError: The model cannot stream; the message says what to do.
    """

    def __init__(self, model: SpeechModel, decoder: StreamDecoder | None = None) -> None:
        self.listener = Listener(model)
        self.decoder: StreamDecoder = decoder or greedy_stream(model)

    def initial_state(self) -> LiveState:
        """The state before the first sample."""
        return LiveState(self.listener.initial_state(), self.decoder.initial_state())

    def step(self, samples: Tensor, state: LiveState) -> tuple[Hypothesis, Hypothesis, LiveState]:
        """Hear the next samples (n,), float in [-1, 1] at the model's rate.

        Returns:
            What is final, the best answer so far, which begins with it, and the new state.
        """
        log_probs, listener = self.listener.step(samples, state.listener)
        stable, partial, decoder = self.decoder.step(log_probs, state.decoder)
        return stable, partial, LiveState(listener, decoder)

    def flush(self, state: LiveState) -> Hypothesis:
        """The answer to an utterance that has ended; ``state`` stays as it is."""
        log_probs = self.listener.flush(state.listener)
        _, _, decoder = self.decoder.step(log_probs, state.decoder)
        return self.decoder.flush(decoder)[0]


def greedy_stream(model: SpeechModel) -> GreedyCTCStream:
    """The plainest decoder of streams for a model."""
    blank = model.tokenizer.blank or 0
    return GreedyCTCStream(model.tokenizer.decode, model.frame_s, blank)
