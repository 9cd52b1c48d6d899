"""A recogniser's graph for whole recordings on overlapping windows, whose middles are kept."""

from __future__ import annotations

import numpy as np

from seqlab.audio_file import Samples
from seqlab.checks import check_range
from seqlab.deploy.model import ExportedModel
from seqlab.deploy.sessions import Array
from seqlab.deploy.streams import StreamState
from seqlab.errors import SeqlabError

__all__ = ["ExportMiddles"]


class ExportMiddles:
    """Log-probabilities of a stream; as ``seqlab.inference.log_probs.WindowedLogProbs``.

    Args:
        model: With a graph for whole recordings that gives log-probabilities (T', C).
        window_s: Seconds of a window, within [0.5, 600].
        hop_s: Seconds of its middle, below ``window_s``.

    Raises:
        SeqlabError: An argument is out of range, or windows overlap too little for a frame at each
            end.
    """

    def __init__(self, model: ExportedModel, window_s: float, hop_s: float) -> None:
        check_range("window_s", window_s, 0.5, 600, "10 is usual")
        check_range("hop_s", hop_s, 0.1, window_s, "four fifths of the window are usual")
        self.model, self.unit = model, model.facts.unit
        frame_s = self.unit / model.sample_rate
        self.kept = max(1, round(hop_s / frame_s))
        self.margin = int((window_s / frame_s - self.kept) / 2)  # frames
        needed = (self.kept + self.margin) * self.unit
        if len(self._heard(np.zeros(needed, np.float32))) < self.kept:
            raise SeqlabError(
                f"hop_s={hop_s:g} leaves too little of window_s={window_s:g} around it; make it "
                f"at most {window_s - 4 * frame_s:.2f}"
            )

    def initial_state(self) -> StreamState:
        """The state before the first sample; ``given`` counts the frames given of those held."""
        return StreamState(np.zeros(0, np.float32))

    def step(self, samples: Samples, state: StreamState) -> tuple[Array, StreamState]:
        """Log-probabilities (T', C) that the next samples (n,) complete, and the new state."""
        held, before = np.concatenate([state.held, samples]), state.given
        parts = [self._nothing()]
        while len(held) >= (needed := (before + self.kept + self.margin) * self.unit):
            parts.append(self._heard(held[:needed])[before : before + self.kept])
            known = before + self.kept
            before = min(self.margin, known)
            held = held[(known - before) * self.unit :]
        seen = state.seen + len(samples)
        return np.concatenate(parts), StreamState(held.copy(), (), seen, before)

    def flush(self, state: StreamState) -> Array:
        """Log-probabilities (T', C) that only the end of the stream completes."""
        return self._heard(state.held)[state.given :]

    def _heard(self, samples: Samples) -> Array:
        if len(samples) < self.model.facts.least_samples:
            return self._nothing()
        return self.model.log_probs(samples)

    def _nothing(self) -> Array:
        return np.zeros((0, len(self.model.facts.tokens)), np.float32)
