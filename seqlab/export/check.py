"""An export held against torch on real sound, before anybody is given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlab.deploy.model import ExportedModel
from seqlab.deploy.sessions import Array
from seqlab.deploy.streams import ExportStream
from seqlab.errors import ModelError
from seqlab.inference.encoding import EncodedStream
from seqlab.inference.posteriors import posterior_stream
from seqlab.model import SpeechModel

__all__ = ["Agreement", "compare"]

_UNEVEN = (0.37, 0.011, 0.1, 0.6)  # seconds that the stream is fed at a time, in turn


@dataclass(frozen=True)
class Agreement:
    """How far an export lies from torch.

    Args:
        recordings: That both heard.
        offline: Greatest difference of a probability on whole recordings; None without that graph.
        stream: The same, of frames of a stream.
        same: Share of recordings, or frames where there are no whole ones, with the same best
            class.
    """

    recordings: int
    offline: float | None
    stream: float | None
    same: float

    def check(self, tolerance: float) -> None:
        """Raise ModelError if a difference is above ``tolerance`` or not a number."""
        for what, value in (("recordings", self.offline), ("streams", self.stream)):
            if value is not None and not value <= tolerance:
                raise ModelError(
                    f"the export differs from torch by {value:.3g} on {what}, must be at most "
                    f"{tolerance:g}; nothing was written. Export without --int8, or calibrate it "
                    "on more recordings, or allow more with --tolerance"
                )

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values."""
        return asdict(self)


def compare(
    model: SpeechModel, folder: Path, recordings: Sequence[Tensor], window_s: float
) -> Agreement:
    """Hear recordings (N,) with torch and with the export.

    Raises:
        ModelError: The export cannot be run.
    """
    exported = ExportedModel(folder)
    whole = [r for r in recordings if len(r) >= exported.facts.least_samples]
    if not whole:
        raise ModelError("the recordings to check the export on are too short for a single frame")
    offline = [_offline(model, exported, r) for r in whole] if exported.offline else []
    stream = []
    if exported.stream is not None:
        stream = [_stream(model, exported, r, window_s) for r in whole]
    every = offline or stream
    agree = [(a.argmax(-1) == b.argmax(-1)).ravel() for a, b in every]
    return Agreement(
        len(whole),
        _furthest(offline) if offline else None,
        _furthest(stream) if stream else None,
        float(np.concatenate(agree).mean()) if sum(map(len, agree)) else 1.0,
    )


def _furthest(pairs: Sequence[tuple[Array, Array]]) -> float:
    """The greatest difference; infinite where one is no number."""
    found = [np.abs(a - b).max() for a, b in pairs if a.size]
    highest = float(np.max(found)) if found else 0.0
    return highest if np.isfinite(highest) else float("inf")


def _offline(model: SpeechModel, exported: ExportedModel, recording: Tensor) -> tuple[Array, Array]:
    with torch.inference_mode():
        log_probs, _ = model(recording[None], torch.tensor([len(recording)]))
    expected: Array = log_probs[0].exp().numpy()
    found = np.exp(exported.log_probs(recording.numpy()))
    if expected.shape != found.shape:
        raise ModelError(f"the export gives {found.shape}, torch {expected.shape}")
    return expected, found


def _stream(
    model: SpeechModel, exported: ExportedModel, recording: Tensor, window_s: float
) -> tuple[Array, Array]:
    """Both as far as the export goes, which leaves out what only the end completes."""
    stream, parts = ExportStream(exported), []
    state, at, turn = stream.initial_state(), 0, 0
    samples = recording.numpy()
    while at < len(samples):
        size = round(_UNEVEN[turn % len(_UNEVEN)] * exported.sample_rate)
        found, state = stream.step(samples[at : at + size], state)
        parts.append(found)
        at, turn = at + size, turn + 1
    parts.append(stream.flush(state))
    got = np.concatenate(parts)
    expected = _expected(model, recording, window_s)
    if exported.task != "classification":
        got = np.exp(got)
    if len(got) > len(expected):
        raise ModelError(f"the streaming export gives {len(got)} frames, torch {len(expected)}")
    return expected[: len(got)], got


def _expected(model: SpeechModel, recording: Tensor, window_s: float) -> Array:
    """Probabilities (T', C) of torch's own stream."""
    if model.head.output == "label":
        frames = posterior_stream(model, window_s=window_s)
        first, state = frames.step(recording, frames.initial_state())
        values: Array = torch.cat([first, frames.flush(state)]).numpy()
        return values
    encoded_frames = EncodedStream(model)
    begun, listener = encoded_frames.step(recording, encoded_frames.initial_state())
    encoded = torch.cat([begun, encoded_frames.flush(listener)], 1)
    with torch.inference_mode():
        log_probs = model.head(encoded, torch.tensor([encoded.shape[1]]))
    result: Array = log_probs[0].exp().numpy()
    return result
