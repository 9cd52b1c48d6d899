"""Thresholds chosen on some recordings, measured on others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from seqlab.decoding.keyword import DetectorSettings
from seqlab.detection import Trial
from seqlab.errors import DataError
from seqlab.inference.hearing import levels
from seqlab.inference.judging import MissRateJudge, at_stored
from seqlab.inference.operating_point import Measurement, choose
from seqlab.inference.spotting import KeywordSpotter
from tests.inference.keywords import spotting_model

WINDOWS = {"window_s": 1.0, "hop_s": 0.1}


def measurement(shift: float = 0.0) -> Measurement:
    """One keyword; alarms at 0.3 and 0.6, two hours."""
    alarms = (levels() <= 0.3).astype(np.int64) + (levels() <= 0.6)
    trials = [Trial("a", score - shift) for score in (0.5, 0.7, 0.8, 0.9)]
    return Measurement(trials, {"a": alarms}, hours=2.0)


def test_the_same_recordings_give_the_same() -> None:
    spotter = KeywordSpotter(spotting_model(), DetectorSettings(), block_s=5.0)
    point = choose(measurement(), 0.5, spotter, **WINDOWS)
    assert at_stored(measurement(), point) == point


def test_other_recordings_give_other_figures() -> None:
    spotter = KeywordSpotter(spotting_model(), DetectorSettings(), block_s=5.0)
    point = choose(measurement(), 0.0, spotter, **WINDOWS)
    assert (point.phrases["a"].missed, point.phrases["a"].false_alarms) == (1, 0)
    other = dataclasses.replace(measurement(0.15), hours=4.0)
    found = at_stored(other, point)
    assert found.settings == point.settings and found.negative_hours == 4.0
    scores = [t.score for t in other.trials]
    missed = sum(score < point.phrases["a"].threshold for score in scores)
    assert found.phrases["a"].missed == missed >= 2


def test_between_the_levels_alarms_are_not_understated() -> None:
    spotter = KeywordSpotter(spotting_model(), DetectorSettings(), block_s=5.0)
    point = choose(measurement(), 0.5, spotter, **WINDOWS)
    last = float(levels()[levels() <= 0.6][-1])
    settings = dataclasses.replace(point.settings, thresholds={"a": last + 1e-4})
    found = at_stored(measurement(), dataclasses.replace(point, settings=settings))
    assert found.phrases["a"].false_alarms == 1
    none = dataclasses.replace(point.settings, thresholds={"b": 0.5})
    with pytest.raises(DataError, match="'a' has no threshold"):
        at_stored(measurement(), dataclasses.replace(point, settings=none))


def test_nothing_to_judge_by() -> None:
    with pytest.raises(DataError, match="0 recordings of keywords and 0 without them"):
        MissRateJudge([], [], 0.5)
