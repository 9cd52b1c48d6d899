"""Thresholds of a spotting model for a wanted rate of false alarms, kept beside its weights."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlab.data.manifest import write_atomically
from seqlab.data.utterance import Utterance
from seqlab.decoding.keyword import DetectorSettings
from seqlab.detection import DetectionCurve, Trial, counted_curve
from seqlab.errors import DataError, ModelError
from seqlab.inference.hearing import count_alarms, hear_keywords, levels, sound_of
from seqlab.inference.spotting import Spotter

__all__ = [
    "FILE_NAME",
    "Measurement",
    "OperatingPoint",
    "PhrasePoint",
    "choose",
]

FILE_NAME = "spotting.json"
_FORMAT = "seqlab-spotting"
_LARGEST_FILE = 2**20  # bytes


@dataclass(frozen=True)
class Measurement:
    """What a spotting model did on keywords and on hours of other sound.

    Args:
        trials: Of the keywords.
        alarms: Of each keyword at each of ``levels()``.
        hours: Of the other sound.
        other_alarms: As ``alarms``, in the recordings of the other keywords.
        other_hours: Of these recordings, for each keyword.
    """

    trials: Sequence[Trial]
    alarms: Mapping[str, NDArray[np.int64]]
    hours: float
    other_alarms: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    other_hours: Mapping[str, float] = field(default_factory=dict)

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
        heard = hear_keywords(spotter, positives)
        alarms, hours = count_alarms(spotter, sound_of(spotter, negatives))
        if hours == 0:
            raise DataError("the negatives are too short for a single frame; list hours of sound")
        return cls(heard.trials, alarms, hours, heard.alarms, heard.hours)

    @property
    def curves(self) -> dict[str, DetectionCurve]:
        """Of each keyword that was among the positives."""
        found: dict[str, DetectionCurve] = {}
        for label, alarms in self.alarms.items():
            scores = [trial.score for trial in self.trials if trial.label == label]
            if scores:
                found[label] = counted_curve(scores, levels(), alarms, self.hours)
        return found

    def at(self, label: str, place: int, threshold: float | None = None) -> PhrasePoint:
        """What a threshold of a keyword does.

        Args:
            label: The keyword.
            place: Of the level at which false alarms are counted.
            threshold: In use; None takes the level.
        """
        threshold = float(levels()[place]) if threshold is None else threshold
        scores = [trial.score for trial in self.trials if trial.label == label]
        missed = sum(score < threshold for score in scores)
        others = int(self.other_alarms[label][place]) if label in self.other_alarms else 0
        hours = self.other_hours.get(label, 0.0)
        alarms = int(self.alarms[label][place])
        return PhrasePoint(threshold, missed, len(scores), alarms, others, hours)


@dataclass(frozen=True)
class PhrasePoint:
    """What a phrase's threshold did where it was chosen.

    Args:
        threshold: In use.
        missed: Keywords below it.
        total: Keywords.
        false_alarms: In all negatives.
        other_alarms: In the recordings of the other keywords.
        other_hours: Of these recordings.
    """

    threshold: float
    missed: int
    total: int
    false_alarms: int
    other_alarms: int = 0
    other_hours: float = 0.0


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
    phrases = {}
    for label, curve in measurement.curves.items():
        missed, _ = curve.at(wanted)
        fits = (curve.false_alarms_per_hour[:-1] <= wanted) & (
            curve.false_rejection_rates[:-1] == missed
        )
        if not fits.any():
            raise ModelError(
                f"{label!r} has more than {wanted:g} false alarms per hour at every threshold; "
                "train longer or with harder negatives, or allow more"
            )
        place = int(np.flatnonzero(fits)[(fits.sum() - 1) // 2])
        phrases[label] = measurement.at(label, place)
    thresholds = {label: point.threshold for label, point in phrases.items()}
    settings = dataclasses.replace(spotter.detector.settings, thresholds=thresholds)
    return OperatingPoint(settings, window_s, hop_s, wanted, measurement.hours, phrases)
