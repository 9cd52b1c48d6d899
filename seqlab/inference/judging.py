"""How many keywords a model misses: while it is trained, and at thresholds that are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from seqlab.data.config import DataConfig, load_split
from seqlab.data.sections import read_sources, without_phrases
from seqlab.data.utterance import Utterance
from seqlab.decoding.keyword import keyword_labels
from seqlab.errors import DataError
from seqlab.inference.hearing import levels
from seqlab.inference.operating_point import Measurement, OperatingPoint
from seqlab.inference.spotting import KeywordSpotter
from seqlab.model import SpeechModel

__all__ = ["MissRateJudge", "at_stored", "miss_rate_judge"]

_BLOCK_S = 5.0


class MissRateJudge:
    """Share of keywords that a streaming detector misses within a rate of false alarms.

    Use it to choose among the epochs of a training by what the model is for; its thresholds are
    the best there are, each keyword for itself, so that the figure flatters a little.

    Args:
        positives: Recordings of a keyword each, which ``label`` names.
        negatives: Recordings without the keywords.
        false_alarms_per_hour: Of each keyword, at least 0.

    Raises:
        DataError: One of the two is empty.
    """

    def __init__(
        self,
        positives: Sequence[Utterance],
        negatives: Sequence[Utterance],
        false_alarms_per_hour: float,
    ) -> None:
        if not positives or not negatives:
            raise DataError(
                f"{len(positives)} recordings of keywords and {len(negatives)} without them; at "
                "least one of each is needed to find a miss rate, see data.dev and data.negatives"
            )
        self.positives, self.negatives = list(positives), list(negatives)
        self.allowed = false_alarms_per_hour

    @property
    def notes(self) -> list[str]:
        """What the negatives cannot tell."""
        hours = sum(u.duration_s for u in self.negatives) / 3600
        if self.allowed * hours >= 1 or self.allowed == 0:
            return []
        return [
            f"{hours:.2f} hours of data.negatives cannot tell {self.allowed:g} false alarms per "
            "hour from none: epochs are compared by their misses without any false alarm"
        ]

    def __call__(self, model: SpeechModel) -> dict[str, float]:
        """``miss_rate``: the mean over the keywords, in [0, 1]; the model stays as it is.

        Raises:
            AudioError: A recording cannot be used.
            ModelError: The model gives no labels.
        """
        spotter = KeywordSpotter(model, block_s=_BLOCK_S)
        measured = Measurement.of(spotter, self.positives, self.negatives)
        missed = [curve.at(self.allowed)[0] for curve in measured.curves.values()]
        return {"miss_rate": sum(missed) / len(missed)}


def miss_rate_judge(data: DataConfig, false_alarms_per_hour: float) -> MissRateJudge | None:
    """The judge of a recipe with ``data.negatives``; None without.

    Its positives are the keywords of ``data.dev``. Negatives in which one is said are left out.

    Raises:
        DataError: A manifest cannot be read, or nothing is left.
    """
    if not data.negatives:
        return None
    dev = load_split(data, "dev")
    keywords = set(keyword_labels([u.target for u in dev if u.target is not None]))
    positives = [u for u in dev if u.target in keywords]
    found = read_sources(data.root, data.negatives, "negatives")
    return MissRateJudge(positives, without_phrases(found, keywords), false_alarms_per_hour)


def at_stored(measurement: Measurement, point: OperatingPoint) -> OperatingPoint:
    """What the thresholds of an operating point do on other recordings than chose them.

    Use it on the test: thresholds that are chosen on the very recordings they are measured on
    flatter.

    Args:
        measurement: Made with the point's settings. False alarms are those at the highest
            threshold that was tried and is not above the point's.
        point: As a model folder holds it.

    Raises:
        DataError: A keyword has no threshold in it.
    """
    tried, phrases = levels(), {}
    for label in measurement.curves:
        if label not in point.settings.thresholds:
            raise DataError(
                f"{label!r} has no threshold in the operating point; leave it out of the "
                "positives, or choose thresholds anew"
            )
        threshold = point.settings.thresholds[label]
        place = max(0, int(np.searchsorted(tried, threshold * (1 + 1e-12), "right")) - 1)
        phrases[label] = measurement.at(label, place, threshold)
    return dataclasses.replace(point, negative_hours=measurement.hours, phrases=phrases)
