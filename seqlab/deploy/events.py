"""Sound events in recordings and streams with an exported model; no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from seqlab.audio_file import Samples
from seqlab.decoding.event_stream import EventStream
from seqlab.decoding.events import EventSettings, find_events
from seqlab.deploy.audio import read_sample_blocks
from seqlab.deploy.model import ExportedModel, as_samples
from seqlab.deploy.sessions import Array
from seqlab.deploy.streams import ExportStream
from seqlab.errors import ModelError
from seqlab.events.event import Event
from seqlab.events.windows import overlapping_windows

__all__ = ["event_probabilities", "events_of_file", "live_events"]

_BLOCK_S = 5.0


def events_of_file(
    model: ExportedModel,
    path: str | os.PathLike[str],
    settings: EventSettings | None = None,
    *,
    window_s: float = 30.0,
    margin_s: float = 3.0,
) -> list[Event]:
    """Events of a recording, by onset; as ``seqlab.inference.events.events_of_file``.

    Args:
        model: Of events.
        path: An audio file, resampled to the model's rate.
        settings: Of the decoding; ``EventSettings()`` if None.
        window_s: Seconds that are heard at once, 1 to 3600; an export for streams alone hears all.
        margin_s: Seconds at a cut that are heard and not used, from 0.1 to a quarter of that.

    Raises:
        AudioError: The file cannot be used.
        ModelError: The model finds no events.
        SeqlabError: A value is out of range.
    """
    blocks = read_sample_blocks(path, _BLOCK_S, model.sample_rate)
    probabilities = event_probabilities(model, blocks, window_s=window_s, margin_s=margin_s)
    return find_events(probabilities, model.labels, _frame_s(model), settings)


def event_probabilities(
    model: ExportedModel,
    blocks: Iterable[Samples],
    *,
    window_s: float = 30.0,
    margin_s: float = 3.0,
) -> NDArray[np.float64]:
    """Probabilities (T', C) of a recording that comes in blocks (N,) at the model's rate.

    Arguments and errors are those of ``events_of_file``.
    """
    _check_task(model)
    if model.offline is None:
        return np.concatenate(list(_followed(model, blocks)))
    windows = overlapping_windows(blocks, model.facts.unit, model.sample_rate, window_s, margin_s)
    return np.concatenate([_heard(model, w.samples)[w.first : w.last] for w in windows])


def live_events(
    model: ExportedModel, blocks: Iterable[Samples], settings: EventSettings | None = None
) -> Iterator[Event]:
    """Events in a stream, each as soon as nothing to come can change it; in bounded memory.

    Args:
        model: Of events, with a graph for streams.
        blocks: Samples (N,) at the model's rate, of any length.
        settings: See ``events_of_file``.

    Raises:
        ModelError: The model finds no events, or was exported for whole recordings only.
        SeqlabError: A threshold is for no label.
    """
    _check_task(model)
    stream = EventStream(model.labels, _frame_s(model), settings)
    state = stream.initial_state()
    for values in _followed(model, blocks):
        found, state = stream.step(values, state)
        yield from found
    yield from stream.flush(state)


def _followed(model: ExportedModel, blocks: Iterable[Samples]) -> Iterator[NDArray[np.float64]]:
    """Probabilities (T', C) of a stream, part by part."""
    stream = ExportStream(model)
    state = stream.initial_state()
    for block in blocks:
        values, state = stream.step(as_samples(block), state)
        yield _probabilities(values)
    yield _probabilities(stream.flush(state))


def _heard(model: ExportedModel, samples: Samples) -> NDArray[np.float64]:
    if len(samples) < model.facts.least_samples:
        return np.zeros((0, len(model.labels)))
    return _probabilities(model.log_probs(samples))


def _probabilities(log_probs: Array) -> NDArray[np.float64]:
    return np.minimum(np.exp(log_probs.astype(np.float64)), 1.0)


def _frame_s(model: ExportedModel) -> float:
    return model.facts.unit / model.sample_rate


def _check_task(model: ExportedModel) -> None:
    if model.task != "detection":
        raise ModelError(f"{model.folder} is for {model.task} and finds no events")
