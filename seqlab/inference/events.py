"""Events in recordings of any length: heard in windows, decoded as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import read_blocks
from seqlab.checks import check_range
from seqlab.decoding.events import EventSettings, find_events
from seqlab.errors import ModelError
from seqlab.events.event import Event
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

_BLOCK_S = 5.0


def events_of_file(
    model: SpeechModel,
    path: str | os.PathLike[str],
    settings: EventSettings | None = None,
    *,
    window_s: float = 30.0,
    margin_s: float = 3.0,
) -> list[Event]:
    """Events of a recording, by onset; memory grows with its probabilities only, not its audio.

    Up to ``window_s`` the recording is heard as a whole. A longer one is heard in windows that
    overlap by twice the margin, of whose frames those nearer than the margin to a cut are not
    used; what the model knows of a recording as a whole (a mean of its features, say) is then
    known of a window.

    Args:
        model: Of events.
        path: An audio file, resampled to the model's rate.
        settings: Of the decoding; ``EventSettings()`` if None.
        window_s: Seconds that are heard at once, 1 to 3600.
        margin_s: Seconds at a cut that are heard and not used, from 0.1 to a quarter of that.

    Raises:
        AudioError: The file cannot be used.
        ModelError: The model finds no events.
        SeqlabError: A value is out of range.
    """
    blocks = (block for block, _ in read_blocks(path, _BLOCK_S, sample_rate=model.sample_rate))
    probabilities = event_probabilities(model, blocks, window_s=window_s, margin_s=margin_s)
    return find_events(probabilities, model.tokenizer.tokens, model.frame_s, settings)


def event_probabilities(
    model: SpeechModel,
    blocks: Iterable[Tensor],
    *,
    window_s: float = 30.0,
    margin_s: float = 3.0,
) -> NDArray[np.float64]:
    """Probabilities (T', C) of a recording that comes in blocks (N,) at the model's rate.

    Args:
        model: See ``events_of_file``.
        blocks: Of any length.
        window_s: See ``events_of_file``.
        margin_s: See ``events_of_file``.

    Raises:
        ModelError: The model finds no events.
        SeqlabError: A value is out of range.
    """
    if model.task != "detection":
        raise ModelError(f"a model for {model.task} finds no events; train one with an EventHead")
    check_range("window_s", window_s, 1, 3600, "30 is usual")
    check_range("margin_s", margin_s, 0.1, window_s / 4, "3 is usual")
    step = max(1, round(model.frame_s * model.sample_rate))
    margin = round(margin_s / model.frame_s)
    parts = []
    with evaluating(model), torch.inference_mode():
        for window, first, last in _windows(
            blocks, round(window_s / model.frame_s) * step, margin * step
        ):
            heard = _heard(model, window)
            start = 0 if first else margin
            parts.append(heard[start:] if last else heard[start : len(window) // step - margin])
    return np.concatenate(parts)


def _windows(
    blocks: Iterable[Tensor], size: int, margin: int
) -> Iterator[tuple[Tensor, bool, bool]]:
    """Windows (N,) of ``size`` samples, overlapping by two margins, and which is first and last.

    The last one is as long as is left, up to half as much again.
    """
    held, first = torch.zeros(0), True
    for block in blocks:
        held = torch.cat([held, block])
        while len(held) > size + size // 2:
            yield held[:size], first, False
            held, first = held[size - 2 * margin :], False
    yield held, first, True


def _heard(model: SpeechModel, window: Tensor) -> NDArray[np.float64]:
    """Probabilities (T', C) of a window (N,)."""
    lengths = torch.tensor([len(window)])
    if int(model.output_lengths(lengths)) == 0:
        return np.zeros((0, len(model.tokenizer)))
    log_probs, _ = model(window[None].to(model.device), lengths.to(model.device))
    probabilities: NDArray[np.float64] = log_probs[0].double().exp().clamp(max=1).cpu().numpy()
    return probabilities
