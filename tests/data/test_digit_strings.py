"""Strings of words: who says what, from which side, and that equal options give equal samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.data.corpora import prepare
from seqlab.data.corpora.digit_strings import Shape, join_words
from seqlab.data.manifest import Utterance, from_file, read_manifest, write_manifest
from seqlab.errors import DataError, SeqlabError

LEVELS = {"one": 0.25, "two": 0.5, "three": 0.75}  # each word a constant, to be found again
RATE = 8000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two splits of words by two speakers: 20 ms of a level of their own, test ones negative."""
    folder = tmp_path / "words"
    folder.mkdir()
    for split, sign in (("train", 1), ("test", -1)):
        utterances: list[Utterance] = []
        for speaker in ("ann", "bob"):
            for word, level in LEVELS.items():
                path = folder / f"{split}-{speaker}-{word}.wav"
                save_audio(path, torch.full((160,), sign * level), RATE)
                utterances.append(from_file(path, path.stem, label=word, speaker=speaker))
        write_manifest(utterances, folder / f"{split}.jsonl.gz")
    return folder


def spoken(waveform: torch.Tensor) -> list[str]:
    """The words of a string: levels, found between pauses or where they change."""
    levels = (waveform * 4).round() / 4
    words, held = [], 0.0
    for level in levels.tolist():
        if level != held and level:
            words.append(next(w for w, own in LEVELS.items() if own == abs(level)))
        held = level
    return words


def test_strings_say_what_is_written(source: Path, tmp_path: Path) -> None:
    summary = prepare("digit_strings", source, tmp_path / "dest", train=7, test="4", pause_s=0.1)
    assert {name: split.utterances for name, split in summary.splits.items()} == {
        "train": 7,
        "test": 4,
    }
    assert "nobody says them so" in summary.notes[0]
    for split, sign in (("train", 1), ("test", -1)):
        found = read_manifest(tmp_path / "dest" / f"{split}.jsonl.gz")
        assert [u.speaker for u in found] == (["ann", "bob"] * 4)[: len(found)]
        for utterance in found:
            waveform, rate = load_audio(utterance.path)
            words = utterance.transcript.split()
            assert rate == RATE and 3 <= len(words) <= 7
            assert 160 * len(words) <= len(waveform) <= 160 * len(words) + 801 * (len(words) + 1)
            assert (sign * waveform).max() > 0.2 and (sign * waveform).min() > -0.02
            once = [w for i, w in enumerate(words) if i == 0 or w != words[i - 1]]
            said = spoken(waveform)
            assert [w for i, w in enumerate(said) if i == 0 or w != said[i - 1]] == once


def test_equal_options_give_equal_samples(source: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare("digit_strings", source, tmp_path / name, train=3, test=2, seed=seed)

    def contents(name: str) -> list[bytes]:
        return [p.read_bytes() for p in sorted((tmp_path / name / "audio").rglob("*.flac"))]

    assert contents("a") == contents("b") != contents("c")
    assert len(contents("a")) == 5
    more = tmp_path / "more"
    prepare("digit_strings", source, more, train=3, test=3)
    assert set(contents("a")) < set(contents("more"))  # each string is drawn on its own


def test_joined_by_hand() -> None:
    shape = Shape(2, 2, 0.001, 8000, 0)  # pauses of 0 to 8 samples
    rng = np.random.default_rng(3)
    pauses = np.random.default_rng(3).integers(0, 9, size=3).tolist()
    joined = join_words([torch.full((2,), 0.5), torch.full((1,), -0.5)], shape, rng)
    expected = [0.0] * pauses[0] + [0.5, 0.5] + [0.0] * pauses[1] + [-0.5] + [0.0] * pauses[2]
    assert joined.dtype == torch.float32
    np.testing.assert_allclose(joined.numpy(), expected, atol=0.01)  # noise at -55 dB at most


def test_rates_are_made_equal(source: Path, tmp_path: Path) -> None:
    prepare("digit_strings", source, tmp_path / "d", train=1, test=0, sample_rate=16000)
    assert read_manifest(tmp_path / "d" / "train.jsonl.gz")[0].sample_rate == 16000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train": -1}, "train=-1 must be a whole number of at least 0"),
        ({"train": 0, "test": 0}, "must hold train.jsonl.gz"),
        ({"min_words": 0}, "min_words=0"),
        ({"max_words": 2}, "max_words=2 must be a whole number of at least 3"),
        ({"max_words": 101}, "max_words=101 must be a number within"),
        ({"pause_s": -0.1}, r"pause_s=-0\.1"),
        ({"pause_s": "nan"}, "pause_s=nan"),
        ({"seed": -1}, "seed=-1"),
        ({"sample_rate": 0}, "rate=0 must be an integer"),
    ],
)
def test_options_that_cannot_be(
    source: Path, tmp_path: Path, options: dict[str, object], says: str
) -> None:
    with pytest.raises(SeqlabError, match=says):
        prepare("digit_strings", source, tmp_path / "dest", **options)


def test_a_recording_without_a_word(source: Path, tmp_path: Path) -> None:
    whole = read_manifest(source / "train.jsonl.gz")[0]
    nameless = from_file(whole.path, "nameless", speaker="ann")
    write_manifest([nameless], source / "train.jsonl.gz")
    with pytest.raises(DataError, match="nameless has neither label nor transcript"):
        prepare("digit_strings", source, tmp_path / "dest")


@pytest.mark.data
def test_sides_of_the_spoken_digits_stay_apart(tmp_path: Path) -> None:
    import os

    if "SEQLAB_DATA" not in os.environ:
        pytest.skip("needs the real corpora named by SEQLAB_DATA")
    words = tmp_path / "fsdd"
    prepare("fsdd", Path(os.environ["SEQLAB_DATA"]) / "fsdd", words)
    summary = prepare("digit_strings", words, tmp_path / "dest", train=12, dev=6, test=12)
    assert {split.speakers for split in summary.splits.values()} == {6}
    assert summary.warnings == []
    found = read_manifest(tmp_path / "dest" / "test.jsonl.gz")
    assert [len([u for u in found if u.speaker == name]) for name in ("george", "theo")] == [2, 2]
