"""seqlab adapt, and ``--adapt`` of evaluate and tune."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seqlab import NGramModel
from seqlab.data.manifest import read_manifest
from seqlab.inference.settings import DecodingSettings
from seqlab.model import SpeechModel
from tests.cli.conftest import Call, Trained


def evaluation(call: Call, *command: object) -> dict[str, Any]:
    found = call("evaluate", *command, "--json")
    assert found.code == 0, found.err
    content: dict[str, Any] = json.loads(found.out)
    return content


def test_a_speaker_of_a_manifest(call: Call, speech: Trained, tmp_path: Path) -> None:
    """What the command writes answers as ``evaluate --adapt`` does for that speaker."""
    manifest = speech.corpus / "test.jsonl.gz"
    folder = tmp_path / "s1"
    found = call("adapt", speech.run, manifest, "--speaker", "s1", "-o", folder)
    assert found.code == 0, found.err
    assert f"written: {folder}" in found.out
    assert "adapting to 2 recordings, " in found.err
    whole = evaluation(call, speech.run, manifest, "--adapt")
    alone = evaluation(call, folder, manifest)
    for name in ("hypothesis", "loss"):
        assert [r[name] for r in whole["records"] if r["speaker"] == "s1"] == [
            r[name] for r in alone["records"] if r["speaker"] == "s1"
        ]
    assert SpeechModel.load(folder).task == "transcription"


def test_audio_files_and_stored_settings(call: Call, speech: Trained, tmp_path: Path) -> None:
    texts = [u.transcript or "" for u in read_manifest(speech.corpus / "train.jsonl.gz")]
    words = tmp_path / "words.ngram"
    NGramModel.estimate(texts, order=2, smoothing="witten_bell").save(words)
    model = tmp_path / "model"
    shutil.copytree(Path(speech.run) / "model", model)
    DecodingSettings(beam=5, language_model=str(words), lm_weight=0.5).store(model)
    files = sorted(speech.corpus.glob("test*.wav"))
    found = call("adapt", model, *files, "-o", tmp_path / "own", "--adapt-passes", 2)
    assert found.code == 0, found.err
    stored = DecodingSettings.stored(tmp_path / "own")
    assert stored is not None and stored.beam == 5 and stored.lm_weight == 0.5
    assert Path(stored.language_model or "").parent == tmp_path / "own"
    assert call("transcribe", tmp_path / "own", files[0]).code == 0


def test_transcripts_are_learned_if_asked(call: Call, speech: Trained, tmp_path: Path) -> None:
    manifest = speech.corpus / "test.jsonl.gz"
    command = ["adapt", speech.run, manifest, "--speaker", "s0", "--adapt-learning-rate", 1e-2]
    assert call(*command, "--transcripts", "-o", tmp_path / "told").code == 0
    assert call(*command, "-o", tmp_path / "alone").code == 0

    def loss(model: Path) -> float:
        records = evaluation(call, model, manifest)["records"]
        return sum(record["loss"] for record in records if record["speaker"] == "s0")

    assert loss(tmp_path / "told") < loss(tmp_path / "alone")


def test_tuning_on_adapted_answers(call: Call, speech: Trained, tmp_path: Path) -> None:
    dev, settings = speech.corpus / "dev.jsonl.gz", tmp_path / "decoding.json"
    command = ["tune", speech.run, dev, "--beam", 4, "--adapt", "--adapt-passes", 1]
    trials = json.loads(call(*command, "--json", "-o", settings).out)["trials"]
    options = ["--decoding", settings, "--adapt", "--adapt-passes", 1]
    found = evaluation(call, speech.run, dev, *options)
    assert DecodingSettings.load(settings).beam == 4
    assert len(found["records"]) == 7 and trials[0]["word_errors"] <= 7


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["{wav}", "--speaker", "s0"], "--speaker needs a manifest"),
        (["{wav}", "--transcripts"], "--transcripts needs a manifest"),
        (["{dev}", "{wav}"], "is a manifest, must be the only file"),
        (["{dev}"], "has 3 speakers; name one of them with --speaker"),
        (["{dev}", "--speaker", "ann"], "has no speaker 'ann', must be one of s0, s1, s2"),
        (["{wav}", "--adapt-passes", "-1"], "passes=-1"),
        (["{corpus}/gone.wav"], "gone.wav"),
    ],
)
def test_what_is_refused(
    call: Call, speech: Trained, tmp_path: Path, command: list[str], message: str
) -> None:
    names = {"wav": speech.wav, "dev": speech.corpus / "dev.jsonl.gz", "corpus": speech.corpus}
    given = [part.format(**names) for part in command]
    found = call("adapt", speech.run, *given, "-o", tmp_path / "own")
    assert found.code == 2 and message in found.err
    assert len(found.lines) == 1
    assert not (tmp_path / "own").exists()


def test_other_folders_are_left_alone(call: Call, speech: Trained, tmp_path: Path) -> None:
    """Before anything is learned, so that nothing is lost."""
    (tmp_path / "notes.txt").write_text("mine")
    found = call("adapt", speech.run, speech.wav, "-o", tmp_path)
    assert found.code == 2 and "exists and is not a model folder" in found.err
    assert "adapting" not in found.err


def test_a_classifier_is_refused(call: Call, keywords: Trained, tmp_path: Path) -> None:
    found = call("adapt", keywords.run, keywords.wav, "-o", tmp_path / "own")
    assert found.code == 2 and "use seqlab classify" in found.err


def test_settings_without_the_switch(call: Call, speech: Trained) -> None:
    dev = speech.corpus / "dev.jsonl.gz"
    found = call("evaluate", speech.run, dev, "--adapt-passes", 3)
    assert found.code == 2 and "--adapt-passes says how to adapt, but not to" in found.err
    found = call("evaluate", speech.run, dev, "--adapt-decoding", "decoding.json")
    assert found.code == 2 and "--adapt-decoding says how to adapt, but not to" in found.err


def test_first_answers_have_settings_of_their_own(
    call: Call, speech: Trained, tmp_path: Path
) -> None:
    """What a lexicon of one word has the model learn is not what it hears by itself."""
    dev = speech.corpus / "dev.jsonl.gz"
    first, last, words = (tmp_path / name for name in ("first.json", "last.json", "words.txt"))
    words.write_text("cc\n")
    DecodingSettings(beam=4, lexicon=str(words)).save(first)
    DecodingSettings(beam=4).save(last)
    command = [speech.run, dev, "--adapt", "--adapt-learning-rate", 1e-2, "--decoding"]
    same = evaluation(call, *command, last)
    other = evaluation(call, *command, last, "--adapt-decoding", first)
    both = evaluation(call, *command, last, "--adapt-decoding", last)
    assert [r["loss"] for r in both["records"]] == [r["loss"] for r in same["records"]]
    assert [r["loss"] for r in other["records"]] != [r["loss"] for r in same["records"]]
