"""Speech to text while it is being said: a model and a decoder that are fed as samples come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seqlab.contracts import Hypothesis
from seqlab.decoding.greedy_stream import GreedyCTCStream
from seqlab.errors import ModelError
from seqlab.inference.encoding import EncodedStream, ListenerState, why_not_streamed
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = ["Listener", "ListenerState", "LiveState", "LiveTranscriber", "StreamDecoder"]


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
    if model.head.output != "frames":
        return f"{type(model.head).__name__} gives no answer for each frame; train with CTC"
    return why_not_streamed(model)


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
        self._encoded = EncodedStream(model)

    def initial_state(self) -> ListenerState:
        """The state before the first sample."""
        return self._encoded.initial_state()

    def step(self, samples: Tensor, state: ListenerState) -> tuple[Tensor, ListenerState]:
        """Log-probabilities (T', C) that the next samples (n,) complete, and the new state."""
        encoded, state = self._encoded.step(samples, state)
        return self._answers(encoded), state

    def flush(self, state: ListenerState) -> Tensor:
        """Log-probabilities (T', C) of the frames that only the end of the stream completes."""
        return self._answers(self._encoded.flush(state))

    def restart(self, state: ListenerState) -> tuple[Tensor, ListenerState]:
        """End an utterance: the last log-probabilities (T', C) of the encoder, and its new start.

        Front end and normalizer go on, so that no sample is lost.
        """
        rest, state = self._encoded.restart(state)
        return self._answers(rest), state

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
