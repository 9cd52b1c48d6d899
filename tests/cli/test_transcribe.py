"""seqlab transcribe: formats, files and folders, going on after a kill, live speech."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqlab.audio import save_audio
from seqlab.cli.transcribe_files import JOURNALS
from seqlab.text.timed import from_ctm, from_json, from_srt, from_vtt
from tests.cli.conftest import Call, Trained
from tests.inference.tones import RATE, talk, tone_model
from tests.inference.tones import said as sound_of

TEXTS = ["ab ba c", "cab", "a b c a b c", "bb"]
PAUSES = [1.0, 1.5, 0.8, 2.5]
ALLOW = ("--allow-module", "tests.inference.tones")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones") / "model"
    tone_model().save(folder)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-six seconds of talk."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    save_audio(path, talk(TEXTS * 4, PAUSES * 4)[0], RATE)
    return path


def test_long_recordings_are_one_line_each(call: Call, model: Path, recording: Path) -> None:
    outcome = call("transcribe", model, recording, *ALLOW)
    assert outcome.out == f"{recording}\t{' '.join(TEXTS * 4)}\n"
    [answer] = json.loads(call("transcribe", model, recording, "--json", *ALLOW).out)
    assert answer["text"] == " ".join(TEXTS * 4)
    assert [word["word"] for word in answer["words"]] == answer["text"].split()
    assert 0.5 < answer["confidence"] <= 1
    rows = call("transcribe", model, recording, "--times", *ALLOW).out.splitlines()
    assert len(rows) == len(answer["words"])
    beam = call("transcribe", model, recording, "--beam", 4, "--hotword", "cab=2", *ALLOW)
    assert beam.out == outcome.out


def test_formats(call: Call, model: Path, recording: Path, tmp_path: Path) -> None:
    def told(form: str) -> str:
        outcome = call("transcribe", model, recording, "--format", form, *ALLOW)
        assert outcome.code == 0, outcome.err
        path = tmp_path / f"talk.{form}"
        assert call("transcribe", model, recording, "-o", path, *ALLOW).code == 0
        assert path.read_text(encoding="utf-8") == outcome.out
        return outcome.out

    assert told("txt").splitlines() == TEXTS * 4
    for text in (from_srt(told("srt")), from_vtt(told("vtt")), from_json(told("json"))):
        assert [segment.text for segment in text] == TEXTS * 4
        assert text[0].start_s == pytest.approx(1.0, abs=0.1)
    [(name, words)] = from_ctm(told("ctm")).items()
    assert name == ("talk", "1")
    assert " ".join(word.text for word in words) == " ".join(TEXTS * 4)
    assert "IntervalTier" in told("TextGrid")


def test_a_folder_of_several(call: Call, model: Path, recording: Path, tmp_path: Path) -> None:
    second, bad = tmp_path / "second.flac", tmp_path / "bad.wav"
    save_audio(second, talk(["abc"], [1.0])[0], RATE)
    bad.write_bytes(recording.read_bytes()[:90_000])
    out = tmp_path / "out"
    command = ("transcribe", model, recording, bad, second, "-o", out, "--format", "srt", *ALLOW)
    outcome = call(*command)
    assert outcome.code == 2
    assert len(outcome.lines) == 1 and "bad.wav: is truncated" in outcome.err
    assert sorted(os.listdir(out)) == [JOURNALS, "second.srt", "talk.srt"]
    assert [s.text for s in from_srt((out / "second.srt").read_text())] == ["abc"]
    # Again, in another format: nothing is heard anew.
    before = (out / JOURNALS / "talk.jsonl").read_bytes()
    again = call("transcribe", model, recording, second, "-o", out, "--format", "txt", *ALLOW)
    assert again.code == 0 and again.err == ""
    assert (out / "talk.txt").read_text().splitlines() == TEXTS * 4
    assert (out / JOURNALS / "talk.jsonl").read_bytes() == before


def test_answers_of_other_settings_are_not_taken_over(
    call: Call, model: Path, recording: Path, tmp_path: Path
) -> None:
    command = ("transcribe", model, recording, "-o", tmp_path, *ALLOW)
    assert call(*command).code == 0
    journal = tmp_path / JOURNALS / "talk.jsonl"
    keys = {json.loads(journal.read_text().split(" ", 1)[1].splitlines()[0])[0]}
    for change in (["--max-segment", "5"], ["--beam", "4"], ["--hotword", "cab=2"]):
        assert call(*command, *change).code == 0
        keys.add(json.loads(journal.read_text().split(" ", 1)[1].splitlines()[0])[0])
    assert len(keys) == 4


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_killed_run_goes_on(call: Call, model: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    save_audio(long, talk(TEXTS * 30, PAUSES * 30)[0], RATE)
    options = [str(model), str(long), *ALLOW, "--batch-size", "1", "--format", "srt", "-o"]
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    journal = out / JOURNALS / "long.jsonl"
    command = [sys.executable, "-m", "seqlab.cli.main", "transcribe", *options, f"{out}/"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while lines_of(journal) < 8 and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was too fast to be killed"
    assert os.listdir(out) == [JOURNALS]
    assert 8 <= lines_of(journal) < 120
    outcome = call("transcribe", *options, f"{out}/")
    assert outcome.code == 0
    assert f"{long}: goes on at " in outcome.err
    assert call("transcribe", *options, f"{fresh}/").code == 0
    text = (out / "long.srt").read_text()
    assert text == (fresh / "long.srt").read_text()
    assert [segment.text for segment in from_srt(text)] == TEXTS * 30


class Pipe(io.BytesIO):
    """Standard input."""

    @property
    def buffer(self) -> io.BytesIO:
        return self


def raw(texts: list[str], pauses: list[float]) -> bytes:
    return (talk(texts, pauses)[0] * 32767).short().numpy().tobytes()


def test_live(call: Call, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(raw(TEXTS, PAUSES)))
    rows = [
        line.split("\t")
        for line in call("transcribe", model, "--stream", "-", *ALLOW).out.splitlines()
    ]
    assert [row[-1] for row in rows if row[0] == "final"] == TEXTS
    assert {row[0] for row in rows} == {"partial", "final"}
    monkeypatch.setattr(sys, "stdin", Pipe(raw(TEXTS, PAUSES)))
    options = ("--stream", "-", "--json", "--beam", 4, "--hotword", "cab=2")
    found = [
        json.loads(line) for line in call("transcribe", model, *options, *ALLOW).out.splitlines()
    ]
    assert [r["text"] for r in found if r["final"]] == TEXTS
    assert all(0 <= result["latency_s"] < 3 for result in found)
    assert found[-1]["words"]


def test_live_of_a_model_of_whole_utterances(
    call: Call, speech: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(raw(["abc"], [1.0])))
    outcome = call("transcribe", speech.run, "--stream", "-", "--json")
    assert outcome.code == 0
    assert outcome.lines[0].startswith("note: results come at pauses only: SeparableConvEncoder")
    assert all(json.loads(line)["final"] for line in outcome.out.splitlines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no files"),
        (["{wav}", "--stream", "-"], "--stream goes with no files"),
        (["--stream", "radio"], "--stream 'radio' must be"),
        (["{wav}", "--rate", "8000"], "--rate 8000 is for raw samples"),
        (["{wav}", "--format", "srt", "--json"], "--json and --times go without"),
        (["{wav}", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["{wav}", "--batch-size", "0"], "--batch-size 0"),
        (["{wav}", "--max-segment", "0.1"], "max_s=0.1"),
        (["{wav}", "--chunk-frames", "8"], "--chunk-frames is not for Same"),
        (["{wav}", "{wav}", "--format", "srt"], "needs -o FOLDER"),
        (["{wav}", "x/{name}", "-o", "{out}"], "would both go to"),
        (["{wav}", "-o", "{wav}", "--format", "txt"], "would replace the recording"),
        (["{empty}", "-o", "{out}"], "is empty"),
        (["{missing}", "--format", "txt"], "no such file"),
    ],
)
def test_bad_options_and_files(
    call: Call, model: Path, recording: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    (tmp_path / "empty.wav").touch()
    names = {
        "wav": recording,
        "name": recording.name,
        "out": tmp_path / "out",
        "empty": tmp_path / "empty.wav",
        "missing": tmp_path / "missing.wav",
    }
    before = recording.read_bytes()
    outcome = call("transcribe", model, *(o.format(**names) for o in options), *ALLOW)
    assert outcome.code == 2
    assert len(outcome.lines) == 1 and message in outcome.err
    assert recording.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_silence_gives_an_empty_file(call: Call, model: Path, tmp_path: Path) -> None:
    save_audio(tmp_path / "silence.wav", 0 * sound_of("abc"), RATE)
    path = tmp_path / "silence.srt"
    assert call("transcribe", model, tmp_path / "silence.wav", "-o", path, *ALLOW).code == 0
    assert path.read_text() == ""
