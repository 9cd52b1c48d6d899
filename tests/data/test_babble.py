"""Several voices at once, as noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.data.corpora import prepare
from seqlab.data.manifest import Utterance, read_manifest, write_manifest
from seqlab.errors import DataError, SeqlabError

RATE = 16000


@pytest.fixture
def speech(tmp_path: Path) -> str:
    """Nine speakers, each two recordings of a tone of their own: 200, 300, ... 1000 Hz."""
    said = []
    for number in range(9):
        time = torch.arange(RATE * 2) / RATE
        path = tmp_path / f"{number}.wav"
        save_audio(path, 0.5 * torch.sin(2 * torch.pi * 100 * (number + 2) * time), RATE)
        said += [
            Utterance(f"{number}/{part}", str(path), float(part), 1.0, RATE, speaker=str(number))
            for part in range(2)
        ]
    write_manifest(said, tmp_path / "speech.jsonl.gz")
    (tmp_path / "noises" / "noise").mkdir(parents=True)
    save_audio(tmp_path / "noises" / "noise" / "hum.wav", 0.1 * torch.ones(RATE), RATE)
    return str(tmp_path / "speech.jsonl.gz")


def _levels(path: str) -> np.ndarray:
    """Level of each of the nine tones in dB, relative to the loudest."""
    waveform, _ = load_audio(path)
    window = torch.hann_window(len(waveform))
    power = torch.fft.rfft(waveform * window).abs().square()
    width = len(waveform) / RATE  # bins a hertz
    bands = [power[round((f - 40) * width) : round((f + 40) * width)].sum() for f in TONES]
    found = 10 * np.log10(np.array(bands))
    return found - found.max()


TONES = range(200, 1001, 100)


def test_two_to_seven_voices_of_about_one_level(tmp_path: Path, speech: str) -> None:
    prepare("noise", tmp_path / "noises", tmp_path / "n", babble=speech, babble_minutes="8.5")
    made = read_manifest(tmp_path / "n" / "noise_train.jsonl.gz")
    assert [u.id for u in made[-9:]] == [f"babble/00{n}" for n in range(9)] and len(made) == 10
    assert [u.duration_s for u in made[1:]] == [60.0] * 8 + [30.0]
    counts = []
    for recording in made[1:]:
        levels = _levels(str(recording.path))
        voices = levels > -20
        counts.append(int(voices.sum()))
        assert levels[voices].min() > -6.5  # no voice is further below the loudest
    assert min(counts) >= 2 and max(counts) <= 7 and len(set(counts)) > 2


def test_the_same_every_time(tmp_path: Path, speech: str) -> None:
    for out in ("one", "two"):
        prepare("noise", tmp_path / "noises", tmp_path / out, babble=speech, babble_minutes="0.2")
    one, two = (tmp_path / out / "babble" / "000.flac" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_one_voice_or_no_time_is_refused(tmp_path: Path, speech: str) -> None:
    one = [u for u in read_manifest(speech) if u.speaker == "3"]
    write_manifest(one, tmp_path / "one.jsonl.gz")
    with pytest.raises(DataError, match="1 speakers, must have 2 at least"):
        prepare("noise", tmp_path / "noises", tmp_path / "n", babble=str(tmp_path / "one.jsonl.gz"))
    with pytest.raises(SeqlabError, match="babble_minutes=0"):
        prepare("noise", tmp_path / "noises", tmp_path / "n", babble=speech, babble_minutes="0")
