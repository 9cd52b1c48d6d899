"""Events in recordings of any length, heard in windows, and in streams."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import read_blocks
from seqlab.audio_file import Samples
from seqlab.decoding.event_stream import EventStream
from seqlab.decoding.events import EventSettings, find_events
from seqlab.errors import ModelError
from seqlab.events.event import Event
from seqlab.events.windows import overlapping_windows
from seqlab.inference.encoding import EncodedStream
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
    _check_task(model)
    samples = (block.numpy() for block in blocks)
    unit = max(1, round(model.frame_s * model.sample_rate))
    windows = overlapping_windows(samples, unit, model.sample_rate, window_s, margin_s)
    with evaluating(model), torch.inference_mode():
        parts = [_heard(model, w.samples)[w.first : w.last] for w in windows]
    return np.concatenate(parts)


def live_events(
    model: SpeechModel, blocks: Iterable[Tensor], settings: EventSettings | None = None
) -> Iterator[Event]:
    """Events in a stream, each as soon as nothing to come can change it; in bounded memory.

    Args:
        model: Of events, whose encoder, normalizer and front end can stream.
        blocks: Samples (N,) at the model's rate, of any length.
        settings: See ``events_of_file``.

    Raises:
        ModelError: The model finds no events, or cannot stream; the message says what to do.
        SeqlabError: A threshold is for no label.
    """
    _check_task(model)
    frames = EncodedStream(model)
    stream = EventStream(model.tokenizer.tokens, model.frame_s, settings)
    listener, state = frames.initial_state(), stream.initial_state()
    for block in blocks:
        encoded, listener = frames.step(block, listener)
        found, state = stream.step(_said(model, encoded), state)
        yield from found
    found, state = stream.step(_said(model, frames.flush(listener)), state)
    yield from found
    yield from stream.flush(state)


def _check_task(model: SpeechModel) -> None:
    if model.task != "detection":
        raise ModelError(f"a model for {model.task} finds no events; train one with an EventHead")


def _said(model: SpeechModel, encoded: Tensor) -> NDArray[np.float64]:
    """Probabilities (T', C) of encoded frames (1, T', D)."""
    lengths = torch.tensor([encoded.shape[1]], device=encoded.device)
    with evaluating(model), torch.inference_mode():
        log_probs: Tensor = model.head(encoded, lengths)
    return _probabilities(log_probs[0])


def _probabilities(log_probs: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = log_probs.double().exp().clamp(max=1).cpu().numpy()
    return found


def _heard(model: SpeechModel, samples: Samples) -> NDArray[np.float64]:
    """Probabilities (T', C) of a window (N,)."""
    window, lengths = torch.from_numpy(samples), torch.tensor([len(samples)])
    if int(model.output_lengths(lengths)) == 0:
        return np.zeros((0, len(model.tokenizer)))
    log_probs, _ = model(window[None].to(model.device), lengths.to(model.device))
    return _probabilities(log_probs[0])
