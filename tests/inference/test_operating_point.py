"""Thresholds for a rate of false alarms: what is chosen is what then happens."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.data.utterance import Utterance, from_file
from seqlab.decoding.keyword import DetectorSettings
from seqlab.detection import Trial
from seqlab.errors import DataError, ModelError
from seqlab.inference.hearing import levels
from seqlab.inference.operating_point import FILE_NAME, Measurement, OperatingPoint, choose
from seqlab.inference.spotting import KeywordSpotter, spot_blocks
from tests.inference.keywords import beeps, spotting_model
from tests.inference.tones import RATE

SETTINGS = DetectorSettings(smoothing_s=0.05, refractory_s=0.3)
WINDOWS = {"window_s": 1.0, "hop_s": 0.1}


def spotter_of(settings: DetectorSettings = SETTINGS) -> KeywordSpotter:
    return KeywordSpotter(spotting_model(), settings, block_s=5.0)


def faint(labels: str, level: float, seed: int) -> Tensor:
    """Keywords that are hardly there."""
    sound, _ = beeps(labels, seed=seed)
    return sound * level + 0.003 * torch.randn(
        len(sound), generator=torch.Generator().manual_seed(seed)
    )


@pytest.fixture(scope="module")
def positives(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder, found = tmp_path_factory.mktemp("positives"), []
    for place, label in enumerate("abcabc"):
        path = folder / f"{place}.wav"
        save_audio(path, beeps(label, seed=place)[0], RATE)
        found.append(from_file(path, str(place), label=label, speaker="xy"[place % 2]))
    return found


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder, found = tmp_path_factory.mktemp("negatives"), []
    for place, level in enumerate((0.02, 0.1, 0.25)):
        path = folder / f"{place}.wav"
        save_audio(path, faint("abc" * 4, level, place), RATE)
        found.append(from_file(path, str(place)))
    return found


def sound_of(utterances: list[Utterance]) -> Tensor:
    from seqlab.audio import load_audio

    return torch.cat([load_audio(u.path)[0] for u in utterances])


def test_the_chosen_threshold_keeps_its_promise(
    positives: list[Utterance], negatives: list[Utterance]
) -> None:
    spotter = spotter_of()
    measured = Measurement.of(spotter, positives, negatives)
    for wanted in (0.0, 60.0, 1e6):
        point = choose(measured, wanted, spotter, **WINDOWS)
        alarmed = list(spot_blocks(spotter_of(point.settings), [sound_of(negatives)]))
        for label, phrase in point.phrases.items():
            alarms = sum(d.label == label for d in alarmed)
            assert alarms == phrase.false_alarms <= wanted * measured.hours
            assert (phrase.missed, phrase.total) == (0, 2)
        assert point.settings.smoothing_s == SETTINGS.smoothing_s


def test_alarms_in_the_recordings_of_other_keywords_stand_apart() -> None:
    silent, busy = np.zeros(len(levels()), dtype=np.int64), (levels() < 0.6).astype(np.int64)
    trials = [Trial("a", 0.8), Trial("b", 0.5)]
    others = {"a": busy, "b": silent}
    hours = {"a": 1.0, "b": 3.0}
    measured = Measurement(trials, {"a": silent, "b": silent}, 2.0, others, hours)
    point = choose(measured, 0.0, spotter_of(), **WINDOWS)
    heard = {label: (p.other_alarms, p.other_hours) for label, p in point.phrases.items()}
    assert heard == {"a": (1, 1.0), "b": (0, 3.0)}


def test_the_threshold_is_in_the_middle_of_what_serves() -> None:
    """By hand: no alarm from 0.3 up, no miss up to 0.8; in log-odds the middle is 0.567."""
    alarms = (levels() < 0.3).astype(np.int64) * 5
    measured = Measurement([Trial("a", 0.8), Trial("a", 0.9)], {"a": alarms}, hours=2.0)
    point = choose(measured, 0.0, spotter_of(), **WINDOWS)
    assert point.settings.thresholds["a"] == pytest.approx(0.567, abs=0.01)
    assert point.phrases["a"].false_alarms == 0


def test_a_phrase_that_is_heard_only_where_it_alarms_too_often() -> None:
    """All keywords are missed at the wanted rate, and a threshold keeps it nevertheless."""
    alarms = (levels() < 0.9).astype(np.int64) * 5
    measured = Measurement([Trial("a", 0.3), Trial("a", 0.5)], {"a": alarms}, hours=2.0)
    point = choose(measured, 0.4, spotter_of(), **WINDOWS)
    assert point.settings.thresholds["a"] >= 0.9
    assert (point.phrases["a"].missed, point.phrases["a"].false_alarms) == (2, 0)


def test_a_phrase_that_cannot_be_kept_quiet() -> None:
    alarms = np.full(len(levels()), 5)
    measured = Measurement([Trial("a", 0.8)], {"a": alarms}, hours=2.0)
    with pytest.raises(ModelError, match="'a' has more than 1 false alarms per hour at every"):
        choose(measured, 1.0, spotter_of(), **WINDOWS)


def test_kept_in_the_model_folder(
    tmp_path: Path, positives: list[Utterance], negatives: list[Utterance]
) -> None:
    spotter, folder = spotter_of(), tmp_path / "model"
    spotting_model().save(folder)
    assert OperatingPoint.load(folder) is None
    point = choose(Measurement.of(spotter, positives, negatives), 0.0, spotter, **WINDOWS)
    point.save(folder)
    assert OperatingPoint.load(folder) == point
    # A new model does not inherit the thresholds of the old one.
    spotting_model().save(folder)
    assert OperatingPoint.load(folder) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "{", "Expecting"),
        (lambda c: "[]", "no operating point"),
        (lambda c: json.dumps(c | {"format_version": 9}), "newer seqlab"),
        (lambda c: json.dumps(c | {"evil": 1}), "evil"),
        (lambda c: json.dumps(c | {"settings": {"threshold": 7}}), "threshold=7"),
        (lambda c: json.dumps(c | {"settings": {"thresholds": 7}}), "spotting.json"),
        (lambda c: json.dumps(c | {"settings": {"thresholds": {"a": "x"}}}), "a='x'"),
        (lambda c: json.dumps(c | {"phrases": [1]}), "spotting.json"),
        (lambda c: "[" * 100_000, "spotting.json"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change, message: str) -> None:
    point = OperatingPoint(SETTINGS, 1.0, 0.1, 0.4, 2.0, {})
    point.save(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(ModelError, match=message) as caught:
        OperatingPoint.load(tmp_path)
    assert "seqlab operating-point" in str(caught.value)


def test_bad_manifests(positives: list[Utterance], negatives: list[Utterance]) -> None:
    spotter = spotter_of()
    wrong = dataclasses.replace(positives[0], label="d")
    with pytest.raises(DataError, match=r"'d' is no keyword of the model \(a, b, c\)"):
        Measurement.of(spotter, [wrong], negatives)
    with pytest.raises(DataError, match="no positives"):
        Measurement.of(spotter, [], negatives)
    with pytest.raises(DataError, match="no negatives"):
        Measurement.of(spotter, positives, [])
