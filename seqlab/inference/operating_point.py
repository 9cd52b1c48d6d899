"""Thresholds of a spotting model for a wanted rate of false alarms, kept beside its weights."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import load_audio
from seqlab.data.manifest import write_atomically
from seqlab.data.utterance import Utterance
from seqlab.decoding.keyword import DetectorSettings, count_firings
from seqlab.detection import DetectionCurve, Trial, best_scores, counted_curve
from seqlab.errors import DataError, ModelError
from seqlab.inference.spotting import Spotter
from seqlab.values import shown

__all__ = [
    "FILE_NAME",
    "Measurement",
    "OperatingPoint",
    "PhrasePoint",
    "choose",
    "count_alarms",
    "hear_keywords",
    "levels",
]

FILE_NAME = "spotting.json"
_FORMAT = "seqlab-spotting"
_LARGEST_FILE = 2**20  # bytes
_LEVELS = 400
_LATE_S = 0.3  # after the end of a recording, within which its keyword may peak


def levels() -> NDArray[np.float64]:
    """The thresholds that are tried: evenly apart in log-odds, from 0.0001 to 0.999999."""
    odds = np.linspace(np.log(1e-4), np.log(1e6), _LEVELS)
    return 1 / (1 + np.exp(-odds))


def hear_keywords(
    spotter: Spotter, positives: Sequence[Utterance], snr_db: float | None = None
) -> list[Trial]:
    """Best score of each true keyword, of phrases of each recording that holds one.

    The recordings are heard one after the other as one stream, as a device would. A keyword may
    peak up to 0.3 s after the end of its recording.

    Args:
        spotter: Model and settings; its thresholds do not matter.
        positives: Recordings of a keyword each, which ``label`` names, or of typed phrases, which
            the transcripts hold; one at least.
        snr_db: Of all of them, where noise was mixed in.

    Raises:
        DataError: A label is no keyword of the model, or there are no positives.
        AudioError: A recording cannot be used.
    """
    keywords = spotter.detector.keywords
    for utterance in positives:
        if not spotter.said(utterance.target or ""):
            raise DataError(
                f"utterance {utterance.id}: {shown(utterance.target)} is no keyword of the model "
                f"({', '.join(keywords)}); leave it out of the positives"
            )
    if not positives:
        raise DataError("there are no positives; list recordings of the keywords in the manifest")
    ends: list[int] = []
    scores = np.concatenate(list(spotter.scores(_sound(spotter, positives, ends))))
    late = round(_LATE_S / spotter.frame_s)
    trials = []
    for utterance, begin, end in zip(positives, [0, *ends], ends, strict=False):
        interval = (begin // spotter.unit, -(-end // spotter.unit) + late)
        for label in spotter.said(utterance.target or ""):
            [score] = best_scores(scores[:, keywords.index(label)], [interval])
            trials.append(Trial(label, float(score), utterance.speaker, snr_db))
    return trials


def count_alarms(
    spotter: Spotter, blocks: Iterable[Tensor]
) -> tuple[dict[str, NDArray[np.int64]], float]:
    """False alarms of each keyword at each of ``levels()``, and the hours of sound.

    Every threshold is tried by the very detector that will run, in one pass and bounded memory.

    Args:
        spotter: Model and settings; its thresholds do not matter.
        blocks: Sound without the keywords, such as ``read_blocks`` gives.
    """
    detector = spotter.detector
    frames = 0

    def counted() -> Iterator[NDArray[np.float64]]:
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


@dataclass(frozen=True)
class Measurement:
    """What a spotting model did on keywords and on hours of other sound.

    Args:
        trials: Of the keywords.
        alarms: Of each keyword at each of ``levels()``.
        hours: Of the other sound.
    """

    trials: Sequence[Trial]
    alarms: Mapping[str, NDArray[np.int64]]
    hours: float

    @classmethod
    def of(
        cls, spotter: Spotter, positives: Sequence[Utterance], negatives: Sequence[Utterance]
    ) -> Measurement:
        """Hear both.

        Raises:
            DataError: One is empty, or a label of the positives is no keyword of the model.
            AudioError: A recording cannot be used.
        """
        if not negatives:
            raise DataError("there are no negatives; list recordings without the keywords")
        trials = hear_keywords(spotter, positives)
        alarms, hours = count_alarms(spotter, _sound(spotter, negatives))
        if hours == 0:
            raise DataError("the negatives are too short for a single frame; list hours of sound")
        return cls(trials, alarms, hours)

    @property
    def curves(self) -> dict[str, DetectionCurve]:
        """Of each keyword that was among the positives."""
        found: dict[str, DetectionCurve] = {}
        for label, alarms in self.alarms.items():
            scores = [trial.score for trial in self.trials if trial.label == label]
            if scores:
                found[label] = counted_curve(scores, levels(), alarms, self.hours)
        return found


@dataclass(frozen=True)
class PhrasePoint:
    """What a phrase's threshold did where it was chosen.

    Args:
        threshold: In use.
        missed: Keywords below it.
        total: Keywords.
        false_alarms: In all negatives.
    """

    threshold: float
    missed: int
    total: int
    false_alarms: int


@dataclass(frozen=True)
class OperatingPoint:
    """Settings of a detector for one model, and what they were chosen by.

    Args:
        settings: With a threshold for each keyword.
        window_s: See ``seqlab.inference.posteriors.posterior_stream``.
        hop_s: The same.
        wanted: False alarms per hour, of each phrase, that were allowed.
        negative_hours: Of the sound that they were counted in.
        phrases: Figures of each keyword.
    """

    settings: DetectorSettings
    window_s: float
    hop_s: float
    wanted: float
    negative_hours: float
    phrases: Mapping[str, PhrasePoint]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``spotting.json`` into a model folder, in one step.

        Raises:
            DataError: It cannot be written.
        """
        content = {"format": _FORMAT, "format_version": 1, **dataclasses.asdict(self)}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(Path(folder) / FILE_NAME, text.encode())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> OperatingPoint | None:
        """Read what ``save`` wrote; None where a model folder has none.

        Raises:
            ModelError: It is damaged, or a value is out of range.
        """
        path = Path(folder) / FILE_NAME
        if not path.exists():
            return None
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
                raise ValueError("it is no operating point")
            if content.pop("format_version") != 1:
                raise ValueError("a newer seqlab wrote it")
            settings = DetectorSettings(**content.pop("settings"))
            phrases = {n: PhrasePoint(**point) for n, point in content.pop("phrases").items()}
            return cls(settings=settings, phrases=phrases, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(
                f"{path} cannot be used: {error}; make it again with seqlab operating-point"
            ) from error


def choose(
    measurement: Measurement,
    wanted: float,
    spotter: Spotter,
    *,
    window_s: float,
    hop_s: float,
) -> OperatingPoint:
    """The thresholds that miss least within a rate of false alarms, each phrase for itself.

    Of the thresholds that miss equally few within the rate, the one in the middle: as far from
    the next false alarm as from the next miss.

    Args:
        measurement: Of this spotter.
        wanted: False alarms per hour of each phrase, 0 or more.
        spotter: Whose settings, but for the thresholds, are kept.
        window_s: That it was made with.
        hop_s: The same.

    Raises:
        ModelError: A phrase alarms more often at every threshold.
        SeqlabError: ``wanted`` is below 0.
    """
    phrases, tried = {}, levels()
    for label, curve in measurement.curves.items():
        missed, highest = curve.at(wanted)
        if not highest < np.inf:
            raise ModelError(
                f"{label!r} has more than {wanted:g} false alarms per hour at every threshold; "
                "train longer or with harder negatives, or allow more"
            )
        fits = (curve.false_alarms_per_hour[:-1] <= wanted) & (
            curve.false_rejection_rates[:-1] == missed
        )
        place = int(np.flatnonzero(fits)[(fits.sum() - 1) // 2])
        scores = [trial.score for trial in measurement.trials if trial.label == label]
        below = sum(score < float(tried[place]) for score in scores)
        alarms = int(measurement.alarms[label][place])
        phrases[label] = PhrasePoint(float(tried[place]), below, len(scores), alarms)
    thresholds = {label: point.threshold for label, point in phrases.items()}
    settings = dataclasses.replace(spotter.detector.settings, thresholds=thresholds)
    return OperatingPoint(settings, window_s, hop_s, wanted, measurement.hours, phrases)


def _sound(
    spotter: Spotter, utterances: Iterable[Utterance], ends: list[int] | None = None
) -> Iterator[Tensor]:
    """The recordings one after the other; ``ends`` takes the sample after each."""
    at = 0
    for utterance in utterances:
        waveform, _ = load_audio(
            utterance.path,
            start_s=utterance.start_s,
            duration_s=utterance.duration_s,
            sample_rate=spotter.sample_rate,
        )
        at += len(waveform)
        if ends is not None:
            ends.append(at)
        yield waveform
