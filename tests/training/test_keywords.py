"""A keyword model from recipe to hard negatives: labels, choice of the epoch, exact resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.cli.main import main
from seqlab.data.manifest import Utterance, read_manifest, write_manifest
from seqlab.errors import RecipeError, TrainingError
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.judging import miss_rate_judge
from seqlab.model import SpeechModel
from seqlab.recipe import Recipe
from seqlab.training.observer import Progress, SilentObserver
from seqlab.training.selection import to_beat
from seqlab.training.validate import Evaluation

from .corpus import RATE, make_corpus, make_recipe, run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keywords")
    make_corpus(folder, "classification", train=18, other=6)
    generator = torch.Generator().manual_seed(0)
    for name, seconds in (("speech", 6.0), ("negatives", 9.0), ("noise", 2.0)):
        waveform = 0.1 * torch.randn(round(seconds * RATE), generator=generator)
        save_audio(folder / f"{name}.wav", waveform, RATE)
        found = Utterance(name, str(folder / f"{name}.wav"), 0.0, seconds, RATE)
        write_manifest([found], folder / f"{name}.jsonl.gz")
    return folder


def keyword_recipe(root: Path, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "head": {"class_path": "seqlab.heads.keyword.KeywordHead", "init_args": {"window": 3}},
        "data__unknown": {"sources": ["speech"], "per_epoch": 10},
        "data__silence": {"sources": ["noise"], "per_epoch": 4},
        "data__negatives": ["negatives"],
        "encoder__init_args__causal": True,
        "training__monitor": "miss_rate",
        "training__mixup": 0.2,
        "training__class_balance": 0.5,
    }
    return make_recipe(root, "classification", **(settings | changes))


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    run(keyword_recipe(root), folder)
    return folder


def test_labels_background_and_figures(trained: Path) -> None:
    model = SpeechModel.load(trained / "model")
    assert list(model.tokenizer.tokens) == ["<silence>", "<unknown>", "a", "b", "c"]
    assert isinstance(model.head, KeywordHead)
    assert model.head.is_keyword.tolist() == [False, False, True, True, True]
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    missed = [row["dev_miss_rate"] for row in rows if row.get("dev_miss_rate") is not None]
    assert len(missed) == 3 and all(0 <= value <= 1 for value in missed)
    assert json.loads((trained / "run.json").read_text())["training_utterances"] == 32


def test_background_that_a_recipe_names_stays(root: Path, tmp_path: Path) -> None:
    arguments = {"window": 3, "background": [1]}
    head = {"class_path": "seqlab.heads.keyword.KeywordHead", "init_args": arguments}
    result = run(keyword_recipe(root, head=head, training__max_steps=1), tmp_path / "run")
    found = SpeechModel.load(result.folder / "model").head
    assert isinstance(found, KeywordHead) and found.is_keyword.tolist().count(False) == 1


class Stopped(Exception):
    """Stands for a machine that goes away."""


class StopsAt(SilentObserver):
    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise Stopped


def test_resumes_to_the_bit_with_a_teacher(root: Path, trained: Path, tmp_path: Path) -> None:
    recipe = keyword_recipe(
        root,
        training__teacher=str(trained / "model"),
        training__epochs=2,
        training__checkpoint_every_steps=1,
    )
    run(recipe, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(recipe, tmp_path / "parts", observer=StopsAt(11))
    run(recipe, tmp_path / "parts", resume=True)
    whole, parts = (SpeechModel.load(tmp_path / n / "model") for n in ("whole", "parts"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_another_teacher_is_no_resumption(root: Path, trained: Path, tmp_path: Path) -> None:
    teacher = SpeechModel.load(trained / "model")
    teacher.save(tmp_path / "teacher")
    recipe = keyword_recipe(root, training__teacher=str(tmp_path / "teacher"), training__epochs=1)
    run(recipe, tmp_path / "run")
    with torch.no_grad():
        next(teacher.parameters()).add_(0.1)
    teacher.save(tmp_path / "teacher")
    with pytest.raises(TrainingError, match=r"differs .* in training\.teacher's weights"):
        run(recipe, tmp_path / "run", resume=True)


def test_judge_has_keywords_of_dev_and_notes(root: Path, trained: Path) -> None:
    judge = miss_rate_judge(keyword_recipe(root).data, 0.5)
    assert judge is not None and len(judge.positives) == 6
    assert "cannot tell 0.5 false alarms per hour from none" in judge.notes[0]
    assert judge(SpeechModel.load(trained / "model")).keys() == {"miss_rate"}
    assert miss_rate_judge(make_recipe(root, "classification").data, 0.5) is None


def test_what_is_best() -> None:
    evaluation = Evaluation("classification", 0.7, "accuracy", 0.9, {"accuracy": 0.9}, [])
    assert to_beat("miss_rate", evaluation, {"miss_rate": 0.25}) == (0.25, 0.7)
    assert to_beat("loss", evaluation, {}) == (0.7, 0.0)
    assert to_beat("metric", evaluation, {"miss_rate": 0.25}) == pytest.approx((0.1, 0.7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__negatives": []}, r"monitor=miss_rate needs data\.negatives"),
        ({"data__dev": []}, r"monitor=miss_rate needs data\.dev"),
        ({"training__monitor": "loss"}, r"data\.negatives=\['negatives'\] is for"),
    ],
)
def test_negatives_and_monitor_go_together(
    root: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        keyword_recipe(root, **changes)


def test_hard_negatives_are_mined_and_trained_on(
    root: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hard = tmp_path / "hard.jsonl.gz"
    command = ["hard-negatives", str(trained), str(root / "speech.jsonl.gz"), "-o", str(hard)]
    assert main([*command, "--threshold", "0.0001", "--context", "0.2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    found = read_manifest(hard)
    assert figures["sections"] == len(found) > 0
    assert all(u.label == "<unknown>" and u.path.endswith("speech.wav") for u in found)
    unknown = {"sources": ["speech"], "per_epoch": 6, "hard": [str(hard)], "hard_share": 1.0}
    recipe = keyword_recipe(root, data__unknown=unknown, training__max_steps=2)
    assert run(recipe, tmp_path / "again").training.step == 2
    assert main([*command[:-1], "hard.txt"]) == 2
    assert main([*command, "--most", "0"]) == 2
    assert "--most 0 must be at least 1" in capsys.readouterr().err
