from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seqlab.data.config import AugmentConfig, DataConfig, load_split, split_path
from seqlab.data.loader import make_dataset, make_sampler
from seqlab.data.manifest import write_manifest
from seqlab.errors import DataError


@pytest.fixture
def root(utterances, tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    write_manifest(utterances[:6], folder / "train.jsonl.gz")
    write_manifest(utterances[6:8], folder / "dev.jsonl.gz")
    write_manifest(utterances[8:], folder / "test.jsonl.gz")
    return folder


def ids(config: DataConfig, split: str) -> list[str]:
    return [u.id for u in load_split(config, split)]  # type: ignore[arg-type]


def test_splits_are_read(root: Path) -> None:
    config = DataConfig(str(root), batch_size=4)
    assert ids(config, "dev") == ["u6", "u7"]
    assert ids(replace(config, train=["train", "dev.jsonl.gz"]), "train")[-1] == "u7"
    assert ids(replace(config, test=[]), "test") == []


def test_held_out_speakers(root: Path) -> None:
    config = DataConfig(
        str(root), batch_size=4, test=["train", "dev", "test"], hold_out_speakers=["s1"]
    )
    assert ids(config, "train") == ["u0", "u2", "u4"]
    assert ids(config, "dev") == ["u6"]
    assert ids(config, "test") == ["u1", "u3", "u5", "u7", "u9"]
    with pytest.raises(DataError, match=r"data\.test: no utterance"):
        load_split(replace(config, hold_out_speakers=["bob"]), "test")


def test_a_misspelt_held_out_speaker_is_found(root: Path) -> None:
    """Else a model trained on her would be said to be tested without her."""
    config = DataConfig(
        str(root), batch_size=4, test=["train", "test"], hold_out_speakers=["s1", "S0"]
    )
    with pytest.raises(DataError, match=r"hold_out_speakers: S0 not in data\.test"):
        load_split(config, "test")


@pytest.mark.parametrize("name", ["noise_snr_db", "noise_probability", "reverberation_probability"])
def test_augmentation_that_would_not_happen_is_refused(name: str) -> None:
    value = (0.0, 5.0) if name == "noise_snr_db" else 0.9
    manifest = "reverberation" if "reverberation" in name else "noise"
    with pytest.raises(DataError, match=f"{name}=.* needs {manifest}, a manifest"):
        AugmentConfig(**{name: value})
    assert AugmentConfig(**{name: value, manifest: "rooms"})


def test_held_out_speakers_must_be_known(utterances, tmp_path: Path) -> None:
    write_manifest([replace(utterances[0], speaker=None)], tmp_path / "train.jsonl.gz")
    config = DataConfig(str(tmp_path), batch_size=4, hold_out_speakers=["s1"])
    with pytest.raises(DataError, match="speaker of u0 is not known"):
        load_split(config, "train")


def test_duration_limits_are_for_training(root: Path) -> None:
    config = DataConfig(str(root), batch_size=4, min_duration_s=0.25, max_duration_s=0.45)
    assert ids(config, "train") == ["u2", "u3"]
    assert ids(config, "test") == ["u8", "u9"]


def test_errors_name_the_split(root: Path) -> None:
    config = DataConfig(str(root), batch_size=4)
    with pytest.raises(DataError, match=r"data\.dev: .*valid\.jsonl\.gz is missing; prepare"):
        load_split(replace(config, dev=["valid"]), "dev")
    with pytest.raises(DataError, match=r"data\.train .*'u0' occurs twice"):
        load_split(replace(config, train=["train", "train"]), "train")


def test_names_and_files() -> None:
    assert split_path("a", "dev-clean") == Path("a/dev-clean.jsonl.gz")
    assert split_path("a", "x.tsv") == Path("a/x.tsv")
    assert split_path("a", "/b/x.jsonl") == Path("/b/x.jsonl")


def test_only_training_is_augmented(root: Path) -> None:
    config = DataConfig(
        str(root), batch_duration_s=3.0, cache_mb=0, augment=AugmentConfig(speeds=[0.5])
    )
    train, dev = (make_dataset(config, split, None, 8000) for split in ("train", "dev"))
    assert len(train[0, 0].waveform) == 2 * 800
    assert len(dev[0, 0].waveform) == 7 * 800
    sampler = make_sampler(config, train, seed=1)
    assert sampler.batch_duration_s == 3.0 and len(sampler.durations) == 6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "exactly one"),
        ({"batch_size": 1, "batch_duration_s": 1.0}, "exactly one"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_duration_s": 0.0}, "batch_duration_s=0.0"),
        ({"batch_size": 1, "num_workers": -1}, "num_workers=-1"),
        ({"batch_size": 1, "cache_mb": -1}, "cache_mb=-1"),
        ({"batch_size": 1, "min_duration_s": float("nan")}, "min_duration_s=nan"),
        ({"batch_size": 1, "min_duration_s": 2.0, "max_duration_s": 1.0}, "max_duration_s=1.0"),
    ],
)
def test_settings_out_of_range(arguments: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        DataConfig("root", **arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"speeds": [0.9, 3.0]}, "3.0"),
        ({"noise": "noise", "noise_speeds": [0.1]}, "noise_speeds: 0.1 must be within 0.5 and 2"),
        ({"noise_speeds": [0.9]}, r"noise_speeds=\[0.9\] needs noise, a manifest"),
        ({"noise_probability": 1.5}, "noise_probability"),
        ({"reverberation_probability": -0.1}, "reverberation_probability"),
        ({"noise_snr_db": (20.0, 5.0)}, "noise_snr_db"),
        ({"gain_db": (float("nan"), 1.0)}, "gain_db"),
        ({"time_shift_s": -1.0}, "time_shift_s"),
        ({"pauses_s": (0.5, -1.0)}, r"pauses_s=\(0.5, -1.0\) must be two numbers of 0 to 60"),
    ],
)
def test_augmentation_out_of_range(arguments: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        AugmentConfig(**arguments)
