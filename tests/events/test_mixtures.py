"""Prepared mixtures: what is said to be there is there, the same again, and resumable."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import load_audio
from seqlab.data.corpora import prepare
from seqlab.data.corpora._mixing import trimmed
from seqlab.data.manifest import read_manifest
from seqlab.errors import SeqlabError
from tests.events.recordings import RATE, TONES, make_noises, make_words

SIZES = {"train": 6, "dev": 2, "test": 3}


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return make_words(tmp_path / "words")


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    return make_noises(tmp_path / "noises")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.flac"))}


def test_sounds_are_where_they_are_said_to_be(words: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    prepare("events", words, dest, **SIZES, min_snr_db=30, max_snr_db=30, max_words=3)
    for split, count in SIZES.items():
        found = read_manifest(dest / f"{split}.jsonl.gz")
        assert len(found) == count
        for mixture in found:
            waveform, rate = load_audio(mixture.path)
            assert rate == RATE and len(waveform) == 6 * RATE and waveform.abs().max() <= 1
            assert mixture.events and 1 <= len(mixture.events) <= 3
            for event in mixture.events:
                assert event.duration_s == pytest.approx(0.3, abs=0.011)  # silence is cut off
                first, last = round(event.onset_s * RATE), round(event.offset_s * RATE)
                spectrum = torch.fft.rfft(waveform[first:last]).abs()
                others = [e for e in mixture.events if e is not event]
                if all(e.offset_s < event.onset_s or e.onset_s > event.offset_s for e in others):
                    hertz = float(spectrum.argmax()) * RATE / (last - first)
                    assert hertz == pytest.approx(TONES[event.label], rel=0.02)


def test_speakers_are_in_one_split(words: Path, tmp_path: Path) -> None:
    options = {"dev_speakers": "bob", "test_speakers": "ann"}
    summary = prepare("events", words, tmp_path / "dest", **SIZES, **options)
    speakers = {
        split: {u.speaker for u in read_manifest(tmp_path / "dest" / f"{split}.jsonl.gz")}
        for split in SIZES
    }
    assert speakers == {"train": {"cyd"}, "dev": {"bob"}, "test": {"ann"}}
    assert summary.speaker_overlap == {} and not summary.warnings
    drawn = prepare("events", words, tmp_path / "drawn", **SIZES)
    assert [split.speakers for split in drawn.splits.values()] == [1, 1, 1]


def test_clips_of_noise(words: Path, noises: Path, tmp_path: Path) -> None:
    prepare("events", words, tmp_path / "dest", noise=str(noises), train=10, dev=0, test=0)
    found = read_manifest(tmp_path / "dest" / "train.jsonl.gz")
    clips = [e for u in found for e in u.events or () if e.label == "noise"]
    assert clips and all(0.3 - 1e-6 <= e.duration_s <= 1.5 for e in clips)


def test_equal_options_give_equal_samples(words: Path, noises: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare("events", words, tmp_path / name, **SIZES, noise=str(noises), seed=seed)
    made = [contents(tmp_path / name) for name in "abc"]
    assert made[0] == made[1] != made[2]
    assert len(made[0]) == sum(SIZES.values())
    texts = [(tmp_path / name / "summary.json").read_text() for name in "ab"]
    assert texts[0] == texts[1]


def test_it_goes_on_where_it_stopped(words: Path, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    prepare("events", words, dest, **SIZES)
    before = contents(dest)
    kept, lost, cut = sorted((dest / "audio" / "train").glob("*.flac"))[:3]
    os.utime(kept, ns=(1, 1))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:20])  # as no preparation leaves it
    (dest / "train.jsonl.gz").unlink()
    prepare("events", words, dest, **SIZES)
    assert contents(dest) == before
    assert kept.stat().st_mtime_ns == 1, "what was there was made again"
    prepare("events", words, dest, **SIZES, seed=1)
    assert contents(dest).keys() == before.keys() and contents(dest) != before
    assert kept.stat().st_mtime_ns != 1
    prepare("events", words, dest, **SIZES)
    assert contents(dest) == before


def test_signal_to_noise_ratio(words: Path, tmp_path: Path) -> None:
    """At 0 dB and one word the middle of a mixture is twice as strong where the word is."""
    options = {"min_snr_db": 0, "max_snr_db": 0, "max_words": 1}
    prepare("events", words, tmp_path / "dest", train=12, dev=0, test=0, **options)
    ratios = []
    for mixture in read_manifest(tmp_path / "dest" / "train.jsonl.gz"):
        waveform = load_audio(mixture.path)[0].numpy().astype(np.float64)
        (event,) = mixture.events or ()
        inside = np.zeros(len(waveform), dtype=bool)
        inside[round(event.onset_s * RATE) : round(event.offset_s * RATE)] = True
        ratios.append(np.mean(waveform[inside] ** 2) / np.mean(waveform[~inside] ** 2))
    assert np.median(ratios) == pytest.approx(2.0, rel=0.25)


def test_trimming_keeps_silence_of_nothing() -> None:
    assert len(trimmed(torch.zeros(100), RATE)) == 100
    assert len(trimmed(torch.cat([torch.zeros(805), torch.ones(10)]), RATE)) <= 80


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train": -1}, "train=-1 must be a whole number"),
        ({"train": 0, "dev": 0, "test": 0}, "make nothing"),
        ({"duration_s": 1}, "duration_s=1 must be a number within"),
        ({"duration_s": "nan"}, "duration_s=nan"),
        ({"max_words": 0}, "max_words=0"),
        ({"max_noises": -1}, "max_noises=-1"),
        ({"min_snr_db": 10, "max_snr_db": 5}, "max_snr_db=5 must be a number within"),
        ({"seed": -1}, "seed=-1"),
        ({"dev_speakers": "dan"}, "dev_speakers: 'dan' is not among ann, bob, cyd"),
        ({"dev_speakers": "ann", "test_speakers": "ann"}, "must be in one"),
        ({"dev_speakers": "ann,bob", "test_speakers": "cyd"}, "no speaker of 3 is left for train"),
        ({"noise": "/nowhere"}, "/nowhere does not exist"),
    ],
)
def test_bad_options(words: Path, tmp_path: Path, options: dict, says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        prepare("events", words, tmp_path / "dest", **options)
    assert not (tmp_path / "dest").exists()


def test_bad_source(tmp_path: Path, words: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SeqlabError, match="holds nothing; the folder of FSDD must hold"):
        prepare("events", tmp_path / "empty", tmp_path / "dest")
    with pytest.raises(SeqlabError, match="does not exist"):
        prepare("events", tmp_path / "none", tmp_path / "dest")


@pytest.mark.data
def test_real_words_and_noises(corpora: Path, tmp_path: Path) -> None:
    options = {"train": 3, "dev": 1, "test": 1, "noise": str(corpora / "noise_rir")}
    summary = prepare("events", corpora / "fsdd", tmp_path / "dest", **options)
    assert summary.splits["train"].sample_rates == (8000,) and not summary.speaker_overlap
