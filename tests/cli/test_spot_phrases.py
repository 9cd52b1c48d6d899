"""seqlab spot and seqlab operating-point with typed phrases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqlab.audio import save_audio
from seqlab.data.manifest import from_file, write_manifest
from tests.cli.conftest import Call
from tests.inference.tones import LETTER_S, RATE, said, talk, tone_model

ALLOW = ("--allow-module", "tests.inference.tones")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a recording, and manifests of phrases and of other speech."""
    folder = tmp_path_factory.mktemp("phrases")
    sound, _ = talk(["ab cab", "abc", "cab"], [1.0, 1.0, 1.0])
    save_audio(folder / "talk.wav", sound, RATE)
    utterances = []
    for place, text in enumerate(["cab", "a cab", "ab c", "abc", "ba", "ca b"]):
        save_audio(folder / f"{place}.wav", said(text), RATE)
        utterances.append(from_file(folder / f"{place}.wav", str(place), transcript=text))
    write_manifest(utterances, folder / "all.jsonl")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tone_model().save(tmp_path / "model")
    return tmp_path / "model"


def test_phrases_of_the_command_line_and_of_a_file(call: Call, model: Path, folder: Path) -> None:
    wav = folder / "talk.wav"
    outcome = call("spot", model, wav, "--phrase", "CAB", "--format", "json", *ALLOW)
    assert outcome.code == 0
    facts = [json.loads(line) for line in outcome.out.splitlines()]
    assert [fact["label"] for fact in facts] == ["CAB", "CAB"]
    assert facts[0]["start_s"] == pytest.approx(1.0 + 3 * LETTER_S, abs=0.03)
    assert facts[0]["time_s"] == pytest.approx(1.0 + 6 * LETTER_S, abs=0.06)
    assert "phrase 'CAB' has 3 letters; with fewer than 6" in outcome.err
    assert "the threshold 0.4 is a guess" in outcome.err
    (folder / "list.txt").write_text("cab\nab cab\t0.3\n\nabc\t1\n", encoding="utf-8")
    listed = call("spot", model, wav, "--phrases", folder / "list.txt", *ALLOW)
    labels = [line.split("\t")[2] for line in listed.out.splitlines()]
    assert sorted(labels) == ["ab cab", "cab", "cab"]  # abc cannot reach its threshold of 1
    told = call("spot", model, wav, "--phrases", folder / "list.txt", "--threshold", "cab=1",
                "--threshold", "abc=0.4", *ALLOW)  # fmt: skip
    assert [line.split("\t")[2] for line in told.out.splitlines()] == ["ab cab", "abc"]
    assert "guess" not in told.err


def test_thresholds_from_transcripts(call: Call, model: Path, folder: Path) -> None:
    command = ("operating-point", model, "--positives", folder / "all.jsonl", "--negatives",
               folder / "all.jsonl", "--phrase", "cab", "--phrase", "ab c", *ALLOW)  # fmt: skip
    outcome = call(*command, "--json")
    assert outcome.code == 0, outcome.err
    rows = {row["label"]: row for row in json.loads(outcome.out)["labels"]}
    assert (rows["cab"]["keywords"], rows["ab c"]["keywords"]) == (2, 1)
    assert all(row["missed"] == row["false_alarms"] == 0 for row in rows.values())
    assert (model / "spotting.json").exists()
    assert call(*command, "--stored", "--dry-run").code == 0
    # The phrases of the operating point are spotted where none are named.
    spotted = call("spot", model, folder / "talk.wav", *ALLOW)
    assert spotted.code == 0 and "guess" not in spotted.err
    assert [line.split("\t")[2] for line in spotted.out.splitlines()].count("cab") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds none; write one a line"),
        ("cab\tx\n", "line 1: threshold 'x' must be a number above 0"),
        ("cab\n\nab\t2\n", "line 3: threshold '2' must be a number above 0"),
        ("cab\tnan\n", "line 1: threshold 'nan'"),
        ("cab\t0.5\t0.5\n", "line 1: threshold"),
        ("\t0.5\n", "line 1: no phrase before the tab"),
        ("zebra\n", "phrase 'zebra' cannot be spotted"),
        (b"\xff\xfe", "cannot be read"),
        ("a" * 2**21, "is larger than"),
    ],
)
def test_bad_files_of_phrases(
    call: Call, model: Path, folder: Path, tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = tmp_path / "phrases.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = call("spot", model, folder / "talk.wav", "--phrases", path, *ALLOW)
    assert outcome.code == 2
    assert message in outcome.err, outcome.err
