"""seqlab spot and seqlab operating-point."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from seqlab.audio import save_audio
from seqlab.data.manifest import write_manifest
from seqlab.data.utterance import from_file
from tests.cli.conftest import Call, Trained
from tests.inference.keywords import beeps, spotting_model
from tests.inference.tones import RATE

ALLOW = ("--allow-module", "tests.inference.tones")
QUICK = ("--smoothing", 0.05, "--refractory", 0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model, a recording, and manifests."""
    folder = tmp_path_factory.mktemp("spotting")
    save_audio(folder / "beeps.wav", beeps("abca")[0], RATE)
    positives = []
    for place, label in enumerate("abcabc"):
        save_audio(folder / f"{place}.wav", beeps(label, seed=place)[0], RATE)
        positives.append(from_file(folder / f"{place}.wav", str(place), label=label, speaker="x"))
    write_manifest(positives, folder / "positives.jsonl")
    save_audio(folder / "quiet.wav", 0.1 * beeps("abcabc", seed=9)[0], RATE)
    write_manifest([from_file(folder / "quiet.wav", "q")], folder / "negatives.jsonl")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    spotting_model().save(tmp_path / "model")
    return tmp_path / "model"


def rows_of(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


def test_formats(call: Call, model: Path, folder: Path) -> None:
    wav = folder / "beeps.wav"
    outcome = call("spot", model, wav, *QUICK, *ALLOW)
    assert outcome.code == 0
    rows = rows_of(outcome.out)
    assert [(row[0], row[2]) for row in rows] == [(str(wav), label) for label in "abca"]
    assert [float(row[1]) for row in rows] == pytest.approx([1.1, 2.6, 4.1, 5.6], abs=0.1)
    assert all(0.5 <= float(row[3]) <= 1 for row in rows)
    assert "threshold 0.5 is a guess" in outcome.err
    table = rows_of(call("spot", model, wav, "--format", "tsv", *QUICK, *ALLOW).out)
    assert table[0] == ["file", "start_s", "time_s", "label", "score"] and len(table) == 5
    lines = call("spot", model, wav, "--format", "json", *QUICK, *ALLOW).out.splitlines()
    facts = [json.loads(line) for line in lines]
    assert [fact["label"] for fact in facts] == list("abca")
    assert facts[0].keys() == {"file", "start_s", "time_s", "label", "score"}


def test_standard_input(
    call: Call, model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(io.BytesIO):
        @property
        def buffer(self) -> io.BytesIO:
            return self

    of_file = rows_of(call("spot", model, folder / "beeps.wav", *QUICK, *ALLOW).out)
    monkeypatch.setattr(sys, "stdin", Pipe((folder / "beeps.wav").read_bytes()))
    live = rows_of(call("spot", model, "-", *QUICK, *ALLOW).out)
    assert live == [row[1:] for row in of_file]


def test_thresholds(call: Call, model: Path, folder: Path) -> None:
    wav = folder / "beeps.wav"

    def labels(*options: object) -> str:
        outcome = call("spot", model, wav, *QUICK, *ALLOW, *options)
        assert outcome.code == 0 and "guess" not in outcome.err
        return "".join(row[2] for row in rows_of(outcome.out))

    assert labels("--threshold", 1) == ""
    assert labels("--threshold", 1, "--threshold", "b=0.5") == "b"
    assert labels("--threshold", 0.5, "--gate") == "abca"


def test_operating_point(call: Call, model: Path, folder: Path) -> None:
    command = ("operating-point", model, "--positives", folder / "positives.jsonl", "--negatives",
               folder / "negatives.jsonl", *QUICK, *ALLOW)  # fmt: skip
    dry = call(*command, "--dry-run", "--json", "--by-speaker")
    assert dry.code == 0 and not (model / "spotting.json").exists()
    told = json.loads(dry.out)
    assert [row["label"] for row in told["labels"]] == list("abc")
    assert told["speakers"] == {"x": {"missed": 0, "keywords": 6}}
    outcome = call(*command)
    assert outcome.code == 0
    assert "one false alarm is" in outcome.err
    assert "0.4 an hour is finer than that" in outcome.err
    assert (model / "spotting.png").read_bytes().startswith(b"\x89PNG")
    before = (model / "spotting.json").read_bytes()
    assert call(*command, "--stored", "--false-alarms-per-hour", 99).code == 0
    assert (model / "spotting.json").read_bytes() == before
    spotted = call("spot", model, folder / "beeps.wav", *ALLOW)
    assert "guess" not in spotted.err
    assert "".join(row[2] for row in rows_of(spotted.out)) == "abca"
    # What the command line says comes before what is stored.
    assert call("spot", model, folder / "beeps.wav", "--threshold", 1, *ALLOW).out == ""


def test_operating_point_on_a_test(call: Call, model: Path, folder: Path, tmp_path: Path) -> None:
    """Negatives of two manifests, one of which says keywords; the picture where one wants it."""
    positives = folder / "positives.jsonl"
    command = ("operating-point", model, "--positives", positives, *QUICK, *ALLOW)
    assert call(*command, "--negatives", folder / "negatives.jsonl").code == 0
    mixed = ("--negatives", folder / "negatives.jsonl", positives)
    picture = tmp_path / "curves.png"
    outcome = call(*command, *mixed, "--stored", "--picture", picture)
    assert outcome.code == 0
    assert "note: 6 of 7 negatives say a keyword; left out" in outcome.err
    assert "% at 0.4 an hour" in outcome.out and "in other keywords" in outcome.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    [row, *_] = json.loads(call(*command, *mixed, "--stored", "--json").out)["labels"]
    assert row["miss_rate_on_curve"] == 0 and row["false_alarms_in_other_keywords"] == 0
    assert row["hours_of_other_keywords"] > 0


def test_a_model_of_whole_utterances(call: Call, keywords: Trained) -> None:
    outcome = call("spot", keywords.run, keywords.wav, "--threshold", 0.01, "--window", 0.2)
    assert outcome.code == 0
    assert outcome.lines[0].startswith("note: hears 0.2 s anew every 0.1 s: ")
    assert rows_of(outcome.out)


def test_bad_options(call: Call, model: Path, folder: Path, speech: Trained) -> None:
    wav = folder / "beeps.wav"
    for arguments, message in [
        ((model,), "no files; name at least one"),
        ((model, wav, "--microphone"), "--microphone goes with no files"),
        ((model, wav, "-"), "goes with no other files"),
        ((model, wav, "--rate", 8000), "--rate 8000 is for raw samples"),
        ((model, wav, "--threshold", "x"), "--threshold 'x' must be a number"),
        ((model, wav, "--threshold", "d=0.5"), "'d', which is no keyword"),
        ((model, wav, "--threshold", "2"), "threshold=2.0 must be a number within"),
        ((model, wav, "--window", "0"), "window_s=0.0"),
        ((model, folder / "none.wav"), "none.wav"),
        ((speech.run, wav), "can spot any phrase; name it, as in --phrase 'hey sunflower'"),
        ((model, wav, "--phrase", "a"), "KeywordHead gives no answer for each frame, so that no"),
        ((speech.run, wav, "--phrase", "x"), "character 'x' (U+0078) is not among"),
        ((speech.run, wav, "--phrase", " "), "is empty once normalised"),
        ((speech.run, wav, "--phrase", "ab", "--threshold", "ac=1"), "'ac', which is none of the"),
        ((speech.run, wav, "--phrase", "ab", "--smoothing", 1), "smoothing_s=1.0 must be 0"),
        ((speech.run, wav, "--phrases", folder / "no.txt"), "no.txt cannot be read"),
    ]:
        outcome = call("spot", *arguments, *ALLOW)
        assert outcome.code == 2, arguments
        assert message in outcome.err, outcome.err
