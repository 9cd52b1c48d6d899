"""Log-probabilities of a CTC model, of a stream that never ends.

Two ways, by what the model can do: ``Listener`` for one that streams, ``WindowedLogProbs`` for one
that hears whole utterances.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_range
from seqlab.errors import ModelError, SeqlabError
from seqlab.inference.encoding import why_not_streamed
from seqlab.inference.live import Listener
from seqlab.inference.posteriors import PosteriorStream, unit_of
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = ["LiveLogProbs", "WindowedLogProbs", "log_prob_stream"]


def log_prob_stream(
    model: SpeechModel, *, window_s: float = 10.0, hop_s: float = 8.0
) -> PosteriorStream:
    """The way that suits a model; the steps give log-probabilities (T', C).

    Args:
        model: A recogniser with CTC.
        window_s: Seconds that are heard at once by a model of whole utterances, within [0.5, 600].
        hop_s: Seconds from one window to the next, below ``window_s``; half of what they overlap by
            is left out at both ends of a window.

    Raises:
        ModelError: The model gives no answer for each frame.
        SeqlabError: An argument is out of range.
    """
    check_range("window_s", window_s, 0.5, 600, "10 is usual")
    check_range("hop_s", hop_s, 0.1, window_s, "four fifths of the window are usual")
    if model.head.output != "frames":
        raise ModelError(
            f"{type(model.head).__name__} gives no answer for each frame, so that no phrases can "
            "be searched; use a CTC model, or leave the phrases out"
        )
    if why_not_streamed(model) is None:
        return LiveLogProbs(model)
    return WindowedLogProbs(model, window_s, hop_s)


class LiveLogProbs(Listener):
    """A ``Listener`` that knows how long its frames are.

    Args:
        model: Whose encoder, normalizer and front end can stream.

    Raises:
        ModelError: They cannot.
    """

    def __init__(self, model: SpeechModel) -> None:
        super().__init__(model)
        self.unit = unit_of(model)


@dataclass(frozen=True)
class _Windowed:
    """State of ``WindowedLogProbs``: samples still needed, whose first frames were given before."""

    samples: Tensor
    before: int = 0  # frames


class WindowedLogProbs:
    """A model of whole utterances on overlapping windows, of which the middles are put together.

    Args:
        model: A recogniser with CTC.
        window_s: Seconds of a window.
        hop_s: Seconds of its middle.

    Raises:
        SeqlabError: The windows overlap too little for a frame at each end.
    """

    def __init__(self, model: SpeechModel, window_s: float, hop_s: float) -> None:
        self.model, self.unit = model, unit_of(model)
        self.kept = max(1, round(hop_s / model.frame_s))
        self.margin = int((window_s / model.frame_s - self.kept) / 2)  # frames
        needed = (self.kept + self.margin) * self.unit
        if int(model.output_lengths(torch.tensor([needed]))) < self.kept:
            raise SeqlabError(
                f"hop_s={hop_s:g} leaves too little of window_s={window_s:g} around it; make it "
                f"at most {window_s - 4 * model.frame_s:.2f}"
            )

    def initial_state(self) -> _Windowed:
        """The state before the first sample."""
        return _Windowed(torch.zeros(0))

    def step(self, samples: Tensor, state: _Windowed) -> tuple[Tensor, _Windowed]:
        """Log-probabilities (T', C) that the next samples (n,) complete, and the new state."""
        held, before = torch.cat([state.samples, samples.float().cpu()]), state.before
        parts = [torch.zeros(0, len(self.model.tokenizer))]
        while len(held) >= (needed := (before + self.kept + self.margin) * self.unit):
            parts.append(self._heard(held[:needed])[before : before + self.kept])
            known = before + self.kept
            before = min(self.margin, known)
            held = held[(known - before) * self.unit :]
        return torch.cat(parts), _Windowed(held.clone(), before)

    def flush(self, state: _Windowed) -> Tensor:
        """Log-probabilities (T', C) that only the end of the stream completes."""
        if int(self.model.output_lengths(torch.tensor([len(state.samples)]))) < 1:
            return torch.zeros(0, len(self.model.tokenizer))
        return self._heard(state.samples)[state.before :]

    def _heard(self, samples: Tensor) -> Tensor:
        model = self.model
        with evaluating(model), torch.inference_mode():
            lengths = torch.tensor([len(samples)], device=model.device)
            log_probs: Tensor = model(samples[None].to(model.device), lengths)[0]
            return log_probs[0].float().cpu()
