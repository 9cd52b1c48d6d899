"""``seqlab align``: one recording and its text, a manifest, and what can go wrong."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqlab.data.manifest import read_manifest, write_manifest
from seqlab.text import timed
from tests.cli.conftest import Call, Trained

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "said.txt"
    path.write_text("\ufeff\nab\n\n", encoding="utf-8")
    return path


def listed(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "alignments.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("form", timed.FORMATS)
def test_every_format_by_its_suffix(call: Call, speech: Trained, text: Path, form: str) -> None:
    output = text.parent / "deep" / f"out.{form}"
    outcome = call("align", speech.run, speech.wav, text, "-o", output)
    assert outcome.code == 0
    assert outcome.out == ""
    assert "1 of 1 line found, lowest confidence" in outcome.err
    assert "ab" in output.read_text(encoding="utf-8")


def test_times_lie_in_the_recording(call: Call, speech: Trained, text: Path) -> None:
    output = text.with_name("out.json")
    call("align", speech.run, speech.wav, text, "-o", output)
    (said,) = timed.from_json(output.read_text(encoding="utf-8"))
    assert 0 <= said.start_s < said.end_s <= 0.6
    assert [word.text for word in said.words] == ["ab"]
    assert 0 < said.confidence <= 1


def test_lines_that_were_not_said_are_named(call: Call, speech: Trained, text: Path) -> None:
    text.write_text("\n".join(["abcabcabcabc"] * 12), encoding="utf-8")
    outcome = call("align", speech.run, speech.wav, text, "-o", text.with_name("out.srt"))
    assert outcome.code == 0
    assert "note: 12 lines not found in the recording: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..." in (
        outcome.err
    )
    assert text.with_name("out.srt").read_text() == ""


def test_the_format_can_be_named(call: Call, speech: Trained, text: Path) -> None:
    output = text.with_name("out")
    assert call("align", speech.run, speech.wav, text, "-o", output).code == 2
    assert call("align", speech.run, speech.wav, text, "-o", output, "--format", "vtt").code == 0
    assert output.read_text().startswith("WEBVTT")


def test_manifest_into_a_folder(call: Call, speech: Trained, tmp_path: Path) -> None:
    manifest, folder = speech.corpus / "test.jsonl.gz", tmp_path / "out"
    outcome = call("align", speech.run, "--manifest", manifest, "-o", folder)
    assert outcome.code == 0 and "7 utterances aligned, median confidence" in outcome.err
    entries = listed(folder)
    assert [entry["id"] for entry in entries] == [u.id for u in read_manifest(manifest)]
    for entry in entries:
        (said,) = timed.from_textgrid((folder / entry["file"]).read_bytes())
        assert said.start_s == pytest.approx(entry["start_s"])
        assert 0 <= entry["confidence"] <= 1


def test_resume_goes_on_where_it_was_killed(call: Call, speech: Trained, tmp_path: Path) -> None:
    manifest, folder = speech.corpus / "test.jsonl.gz", tmp_path / "out"
    command = ("align", speech.run, "--manifest", manifest, "-o", folder)
    call(*command)
    path = folder / "alignments.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:25])
    kept = folder / json.loads(lines[0])["file"]
    gone = folder / json.loads(lines[1])["file"]
    kept.write_text("mine")
    gone.unlink()
    outcome = call(*command)
    assert outcome.code == 2 and "--resume" in outcome.err
    outcome = call(*command, "--resume")
    assert outcome.code == 0
    assert path.read_bytes() == whole
    assert kept.read_text() == "mine" and gone.is_file()


def test_bad_utterances_are_reported_and_the_others_aligned(
    call: Call, speech: Trained, tmp_path: Path
) -> None:
    good = read_manifest(speech.corpus / "test.jsonl.gz")[:2]
    bad = [
        replace(good[0], id="../long", transcript="abc" * 50),
        replace(good[0], id="unknown", transcript="xyz"),
        replace(good[0], id="silent", transcript=None),
    ]
    manifest, folder = tmp_path / "bad.jsonl.gz", tmp_path / "deep" / "out"
    write_manifest([bad[0], good[0], *bad[1:], good[1]], manifest)
    outcome = call("align", speech.run, "--manifest", manifest, "-o", folder)
    assert outcome.code == 2
    assert "3 of 5 utterances could not be aligned" in outcome.lines[-1]
    assert "its 150 tokens need at least" in outcome.err
    assert "character 'x'" in outcome.err and "no transcript" in outcome.err
    assert len(list(folder.rglob("*.TextGrid"))) == 2
    assert not list(tmp_path.glob("deep/*.TextGrid"))


def test_a_part_of_a_file_has_times_of_the_file(
    call: Call, speech: Trained, tmp_path: Path
) -> None:
    (one, *_) = read_manifest(speech.corpus / "test.jsonl.gz")
    part = replace(one, start_s=0.1, duration_s=one.duration_s - 0.1, transcript="b")
    write_manifest([part], tmp_path / "part.jsonl.gz")
    folder = tmp_path / "out"
    command = ("align", speech.run, "--manifest", tmp_path / "part.jsonl.gz", "-o", folder)
    assert call(*command, "--format", "json").code == 0
    (entry,) = listed(folder)
    assert 0.1 <= entry["start_s"] < entry["end_s"] <= one.duration_s


def test_one_line_errors(call: Call, speech: Trained, keywords: Trained, text: Path) -> None:
    wav, run, folder = speech.wav, speech.run, text.parent
    latin, empty = folder / "latin.txt", folder / "empty.txt"
    latin.write_bytes(b"ab\n\xe9\n")
    empty.write_text("\n \n")
    broken = folder / "broken.txt"
    broken.write_text("ab\nxyz\n")
    cases = [
        ((run, wav, "-o", "a.srt"), "needs AUDIO and TEXT"),
        ((run, wav, text, "--manifest", "m", "-o", "a"), "goes without AUDIO"),
        ((run, wav, text, "-o", "a.srt", "--resume"), "--resume goes with --manifest"),
        ((run, wav, text, "-o", "a.mp4"), "must end in .txt, .srt"),
        ((run, wav, text, "-o", text), "would replace"),
        ((run, wav, text.with_name("none.txt"), "-o", "a.srt"), "none.txt"),
        ((run, wav, latin, "-o", "a.srt"), "latin.txt:2 is not UTF-8"),
        ((run, wav, empty, "-o", "a.srt"), "holds no text"),
        ((run, wav, broken, "-o", "a.srt"), "line 2: text 'xyz': character 'x'"),
        ((run, text, text, "-o", folder / "a.srt"), "said.txt"),
        ((run, wav, text, "-o", folder / "a.srt", "--cue-lines", 0), "lines=0"),
        ((keywords.run, wav, text, "-o", "a.srt"), "use seqlab classify"),
        ((run, "--manifest", folder / "no.tsv", "-o", folder / "x"), "no.tsv is missing"),
    ]
    for arguments, message in cases:
        outcome = call("align", *arguments)
        assert outcome.code == 2, arguments
        assert len(outcome.lines) == 1 or "note:" in outcome.lines[0], outcome.err
        assert message in outcome.lines[-1], outcome.err
    assert not (folder / "a.srt").exists()


def test_a_recording_too_short_for_its_line(call: Call, speech: Trained, text: Path) -> None:
    text.write_text("abc" * 100)
    outcome = call("align", speech.run, speech.wav, text, "-o", text.with_name("out.srt"))
    assert outcome.code == 2 and "its 300 tokens need at least 300" in outcome.err


def test_manifests_may_be_compressed_or_not(call: Call, speech: Trained, tmp_path: Path) -> None:
    plain = speech.corpus / "plain.jsonl"
    plain.write_bytes(gzip.decompress((speech.corpus / "test.jsonl.gz").read_bytes()))
    outcome = call("align", speech.run, "--manifest", plain, "-o", tmp_path / "out")
    plain.unlink()
    assert outcome.code == 0
