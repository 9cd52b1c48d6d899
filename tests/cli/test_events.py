"""seqlab events, and what other commands say of its models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from seqlab.audio import save_audio
from tests.cli.conftest import Call, Trained
from tests.events.recordings import RATE, constant_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    constant_model(low=0.9, high=0.6, noise=0.2).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    save_audio(tmp_path / "a.wav", 0.1 * torch.ones(2 * RATE), RATE)
    return tmp_path / "a.wav"


def test_formats(call: Call, model: Path, wav: Path) -> None:
    outcome = call("events", model, wav)
    assert outcome.code == 0
    rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("0.00", "high", "0.600"),
        ("0.00", "low", "0.900"),
    ]
    assert all(float(row[1]) == pytest.approx(2, abs=0.05) for row in rows)
    two = call("events", model, wav, wav, "--threshold", 0.7).out  # heard once
    assert two.split("\t")[0] == str(wav) and two.count("\n") == 1
    content = json.loads(call("events", model, wav, "--format", "json").out)
    assert content[0]["file"] == str(wav)
    assert [e["label"] for e in content[0]["events"]] == ["high", "low"]
    track = call("events", model, wav, "--format", "tsv", "--threshold", "low=0.95").out
    assert track.startswith("0.000000\t") and track.endswith("\thigh\n") and track.count("\n") == 1


def test_options(call: Call, model: Path, wav: Path) -> None:
    none = call("events", model, wav, "--min-duration", 3)
    assert (none.code, none.out) == (0, "")
    everything = call("events", model, wav, "--threshold", 0.1, "--median", 0, "--release", 1)
    assert len(everything.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--threshold", "much"), "--threshold much must be a number"),
        (("--threshold", "lo=0.5"), "no label 'lo'; did you mean 'low'?"),
        (("--threshold", "0"), "threshold=0.0 must be a number within"),
        (("--median", "-1"), "median_s=-1.0"),
        (("--release", "nan"), "release=nan"),
        (("b.wav", "--format", "tsv"), "label track of one recording, not of 2"),
    ],
)
def test_bad_options(call: Call, model: Path, wav: Path, options: tuple, says: str) -> None:
    outcome = call("events", model, wav, *options)
    assert outcome.code == 2 and says in outcome.err and len(outcome.lines) == 1


def test_bad_files_are_reported_and_others_heard(call: Call, model: Path, wav: Path) -> None:
    (wav.parent / "bad.wav").write_bytes(b"nothing")
    outcome = call("events", model, wav.parent / "bad.wav", wav)
    assert outcome.code == 2 and "bad.wav" in outcome.err and "low" in outcome.out


def test_other_models_and_commands(call: Call, model: Path, wav: Path, keywords: Trained) -> None:
    outcome = call("events", keywords.run, wav)
    assert outcome.code == 2 and "use seqlab classify" in outcome.err
    for command in ("classify", "transcribe"):
        outcome = call(command, model, wav)
        assert outcome.code == 2 and "finds sound events; use seqlab events" in outcome.err
    outcome = call("spot", model, wav)
    assert outcome.code == 2 and len(outcome.lines) == 1
    outcome = call("events", model, "-")
    assert outcome.code == 2 and "TCNEncoder looks ahead" in outcome.err
    for files in ((), ("-", wav), (wav, "--microphone"), (wav, "--rate", "8000")):
        assert call("events", model, *files).code == 2
