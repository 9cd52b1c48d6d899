"""What is heard of keywords and of other sound, held against the detector that runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab.audio import load_audio, save_audio
from seqlab.data.utterance import Utterance, from_file
from seqlab.decoding.keyword import DetectorSettings
from seqlab.inference.hearing import count_alarms, hear_keywords, levels
from seqlab.inference.spotting import KeywordSpotter, spot_blocks
from tests.inference.keywords import beeps, spotting_model
from tests.inference.tones import RATE

SETTINGS = DetectorSettings(smoothing_s=0.05, refractory_s=0.3)


def spotter_of(threshold: float = 0.5) -> KeywordSpotter:
    settings = dataclasses.replace(SETTINGS, threshold=threshold)
    return KeywordSpotter(spotting_model(), settings, block_s=5.0)


def written(path: Path, sound: Tensor, label: str) -> Utterance:
    save_audio(path, sound, RATE)
    return from_file(path, path.stem, label=label, speaker=f"of {label}")


@pytest.fixture(scope="module")
def positives(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("positives")
    return [
        written(folder / f"{place}.wav", beeps(label, seed=place)[0], label)
        for place, label in enumerate("abcabc")
    ]


def test_true_keywords_score_high(positives: list[Utterance]) -> None:
    heard = hear_keywords(spotter_of(), positives, snr_db=20)
    assert [(t.label, t.speaker, t.snr_db) for t in heard.trials] == [
        (label, f"of {label}", 20) for label in "abcabc"
    ]
    assert all(trial.score > 0.8 for trial in heard.trials)
    assert all(trial.score in levels() for trial in heard.trials)


def test_a_score_that_stays_high_is_no_second_detection(tmp_path: Path) -> None:
    """The second recording holds nothing but the end of the first one's keyword."""
    sound, _ = beeps("a", seed=0)
    loud = (sound.abs() > 0.05).nonzero()[:, 0]
    middle = int(loud[0] + loud[-1]) // 2
    first = written(tmp_path / "1.wav", sound[:middle], "a")
    second = written(tmp_path / "2.wav", sound[middle:], "a")
    whole = written(tmp_path / "3.wav", sound, "a")
    scores = [t.score for t in hear_keywords(spotter_of(), [first, second, whole]).trials]
    fired = [d.time_s for d in spot_blocks(spotter_of(), [torch.cat([sound, sound])])]
    assert len(fired) == 2
    assert min(scores[0], scores[2]) > 0.8
    assert scores[1] < 0.5


def test_what_is_heard_in_recordings_of_others(positives: list[Utterance]) -> None:
    """With wrong labels, every keyword that fires is a false alarm, counted as the detector's."""
    wrong = [dataclasses.replace(u, label="b" if u.label == "a" else u.label) for u in positives]
    heard = hear_keywords(spotter_of(), wrong)
    place = int(np.searchsorted(levels(), 0.8))
    assert [int(heard.alarms[label][place]) for label in "abc"] == [2, 0, 0]
    spared = {label: sum(u.duration_s for u in wrong if u.label != label) for label in "abc"}
    assert heard.hours == pytest.approx({k: s / 3600 for k, s in spared.items()})
    assert sum(t.score < 0.8 for t in heard.trials if t.label == "b") == 2


def test_alarms_are_those_of_the_detector_that_runs() -> None:
    """At each of several thresholds, against spotting with that threshold."""
    parts = []
    for seed, level in enumerate((0.02, 0.1, 0.25)):
        sound, _ = beeps("abc" * 4, seed=seed)
        noise = torch.randn(len(sound), generator=torch.Generator().manual_seed(seed))
        parts.append(sound * level + 0.003 * noise)
    sound = torch.cat(parts)
    counts, hours = count_alarms(spotter_of(), sound.split(9000))
    assert hours == pytest.approx(len(sound) / RATE / 3600, rel=1e-3)
    seen = set()
    for place in range(0, len(levels()), 50):
        spotter = spotter_of(float(levels()[place]))
        heard = [d.label for d in spot_blocks(spotter, [sound])]
        assert [heard.count(label) for label in "abc"] == [counts[label][place] for label in "abc"]
        seen.update(heard.count(label) for label in "abc")
    assert len(seen) >= 3


def test_trials_are_those_of_the_detector_that_runs(positives: list[Utterance]) -> None:
    sound = torch.cat([load_audio(u.path)[0] for u in positives])
    for place in range(100, len(levels()), 100):
        threshold = float(levels()[place])
        fired = [d.label for d in spot_blocks(spotter_of(threshold), [sound])]
        trials = hear_keywords(spotter_of(), positives).trials
        for label in "abc":
            heard = sum(t.score >= threshold for t in trials if t.label == label)
            assert heard == min(fired.count(label), 2)
