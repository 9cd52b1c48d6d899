"""seqlab tune, and the beam search options of the commands that use what it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seqlab import NGramModel
from seqlab.data.manifest import read_manifest
from seqlab.inference.settings import DecodingSettings
from tests.cli.conftest import Call, Trained


@pytest.fixture
def words(speech: Trained, tmp_path: Path) -> Path:
    texts = [u.transcript or "" for u in read_manifest(speech.corpus / "train.jsonl.gz")]
    path = tmp_path / "words.ngram"
    NGramModel.estimate(texts, order=2, smoothing="witten_bell").save(path)
    return path


def test_tuned_settings_are_used(call: Call, speech: Trained, words: Path, tmp_path: Path) -> None:
    dev = speech.corpus / "dev.jsonl.gz"
    settings = tmp_path / "tuned" / "decoding.json"
    command = ["tune", speech.run, dev, "--language-model", words, "--beam", 8, "-o", settings]
    found = call(*command)
    assert found.code == 0, found.err
    assert "best path" in found.out and f"written: {settings}" in found.out
    content = json.loads(settings.read_text())
    assert content["beam"] == 8 and content["language_model"] == "../words.ngram"
    trials = json.loads(call(*command, "--json").out)
    least = min(trial["word_errors"] for trial in trials["trials"])
    assert trials["trials"][0]["word_errors"] == least
    assert trials["trials"][0]["lm_weight"] == content["lm_weight"]
    evaluation = json.loads(call("evaluate", speech.run, dev, "--decoding", settings, "--json").out)
    assert sum(record["errors"] for record in evaluation["records"]) == least


def test_stored_settings_are_the_models_own(
    call: Call, speech: Trained, words: Path, tmp_path: Path
) -> None:
    """The folder is moved, and the first language model is gone: the model is whole in itself."""
    dev, model = speech.corpus / "dev.jsonl.gz", tmp_path / "model"
    shutil.copytree(Path(speech.run) / "model", model)
    command = ["tune", model, dev, "--language-model", words, "--beam", 8, "--json"]
    trials = json.loads(call(*command, "--store").out)["trials"]
    words.unlink()
    moved = model.rename(tmp_path / "moved")

    def errors(*options: str) -> int:
        found = json.loads(call("evaluate", moved, dev, "--json", *options).out)
        return sum(record["errors"] for record in found["records"])

    plain = json.loads(call("evaluate", speech.run, dev, "--json").out)["records"]
    assert errors() == min(trial["word_errors"] for trial in trials)
    assert errors("--best-path") == sum(record["errors"] for record in plain)
    kept = DecodingSettings.stored(moved)
    assert kept is not None and kept.language_model == str(moved / "decoding-words.ngram")
    assert kept.store(moved) == kept and not (moved / "decoding-decoding-words.ngram").exists()
    refused = call("evaluate", moved, dev, "--best-path", "--beam", 4)
    assert refused.code == 2 and "--best-path searches nothing" in refused.err
    (moved / "decoding.json").write_text("[]")
    assert "decoding.json" in call("evaluate", moved, dev).err


def test_options_go_before_the_file(
    call: Call, speech: Trained, words: Path, tmp_path: Path
) -> None:
    """A language model that is given anew must be there; the file's is not looked at."""
    dev = speech.corpus / "dev.jsonl.gz"
    settings = tmp_path / "decoding.json"
    settings.write_text('{"language_model": "gone.ngram"}')
    refused = call("evaluate", speech.run, dev, "--decoding", settings)
    assert refused.code == 2 and "gone.ngram" in refused.err and len(refused.lines) == 1
    good = call("evaluate", speech.run, dev, "--decoding", settings, "--language-model", words)
    assert good.code == 0, good.err


def test_hotwords_change_answers(call: Call, speech: Trained) -> None:
    dev = speech.corpus / "dev.jsonl.gz"
    word = next(u.transcript or "" for u in read_manifest(dev)).split()[0]

    def heard(*options: str) -> int:
        content = json.loads(call("evaluate", speech.run, dev, "--json", *options).out)
        return sum(record["hypothesis"].split().count(word) for record in content["records"])

    assert heard("--hotword", f"{word}=60") > heard("--hotword", f"{word}=0.001")


def test_evaluate_sets_chunks_of_encoders_that_have_them(call: Call, speech: Trained) -> None:
    refused = call("evaluate", speech.run, speech.corpus / "dev.jsonl.gz", "--chunk-frames", "8")
    assert refused.code == 2 and "--chunk-frames is not for" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam", "0"], "beam=0"),
        (["--hotword", "=3"], "must be PHRASE"),
        (["--hotword", "ann=much"], "must be PHRASE"),
        (["--lm-weight", "-1"], "lm_weight=-1"),
        (["--decoding", "none.json"], "none.json"),
        (["--lm-unit", "phone"], "lm_unit='phone'"),
    ],
)
def test_bad_options(call: Call, speech: Trained, options: list[str], message: str) -> None:
    found = call("evaluate", speech.run, speech.corpus / "dev.jsonl.gz", *options)
    assert found.code == 2 and message in found.err and len(found.lines) == 1


def test_bad_calls_of_tune(call: Call, speech: Trained, keywords: Trained, tmp_path: Path) -> None:
    dev = speech.corpus / "dev.jsonl.gz"
    folder = call("tune", speech.run, dev, "-o", tmp_path)
    assert folder.code == 2 and "is a folder" in folder.err
    labels = call("tune", keywords.run, dev, "-o", tmp_path / "x.json")
    assert labels.code == 2 and "no answer for each frame" in labels.lines[-1]
    assert not (tmp_path / "x.json").exists()


def test_folds(call: Call, speech: Trained, words: Path, tmp_path: Path) -> None:
    """The same fold twice has twice the errors and the same best weights."""
    dev, out = speech.corpus / "dev.jsonl.gz", tmp_path / "decoding.json"
    command = ["tune", speech.run, dev, "--language-model", words, "--beam", 8, "-o", out, "--json"]
    once = json.loads(call(*command).out)["trials"]
    twice = json.loads(call(*command, "--fold", speech.run, dev, words).out)["trials"]
    assert [t["lm_weight"] for t in twice] == [t["lm_weight"] for t in once]
    assert [t["word_errors"] for t in twice] == [2 * t["word_errors"] for t in once]
    found = call(*command, "--fold", speech.run, dev, "-")
    assert found.code == 2 and "either all folds have a language model or none has" in found.err
