"""What a spotting model hears: its keywords, and false alarms at every threshold it could have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data.utterance import Utterance
from seqlab.decoding.firings import Firings, count_firings, firings
from seqlab.detection import Trial
from seqlab.errors import DataError
from seqlab.inference.spotting import Spotter
from seqlab.values import shown

__all__ = ["Heard", "count_alarms", "hear_keywords", "levels", "sound_of"]

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

_LEVELS = 400
_LATE_S = 0.3  # after the end of a recording, within which its keyword may fire


def levels() -> Scores:
    """The thresholds that are tried: evenly apart in log-odds, from 0.0001 to 0.999999."""
    odds = np.linspace(np.log(1e-4), np.log(1e6), _LEVELS)
    return 1 / (1 + np.exp(-odds))


@dataclass(frozen=True)
class Heard:
    """What a spotting model did on recordings of its keywords.

    Args:
        trials: One for each keyword of each recording.
        alarms: Of each keyword at each of ``levels()``, in recordings that hold others alone.
        hours: Of those recordings, for each keyword.
    """

    trials: list[Trial]
    alarms: dict[str, Counts]
    hours: dict[str, float]


def hear_keywords(
    spotter: Spotter, positives: Sequence[Utterance], snr_db: float | None = None
) -> Heard:
    """The highest threshold at which each true keyword fires, of those that are tried.

    The recordings are heard one after the other as one stream, as a device would, by the very
    detector that will run: a score that is still high from the recording before is no detection.
    A keyword may fire up to 0.3 s after the end of its recording.

    Args:
        spotter: Model and settings; its thresholds do not matter.
        positives: Recordings of a keyword each, which ``label`` names, or of typed phrases, which
            the transcripts hold; one at least.
        snr_db: Of all of them, where noise was mixed in.

    Returns:
        Trials whose score is one of ``levels()``, or -inf where none fired; and the false alarms
        of each keyword among the others.

    Raises:
        DataError: A label is no keyword of the model, or there are no positives.
        AudioError: A recording cannot be used.
    """
    keywords = spotter.detector.keywords
    said = [_said(spotter, utterance) for utterance in positives]
    if not positives:
        raise DataError("there are no positives; list recordings of the keywords in the manifest")
    ends: list[int] = []
    frames, columns, tried = _firings(spotter, sound_of(spotter, positives, ends))
    late = round(_LATE_S / spotter.frame_s)
    borders = [-(-end // spotter.unit) + late for end in ends[:-1]]
    places = np.searchsorted(borders, frames, "right")
    best = np.full((len(positives), len(keywords)), -1)
    np.maximum.at(best, (places, columns), tried)
    own = np.array([[keyword in spoken for keyword in keywords] for spoken in said])
    alarms = np.zeros((len(keywords), _LEVELS), dtype=np.int64)
    false = ~own[places, columns]
    np.add.at(alarms, (columns[false], tried[false]), 1)
    scores = np.append(levels(), -np.inf)  # -1 is the last
    trials = [
        Trial(label, float(scores[best[place, keywords.index(label)]]), utterance.speaker, snr_db)
        for place, utterance in enumerate(positives)
        for label in said[place]
    ]
    seconds = np.diff(ends, prepend=0) @ ~own / spotter.sample_rate
    return Heard(
        trials,
        dict(zip(keywords, alarms, strict=True)),
        {keyword: float(s) / 3600 for keyword, s in zip(keywords, seconds, strict=True)},
    )


def count_alarms(spotter: Spotter, blocks: Iterable[Tensor]) -> tuple[dict[str, Counts], float]:
    """False alarms of each keyword at each of ``levels()``, and the hours of sound.

    Every threshold is tried by the very detector that will run, in one pass and bounded memory.

    Args:
        spotter: Model and settings; its thresholds do not matter.
        blocks: Sound without the keywords, such as ``read_blocks`` gives.
    """
    detector = spotter.detector
    frames = 0

    def counted() -> Iterator[Scores]:
        nonlocal frames
        for scores in spotter.scores(blocks):
            frames += len(scores)
            yield scores

    settings = detector.settings
    counts = count_firings(
        counted(), len(detector.keywords), levels(), settings.release, detector.refractory
    )
    hours = frames * spotter.unit / spotter.sample_rate / 3600
    return dict(zip(detector.keywords, counts, strict=True)), hours


def sound_of(
    spotter: Spotter, utterances: Iterable[Utterance], ends: list[int] | None = None
) -> Iterator[Tensor]:
    """The recordings one after the other; ``ends`` takes the sample after each."""
    at = 0
    for utterance in utterances:
        waveform = utterance.waveform(spotter.sample_rate)
        at += len(waveform)
        if ends is not None:
            ends.append(at)
        yield waveform


def _said(spotter: Spotter, utterance: Utterance) -> list[str]:
    said = spotter.said(utterance.target or "")
    if not said:
        raise DataError(
            f"utterance {utterance.id}: {shown(utterance.target)} is no keyword of the model "
            f"({', '.join(spotter.detector.keywords)}); leave it out of the positives"
        )
    return said


def _firings(spotter: Spotter, blocks: Iterable[Tensor]) -> Firings:
    """All firings at any level."""
    detector = spotter.detector
    found = firings(
        spotter.scores(blocks),
        len(detector.keywords),
        levels(),
        detector.settings.release,
        detector.refractory,
    )
    return Firings(*map(np.concatenate, zip(*found, strict=True)))
