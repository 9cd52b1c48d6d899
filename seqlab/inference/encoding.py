"""Front end, normaliser and encoder of a model, fed as samples come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqlab.errors import ModelError
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = ["EncodedStream", "ListenerState", "why_not_streamed"]

_CHUNK = "assign encoder.chunk_frames (seqlab transcribe --chunk-frames 16)"


def why_not_streamed(model: SpeechModel) -> str | None:
    """What keeps a model's encoded frames from coming as samples come, and what to do.

    Args:
        model: A recogniser or classifier, in any mode.

    Returns:
        None where nothing does.
    """
    encoder, name = model.encoder, type(model.encoder).__name__
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


class EncodedStream:
    """The model as far as the encoded frames, step by step; one stream.

    All steps and the flush put together equal ``model.encode(waveform, lengths)``.

    Args:
        model: Whose encoder, normalizer and front end can stream.

    Raises:
        ModelError: They cannot; the message says what to do.
    """

    def __init__(self, model: SpeechModel) -> None:
        reason = why_not_streamed(model)
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
        """Encoded (1, T', D) that the next samples (n,) complete, and the new state."""
        model = self.model
        with evaluating(model), torch.inference_mode():
            waveform = samples.to(model.device, torch.float32)[None]
            features, frontend = model.frontend.step(waveform, state.frontend)
            normalizer = state.normalizer
            if model.normalizer is not None:
                features, normalizer = model.normalizer.step(features, normalizer)
            encoded, encoder = self._encode(features, state.encoder)
        count = state.features + features.shape[1]
        return encoded, ListenerState(frontend, normalizer, encoder, count)

    def flush(self, state: ListenerState) -> Tensor:
        """Encoded (1, T', D) that only the end of the stream completes."""
        model = self.model
        with evaluating(model), torch.inference_mode():
            features = model.frontend.flush(state.frontend)
            if model.normalizer is not None:
                first, normalizer = model.normalizer.step(features, state.normalizer)
                features = torch.cat([first, model.normalizer.flush(normalizer)], 1)
            first, encoder = self._encode(features, state.encoder)
            return torch.cat([first, self._rest(encoder)], 1)

    def restart(self, state: ListenerState) -> tuple[Tensor, ListenerState]:
        """End an utterance: the last encoded (1, T', D) of the encoder, and its new start.

        Front end and normalizer go on, so that no sample is lost.
        """
        with evaluating(self.model), torch.inference_mode():
            rest = self._rest(state.encoder)
        fresh = self.model.encoder.initial_state()
        return rest, ListenerState(state.frontend, state.normalizer, fresh, state.features)

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
