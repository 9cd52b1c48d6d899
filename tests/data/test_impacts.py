"""Hard things struck, as noise: modes that ring and die as they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.data.corpora import prepare
from seqlab.data.corpora._impacts import _blow, _recording, _Thing
from seqlab.data.manifest import read_manifest
from seqlab.errors import SeqlabError

RATE = 16000


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    folder = tmp_path / "noises"
    (folder / "noise").mkdir(parents=True)
    save_audio(folder / "noise" / "hum.wav", 0.1 * torch.ones(RATE), RATE)
    return folder


def test_a_mode_is_60_db_down_when_its_time_is_over() -> None:
    thing = _Thing(np.array([1000.0]), np.array([0.4]), np.array([1.0]))
    ring = _blow(thing, np.random.default_rng(0), RATE)
    spectrum = np.abs(np.fft.rfft(ring, 2 * RATE))
    assert abs(np.argmax(spectrum) / 2 - 1000) < 2  # Hz
    levels = [np.abs(ring[round(t * RATE) :][:160]).max() for t in (0.05, 0.15, 0.25, 0.35)]
    assert 20 * np.log10(levels) == pytest.approx(
        20 * np.log10(levels[0]) - 15 * np.arange(4), abs=0.2
    )
    assert np.abs(ring).max() == pytest.approx(1)


def test_sound_begins_at_once_and_things_differ() -> None:
    """The loudest hundredth holds a quarter of the power or more; of white noise it holds 8 %."""
    spectra = []
    for seed in range(6):
        sound = _recording(np.random.default_rng(seed), 20 * RATE, RATE).numpy()
        power = np.sort(sound**2)[::-1]
        assert power[: len(power) // 100].sum() > 0.25 * power.sum()
        rungs = np.abs(np.fft.rfft(sound).reshape(-1)[:160_000]).reshape(40, -1).mean(1)
        spectra.append(np.log(rungs))
    assert np.std(spectra, axis=0).mean() > 0.3


def test_they_join_the_training_noise_the_same_every_time(tmp_path: Path, noises: Path) -> None:
    for out in ("one", "two"):
        prepare("noise", noises, tmp_path / out, impacts_minutes="1.1")
    made = read_manifest(tmp_path / "one" / "noise_train.jsonl.gz")
    assert [u.id for u in made[1:]] == ["impacts/000", "impacts/001"]
    assert [u.duration_s for u in made[1:]] == [60.0, 6.0]
    one, two = (tmp_path / out / "impacts" / "001.flac" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert load_audio(one)[0].abs().max() == pytest.approx(0.9, abs=1e-3)


def test_no_time_is_refused(tmp_path: Path, noises: Path) -> None:
    with pytest.raises(SeqlabError, match=r"impacts_minutes=0\.01"):
        prepare("noise", noises, tmp_path / "n", impacts_minutes="0.01")
