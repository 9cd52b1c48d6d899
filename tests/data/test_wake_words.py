"""Preparers of wake words and of noise, on made-up layouts and on the real ones."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.data.corpora import prepare
from seqlab.data.corpora.wake_words import PHRASES
from seqlab.data.manifest import read_manifest
from seqlab.errors import DataError

REAL = os.environ.get("SEQLAB_DATA")


def tone(path: Path, seed: int, seconds: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randn(round(16000 * seconds), generator=torch.Generator().manual_seed(seed))
    save_audio(path, 0.1 * noise, 16000)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for place, phrase in enumerate(PHRASES):
        for number in range(20):
            name = str(number) if phrase == "alexa" else f"clip-{number}"
            tone(
                tmp_path / "audio" / phrase.replace(" ", "_") / f"{name}.wav", 100 * place + number
            )
    (tmp_path / "audio" / "alexa" / "21.wav").write_bytes(b"damaged")
    tone(tmp_path / "audio" / "multiple_keywords.wav", 1)
    return tmp_path


def test_splits_of_the_published_layout(corpus: Path, tmp_path: Path) -> None:
    prepare("wake_words", corpus, tmp_path / "out")
    splits = {
        s: read_manifest(tmp_path / "out" / f"{s}.jsonl.gz") for s in ("train", "dev", "test")
    }
    everything = [u for utterances in splits.values() for u in utterances]
    assert len(everything) == 120 and {u.label for u in everything} == set(PHRASES)
    numbered = {s: sorted(int(Path(u.path).stem) for u in us if u.label == "alexa")
                for s, us in splits.items()}  # fmt: skip
    assert numbered == {
        "train": list(range(10)),
        "dev": [10, 11],
        "test": list(range(12, 20)),
    }


def test_noisy_test_is_the_same_every_time(corpus: Path, tmp_path: Path) -> None:
    tone(tmp_path / "noises" / "noise" / "hum.wav", 9, seconds=2.0)
    prepare("noise", tmp_path / "noises", tmp_path / "n")
    noise = str(tmp_path / "n" / "noise_train.jsonl.gz")
    for out in ("one", "two"):
        prepare("wake_words", corpus, tmp_path / out, noise=noise, dev_noise=noise, snr_db="10")
    one, two = (read_manifest(tmp_path / out / "test_noisy.jsonl.gz") for out in ("one", "two"))
    clean = read_manifest(tmp_path / "one" / "test.jsonl.gz")
    assert len(one) == len(clean)
    for a, b, c in zip(one, two, clean, strict=True):
        assert Path(a.path).read_bytes() == Path(b.path).read_bytes()
        speech, mixed = load_audio(c.path)[0], load_audio(a.path)[0]
        loudest = [  # of the benchmark's frames, 512 samples
            max(float(part.square().sum()) for part in sound.split(512) if len(part) == 512)
            for sound in (speech, mixed - speech)
        ]
        assert 10 * math.log10(loudest[0] / loudest[1]) == pytest.approx(10, abs=0.1)
    noisy = read_manifest(tmp_path / "one" / "dev_noisy.jsonl.gz")
    assert len(noisy) == len(read_manifest(tmp_path / "one" / "dev.jsonl.gz"))


def test_training_clips_lose_their_pauses(corpus: Path, tmp_path: Path) -> None:
    """A second of noise from 1.5 s on, within four seconds of faint noise."""
    for path in sorted(corpus.glob("audio/*/*.wav"))[:-1]:
        generator = torch.Generator().manual_seed(1)
        sound = 0.001 * torch.randn(64000, generator=generator)
        sound[24000:40000] *= 100
        save_audio(path, sound, 16000)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    prepare("wake_words", corpus, whole)
    prepare("wake_words", corpus, cut, margin_s=0.4)
    for split in ("dev", "test"):
        assert [u.duration_s for u in read_manifest(cut / f"{split}.jsonl.gz")] == [
            u.duration_s for u in read_manifest(whole / f"{split}.jsonl.gz")
        ]
    long = [u for u in read_manifest(cut / "train.jsonl.gz") if u.duration_s > 0.2]
    assert len(long) > 50
    for clip in long:
        assert clip.start_s == pytest.approx(1.1, abs=0.06)
        assert clip.duration_s == pytest.approx(1.8, abs=0.1)
    with pytest.raises(DataError, match=r"margin_s=-1\.0 must be 0 or more seconds"):
        prepare("wake_words", corpus, cut, margin_s=-1.0)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "audio" / "alexa").mkdir(parents=True)
    with pytest.raises(DataError, match=r"must hold audio/ with a folder a phrase"):
        prepare("wake_words", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"must hold manifest\.tsv with the columns"):
        prepare("noise", tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\tsplit\nx\ttrain\n", "no column 'kind'"),
        ("path\tkind\tsplit\nx\tmusic\ttrain\n", r":2: kind 'music' must be noise or rir"),
        ("path\tkind\tsplit\nx\tnoise\n", ":2: 2 columns, must be 3"),
    ],
)
def test_bad_noise_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.tsv").write_text(text)
    with pytest.raises(DataError, match=message):
        prepare("noise", tmp_path, tmp_path / "out")


@pytest.mark.data
@pytest.mark.skipif(REAL is None, reason="SEQLAB_DATA is not set")
def test_real_noise(tmp_path: Path) -> None:
    summary = prepare("noise", Path(str(REAL)) / "noise_rir", tmp_path)
    counts = {row[0]: row[1] for row in summary.rows()[1:]}
    assert {name: int(str(n)) for name, n in counts.items()} == {
        "noise_dev": 2, "noise_test": 4, "noise_train": 8,
        "rir_dev": 1, "rir_test": 2, "rir_train": 2,
    }  # fmt: skip


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="SEQLAB_DATA is not set")
def test_real_splits_are_those_of_the_table(tmp_path: Path) -> None:
    source = Path(str(REAL)) / "wake_word_benchmark"
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "audio").symlink_to(source / "audio")
    prepare("wake_words", source, tmp_path / "listed")
    prepare("wake_words", tmp_path / "copy", tmp_path / "drawn")
    for split in ("train", "dev", "test"):
        names = [
            {Path(u.path).name for u in read_manifest(tmp_path / out / f"{split}.jsonl.gz")}
            for out in ("listed", "drawn")
        ]
        assert names[0] == names[1]
