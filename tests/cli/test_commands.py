"""Each subcommand as a user calls it: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seqlab
from seqlab.cli import locate
from seqlab.cli.main import COMMANDS
from seqlab.data.manifest import read_manifest
from tests.cli.conftest import Call, Trained

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


def test_no_arguments_print_help_and_fail(call: Call) -> None:
    outcome = call()
    assert outcome.code == 2
    assert all(name in outcome.out for name in COMMANDS)


def test_version(call: Call) -> None:
    assert call("--version").out == f"seqlab {seqlab.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(call: Call, name: str) -> None:
    outcome = call(name, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"usage: seqlab {name}")


def test_training_leaves_one_folder(keywords: Trained) -> None:
    assert keywords.code == 0
    names = {path.name for path in keywords.run.iterdir()}
    assert names >= {
        "recipe.yaml",
        "metrics.csv",
        "metrics.jsonl",
        "tensorboard",
        "checkpoints",
        "model",
        "evaluation.json",
        "run.json",
        "report.html",
    }


def test_report_names_the_command_that_reproduces_it(keywords: Trained) -> None:
    page = (keywords.run / "report.html").read_text(encoding="utf-8")
    assert f"seqlab train {keywords.recipe} -o {keywords.run} --seed 3" in page
    assert "Synthetic speech" in page


def test_training_prints_plain_lines_when_piped(
    call: Call, keywords: Trained, tmp_path: Path
) -> None:
    outcome = call("train", keywords.recipe, "-o", tmp_path / "run", "--training.epochs", 1)
    assert outcome.code == 0
    assert re.search(r"^epoch 1/1  loss \d\.\d{3}", outcome.err, re.M)
    assert "\x1b" not in outcome.out + outcome.err
    assert "synthetic speech" in outcome.err
    assert re.search(r"^test\s+7\s+accuracy\s+\d+\.\d %", outcome.out, re.M)


def test_training_twice_into_one_folder_is_refused(call: Call, keywords: Trained) -> None:
    outcome = call("train", keywords.recipe, "-o", keywords.run)
    assert outcome.code == 2
    assert len(outcome.lines) == 1


def test_print_config_shows_overrides_wherever_they_stand(call: Call, keywords: Trained) -> None:
    outcome = call("train", "--seed", 11, keywords.recipe, "--print_config", "--optimizer.lr=0.125")
    assert outcome.code == 0
    assert "seed: 11\n" in outcome.out
    assert "lr: 0.125\n" in outcome.out


def test_train_as_json(call: Call, speech: Trained, tmp_path: Path) -> None:
    outcome = call("train", speech.recipe, "-o", tmp_path, "--training.max_steps=1", "--json")
    assert set(json.loads(outcome.out)["figures"]) == {"dev", "test"}


def test_check_explains(call: Call, speech: Trained) -> None:
    outcome = call("check", speech.recipe)
    assert outcome.code == 0
    assert "SeparableConvEncoder" in outcome.out
    assert re.search(r"train\s+22 utterances", outcome.out)
    facts = json.loads(call("check", speech.recipe, "--json").out)["recipe"]
    assert facts["task"] == "transcription"
    assert facts["parameters"] > 0


def test_check_of_a_recipe_whose_corpus_is_missing(call: Call, speech: Trained) -> None:
    outcome = call("check", speech.recipe, "--data.root", "/nowhere")
    assert outcome.code == 0
    assert "/nowhere/train.jsonl.gz is not there" in outcome.out


def test_evaluate_prints_figure_interval_and_speakers(call: Call, speech: Trained) -> None:
    outcome = call("evaluate", speech.run, speech.corpus / "test.jsonl.gz")
    assert outcome.code == 0
    assert re.search(r"word error rate +\d+\.\d % +\d+\.\d to \d+\.\d %", outcome.out)
    assert re.search(r"of audio in .*, real-time factor \d.* \(\d+ threads?\)", outcome.out)
    assert re.search(r"^s1 +\d+ +\d+\.\d %$", outcome.out, re.M)


def test_evaluate_as_json_and_into_a_folder(call: Call, keywords: Trained, tmp_path: Path) -> None:
    manifest = keywords.corpus / "test.jsonl.gz"
    outcome = call("evaluate", keywords.run / "model", manifest, "--json", "-o", tmp_path)
    content = json.loads(outcome.out)
    assert content["metric"] == "accuracy"
    assert [row["speaker"] for row in content["speakers"]]
    assert len(content["records"]) == 7
    assert "tones" not in (tmp_path / "report.html").read_text(encoding="utf-8")[:200]
    low, high = content["confidence_interval"]
    assert 0 <= low <= content["value"] <= high <= 1
    speed = content["speed"]
    assert speed["audio_s"] == pytest.approx(sum(u.duration_s for u in read_manifest(manifest)))
    assert speed["real_time_factor"] == pytest.approx(speed["seconds"] / speed["audio_s"])


def test_evaluation_equals_the_one_after_training(call: Call, keywords: Trained) -> None:
    stored = json.loads((keywords.run / "evaluation.json").read_text(encoding="utf-8"))
    outcome = call("evaluate", keywords.run, keywords.corpus / "test.jsonl.gz", "--json")
    assert json.loads(outcome.out)["figures"] == stored["test"]["figures"]


def test_transcribe(call: Call, speech: Trained) -> None:
    wavs = sorted(map(str, speech.corpus.glob("test0[0-2].wav")))
    outcome = call("transcribe", speech.run, *wavs)
    assert outcome.code == 0
    assert [line.split("\t")[0] for line in outcome.out.splitlines()] == wavs
    answers = json.loads(call("transcribe", speech.run, *wavs, "--json").out)
    assert [f"{a['file']}\t{a['text']}" for a in answers] == outcome.out.splitlines()
    for answer in answers:
        assert [word["word"] for word in answer["words"]] == answer["text"].split()
    rows = call("transcribe", speech.run, *wavs, "--times").out.splitlines()
    assert len(rows) == sum(len(answer["words"]) for answer in answers)


def test_classify_top(call: Call, keywords: Trained) -> None:
    outcome = call("classify", keywords.run, keywords.wav, "--top", 3, "--json")
    labels = json.loads(outcome.out)[0]["labels"]
    assert {entry["label"] for entry in labels} == {"a", "b", "c"}
    probabilities = [entry["probability"] for entry in labels]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert "synthetic" in outcome.err
    assert "probability" in call("classify", keywords.run, keywords.wav).out


def test_one_bad_file_does_not_stop_the_others(
    call: Call, keywords: Trained, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not audio")
    outcome = call("classify", keywords.run, bad, keywords.wav, tmp_path / "missing.wav", "--json")
    assert outcome.code == 2
    assert [answer["file"] for answer in json.loads(outcome.out)] == [keywords.wav]
    assert [line.startswith("seqlab: error: ") for line in outcome.lines[1:]] == [True] * 3


def test_prepare_prints_a_table(call: Call, keywords: Trained, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for index, wav in enumerate(sorted(keywords.corpus.glob("train*.wav"))[:9]):
        folder = source / "abc"[index % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / wav.name).write_bytes(wav.read_bytes())
    arguments = ("prepare", "folder", source, tmp_path / "out")
    outcome = call(*arguments, "--test-fraction", "0.34", "--dev_fraction=0.34")
    assert outcome.code == 0
    assert re.search(r"^train +\d+ ", outcome.out, re.M)
    summary = json.loads(call(*arguments, "--json").out)
    assert summary["corpus"] == "folder"


def test_prepare_about(call: Call) -> None:
    outcome = call("prepare", "fsdd", "--about")
    assert outcome.code == 0
    assert "dev_takes" in outcome.out


def test_shipped_recipes_are_found_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    from seqlab.cli.demo import RECIPE

    assert locate.find_recipe(RECIPE).is_file()


def test_recipes_of_an_installed_package_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "site" / "seqlab"
    recipe = package / "_recipes" / "kws" / "x.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("seed: 1\n")
    monkeypatch.setattr(locate, "__file__", str(package / "cli" / "locate.py"))
    assert locate.find_recipe("recipes/kws/x.yaml") == recipe
    with pytest.raises(seqlab.SeqlabError, match=r"kws/x\.yaml"):
        locate.find_recipe("recipes/kws/y.yaml")
    with pytest.raises(seqlab.SeqlabError, match="does not exist"):
        locate.find_recipe("recipes/../../../cli/main.py")


def test_a_missing_recipe_is_told_what_is_there() -> None:
    with pytest.raises(
        seqlab.SeqlabError, match=r"name a recipe file, such as kws/fsdd/official\.yaml"
    ):
        locate.find_recipe("kws/fsdd/oficial.yaml")
    with pytest.raises(
        seqlab.SeqlabError, match="those that come with seqlab are in asr/an4, "
    ) as told:
        locate.find_recipe("nowhere.yaml")
    assert len(str(told.value)) < 500


def test_interrupted_commands_exit_with_130(
    call: Call, monkeypatch: pytest.MonkeyPatch, speech: Trained
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seqlab.cli.locate.load_model", interrupt)
    outcome = call("transcribe", speech.run, speech.wav)
    assert outcome.code == 130
    assert outcome.lines == ["seqlab: error: stopped by Ctrl-C"]


def test_reader_of_a_pipe_may_leave(speech: Trained) -> None:
    command = f"{sys.executable} -m seqlab.cli.main --help | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_resume_through_the_command_line_gives_the_same_weights(
    speech: Trained, tmp_path: Path
) -> None:
    """Stopped by SIGINT in mid-training, then resumed: equal to the uninterrupted run."""
    import signal

    command = [sys.executable, "-m", "seqlab.cli.main", "train", str(speech.recipe)]
    command += ["--seed", "3", "--training.epochs", "20", "-o"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    subprocess.run([*command, str(whole)], check=True, capture_output=True, env=env)
    with subprocess.Popen(
        [*command, str(stopped)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=env,
    ) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("epoch 2/"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert rest.splitlines()[-1].startswith("seqlab: error: ")
    assert "Traceback" not in rest
    subprocess.run([*command, str(stopped), "--resume"], check=True, capture_output=True, env=env)
    states = [
        torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["model"]
        for folder in (whole, stopped)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_evaluate_does_not_replace_a_training(call: Call, keywords: Trained) -> None:
    before = (keywords.run / "run.json").read_text()
    outcome = call("evaluate", keywords.run, keywords.corpus / "test.jsonl.gz", "-o", keywords.run)
    assert outcome.code == 2 and "folder of a training" in outcome.err
    assert (keywords.run / "run.json").read_text() == before


def test_evaluate_one_split_of_a_table(call: Call, keywords: Trained, tmp_path: Path) -> None:
    wavs = [str(sorted(keywords.corpus.glob(f"{split}*.wav"))[0]) for split in ("train", "test")]
    rows = [f"{wav}\ta\t{split}" for wav, split in zip(wavs, ("train", "test"), strict=True)]
    table = tmp_path / "m.tsv"
    table.write_text("\n".join(["path\tlabel\tsplit", *rows]) + "\n")
    outcome = call("evaluate", keywords.run, table)
    assert outcome.code == 2 and "several splits (train, test)" in outcome.err
    outcome = call("evaluate", keywords.run, table, "--split", "test", "--json")
    assert [record["path"] for record in json.loads(outcome.out)["records"]] == wavs[1:]


def test_the_demo_removes_only_its_own_training(tmp_path: Path, keywords: Trained) -> None:
    from seqlab.cli.demo import is_demo

    assert is_demo(keywords.run, "tones")
    assert not is_demo(keywords.run, "digits")
    assert not is_demo(tmp_path, "tones")


def test_recipes_named_in_texts_exist() -> None:
    top = Path(seqlab.__file__).parent.parent
    texts = [*(top / "seqlab").rglob("*.py"), top / "README.md", *top.glob("recipes/*/*/README.md")]
    for text in texts:
        for name in re.findall(r"recipes/[\w/]+\.yaml", text.read_text(encoding="utf-8")):
            assert locate.find_recipe(name).is_file(), f"{text} names {name}"
