from __future__ import annotations

import collections
from pathlib import Path

import pytest

from seqlab.data.corpora import prepare
from seqlab.data.corpora.speech_commands import COMMANDS, DIGITS, hash_split
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError

OTHERS = ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow")
VERSION_1 = COMMANDS + DIGITS + OTHERS
VERSION_2 = (*VERSION_1, "backward", "follow", "forward", "learn", "visual")

# The first speakers of validation_list.txt and testing_list.txt as published with version 1.
LISTED = {
    "dev": "8b775397 2643992f 060cd039 f5e5e8b0 dbb40d24 d57febf0 16db1582 171b56dc 66cff190",
    "test": "2aa787cf ffa76c4a 24ad3ebe d7467392 5828dfa2 91223b83 f0ae7203 95ba4996 94de6a6a",
}
# Last seven digits of the SHA-1 that sha1sum prints, and their value modulo 2**27 in percent.
BY_HAND = {
    "00000007": ("040b43e", 3.159378, "dev"),
    "0000001b": ("82ca90e", 2.180682, "dev"),
    "00000002": ("1502aaa", 16.414387, "test"),
    "00000013": ("1e58bae", 23.708282, "train"),
    "0a7c2a8d": ("c8c025b", 56.836387, "train"),
}
# Speakers for the layouts below: two of each split by the hash rule.
TRAIN, DEV, TEST = ("0a7c2a8d", "00000013"), ("8b775397", "2643992f"), ("2aa787cf", "ffa76c4a")


@pytest.mark.parametrize(("split", "speakers"), LISTED.items())
def test_the_hash_rule_gives_the_published_lists(split: str, speakers: str) -> None:
    assert {hash_split(f"cat/{s}_nohash_0.wav") for s in speakers.split()} == {split}


@pytest.mark.parametrize("speaker", BY_HAND)
def test_the_hash_rule_worked_by_hand(speaker: str) -> None:
    digits, percent, split = BY_HAND[speaker]
    assert int(digits, 16) % 2**27 * 100 / (2**27 - 1) == pytest.approx(percent, abs=1e-5)
    assert hash_split(f"{speaker}_nohash_17.wav") == split
    assert hash_split(f"{speaker}_nohash_0.wav", percent + 0.01, 0) == "dev"
    assert hash_split(f"{speaker}_nohash_0.wav", percent - 0.01, 0) == "train"
    assert hash_split(f"{speaker}_nohash_0.wav", percent - 0.01, 0.02) == "test"


@pytest.fixture
def archive(write_audio, tmp_path: Path) -> Path:
    """Version 1 in small: thirty words by six speakers, two background recordings."""
    folder = tmp_path / "speech_commands"
    for word in VERSION_1:
        for speaker in TRAIN + DEV + TEST:
            write_audio(f"{word}/{speaker}_nohash_0.wav", 0.01, folder=folder)
    for name in ("doing_the_dishes", "pink_noise"):
        write_audio(f"_background_noise_/{name}.wav", 30.0, rate=1000, folder=folder)
    return folder


def labels(folder: Path, split: str) -> collections.Counter:
    return collections.Counter(u.label for u in read_manifest(folder / f"{split}.jsonl.gz"))


def background_spans(folder: Path) -> dict[str, list[Utterance]]:
    return {
        split: [u for u in read_manifest(folder / f"{split}.jsonl.gz") if u.label == "<silence>"]
        for split in ("train", "dev", "test")
    }


def test_twelve_classes(archive: Path, tmp_path: Path) -> None:
    summary = prepare("speech_commands", archive, tmp_path / "dest")
    for split in ("train", "dev", "test"):
        counts = labels(tmp_path / "dest", split)
        # 20 command words a split; ten per cent of them, rounded up, are 2
        assert counts == {**dict.fromkeys(COMMANDS, 2), "<silence>": 2, "<unknown>": 2}
    assert summary.speaker_overlap == {}
    unknown = [
        u for u in read_manifest(tmp_path / "dest" / "train.jsonl.gz") if u.label == "<unknown>"
    ]
    assert all(Path(u.path).parent.name in DIGITS + OTHERS for u in unknown)


def test_silences_of_splits_do_not_overlap(archive: Path, tmp_path: Path) -> None:
    prepare("speech_commands", archive, tmp_path / "dest", silence_percent=100, unknown_percent=0)
    limits = {"train": (0, 24), "dev": (24, 27), "test": (27, 30)}
    for split, found in background_spans(tmp_path / "dest").items():
        assert len(found) == 20 and len({u.path for u in found}) == 2
        low, high = limits[split]
        for utterance in found:
            assert utterance.duration_s == 1.0
            assert low <= utterance.start_s and utterance.start_s + 1 <= high
    assert "<unknown>" not in labels(tmp_path / "dest", "train")


def test_the_same_again_and_another_seed(archive: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        prepare("speech_commands", archive, tmp_path / name, seed=seed)
    one, two, three = (
        (tmp_path / name / "train.jsonl.gz").read_bytes() for name in ("one", "two", "three")
    )
    assert one == two != three


def test_lists_come_before_the_hash(archive: Path, tmp_path: Path) -> None:
    (archive / "validation_list.txt").write_text(f"yes/{TRAIN[0]}_nohash_0.wav\n")
    (archive / "testing_list.txt").write_text(f"no/{DEV[0]}_nohash_0.wav\n")
    prepare("speech_commands", archive, tmp_path / "dest", classes=30)
    assert labels(tmp_path / "dest", "dev") == {"yes": 1}
    assert labels(tmp_path / "dest", "test") == {"no": 1}
    assert sum(labels(tmp_path / "dest", "train").values()) == 178


def test_other_class_sets(archive: Path, write_audio, tmp_path: Path) -> None:
    prepare("speech_commands", archive, tmp_path / "20", classes=20)
    assert set(labels(tmp_path / "20", "test")) == set(COMMANDS + DIGITS)
    with pytest.raises(DataError, match="30 word folders, must have 35"):
        prepare("speech_commands", archive, tmp_path / "35", classes="35")
    for word in VERSION_2[30:]:
        for speaker in TRAIN + DEV + TEST:
            write_audio(f"{word}/{speaker}_nohash_0.wav", 0.01, folder=archive)
    prepare("speech_commands", archive, tmp_path / "35", classes="35")
    assert labels(tmp_path / "35", "dev") == dict.fromkeys(VERSION_2, 2)


def test_the_separate_test_archive(archive: Path, write_audio, tmp_path: Path) -> None:
    folder = tmp_path / "test_set"
    for label in (*COMMANDS, "_silence_"):
        write_audio(f"{label}/ffa76c4a_nohash_0.wav", 0.01, folder=folder)
    with pytest.raises(DataError, match="_unknown_ holds no"):
        prepare("speech_commands", archive, tmp_path / "dest", test_folder=str(folder))
    write_audio("_unknown_/1.wav", 0.01, folder=folder)
    prepare("speech_commands", archive, tmp_path / "dest", test_folder=str(folder))
    assert set(labels(tmp_path / "dest", "test").values()) == {1}
    assert labels(tmp_path / "dest", "dev")["yes"] == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"classes": 11}, "classes=11 must be 12, 20, 30 or 35"),
        ({"unknown_percent": 101}, "unknown_percent=101"),
        ({"silence_percent": "nan"}, "silence_percent=nan"),
        ({"classes": 20, "test_folder": "x"}, "test_folder is for classes=12"),
    ],
)
def test_bad_options(archive: Path, tmp_path: Path, options: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        prepare("speech_commands", archive, tmp_path / "dest", **options)


def test_missing_words_and_missing_background(archive: Path, tmp_path: Path) -> None:
    for path in (archive / "_background_noise_").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="set silence_percent to 0"):
        prepare("speech_commands", archive, tmp_path / "dest")
    prepare("speech_commands", archive, tmp_path / "dest", silence_percent=0)
    (archive / "yes").rename(tmp_path / "yes")
    with pytest.raises(DataError, match="lacks the words yes"):
        prepare("speech_commands", archive, tmp_path / "dest")
