"""The loop: repeatable, resumable only as it was, and honest about what it keeps."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqlab.errors import DataError, ModelError, RecipeError, TrainingError
from seqlab.model import SpeechModel
from seqlab.training import loop
from seqlab.training.checkpoint import load_safely
from seqlab.training.observer import Progress
from seqlab.training.writers import COLUMNS, read_metrics

from .corpus import make_corpus, make_recipe, run


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []
        self.rows: list[Mapping[str, Any]] = []
        self.notes: list[str] = []

    def stepped(self, progress: Progress) -> None:
        self.steps.append(progress)

    def validated(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))

    def noted(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("labels"), "classification")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("texts"), "transcription", train=9, other=3)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_learns_and_leaves_its_folder(labels: Path, tmp_path: Path) -> None:
    observer, folder = Recorder(), tmp_path / "run"
    recipe = make_recipe(labels, "classification", training__epochs=10)
    result = run(recipe, folder, observer=observer)
    assert result.evaluations["test"].value == 1.0
    assert result.training.result == "best"
    for name in ("recipe.yaml", "metrics.csv", "metrics.jsonl", "tensorboard", "report.html"):
        assert (folder / name).exists()
    assert [p.step for p in observer.steps] == list(range(1, 61))
    last = observer.steps[-1]
    assert (last.epoch, last.epochs, last.total_steps, last.eta_s) == (10, 10, 60, 0)
    assert last.utterances_per_s > 0 and last.audio_s_per_s > 0
    assert len(observer.rows) == 10
    model = SpeechModel.load(folder / "model")
    utterance = result.evaluations["test"].records[0]
    assert model.classify(utterance.path)[0][0].label == utterance.hypothesis
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["test"]["value"] == 1.0
    facts = json.loads((folder / "run.json").read_text())
    assert facts["command"] == ["seqlab", "train"]
    assert facts["training_utterances"] == 22
    assert facts["processes"] == 1


def test_metrics_in_three_forms(labels: Path, tmp_path: Path) -> None:
    run(make_recipe(labels, "classification", training__epochs=2), tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert all(set(row) <= set(COLUMNS) for row in rows)
    assert [(row["step"], "dev_accuracy" in row) for row in rows] == [
        *((step, False) for step in (2, 4, 6)),
        (6, True),
        *((step, False) for step in (8, 10, 12)),
        (12, True),
    ]
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == len(rows) + 1
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = {event.step: event.value for event in board.Scalars("dev_loss")}
    assert shown == pytest.approx({r["step"]: r["dev_loss"] for r in rows if "dev_loss" in r})


def test_repeatable_and_seeded(labels: Path, tmp_path: Path) -> None:
    for name, seed in {"one": 7, "same": 7, "other": 8}.items():
        run(make_recipe(labels, "classification", seed=seed), tmp_path / name)
        torch.rand(17)  # whatever else draws random numbers
    assert same(weights(tmp_path / "one"), weights(tmp_path / "same"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_averaged_weights_are_the_mean_of_the_last_epochs(labels: Path, tmp_path: Path) -> None:
    recipe = make_recipe(labels, "classification", training__average_last=2)
    result = run(recipe, tmp_path)
    assert result.training.result == "averaged"
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["best.pt", "epoch-2.pt", "epoch-3.pt", "last.pt"]
    second, third = (
        load_safely(tmp_path / "checkpoints" / f"epoch-{number}.pt")["model"] for number in (2, 3)
    )
    averaged = weights(tmp_path)
    for name, value in averaged.items():
        if value.is_floating_point():
            expected = ((second[name].double() + third[name].double()) / 2).to(value.dtype)
            assert torch.equal(value, expected)
        else:
            assert torch.equal(value, third[name])
    assert any("running_var" in name for name in averaged)


def test_last_weights(labels: Path, tmp_path: Path) -> None:
    run(make_recipe(labels, "classification", training__result="last"), tmp_path)
    assert same(weights(tmp_path), load_safely(tmp_path / "checkpoints" / "last.pt")["model"])


def test_best_weights_by_loss(labels: Path, tmp_path: Path) -> None:
    recipe = make_recipe(labels, "classification", training__monitor="loss")
    recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=5))
    result = run(recipe, tmp_path)
    losses = [row["dev_loss"] for row in result.training.history]
    assert result.training.epoch == 1 + losses.index(min(losses))
    assert result.evaluations["dev"].loss == pytest.approx(min(losses), abs=1e-6)


def test_without_a_dev_set_the_last_weights_are_the_result(labels: Path, tmp_path: Path) -> None:
    result = run(make_recipe(labels, "classification", data__dev=[]), tmp_path)
    assert result.training.result == "last"
    assert list(result.evaluations) == ["test"]
    assert not (tmp_path / "checkpoints" / "best.pt").exists()


def test_best_without_a_dev_set_is_refused(labels: Path, tmp_path: Path) -> None:
    recipe = make_recipe(labels, "classification", data__dev=[], training__result="best")
    with pytest.raises(RecipeError, match=r"training\.result=best needs a dev set"):
        run(recipe, tmp_path)


def test_early_stopping_without_a_dev_set_is_refused(labels: Path, tmp_path: Path) -> None:
    changes = {"data__dev": [], "training__early_stopping_patience": 3}
    recipe = make_recipe(labels, "classification", **changes)
    with pytest.raises(RecipeError, match="early_stopping_patience=3 needs a dev set"):
        run(recipe, tmp_path)


def test_early_stopping(labels: Path, tmp_path: Path) -> None:
    recipe = make_recipe(
        labels,
        "classification",
        optimizer={"name": "sgd", "lr": 1e-12},  # nothing improves
        training__early_stopping_patience=2,
        training__epochs=9,
        training__monitor="loss",
        encoder__init_args__dropout=0.0,
        encoder__class_path="seqlab.encoders.mlp.MLPEncoder",
        encoder__init_args={},
    )
    result = run(recipe, tmp_path)
    best = result.training.epoch
    assert len(result.training.history) == best + 2 < 9


def test_max_steps_ends_within_an_epoch(labels: Path, tmp_path: Path) -> None:
    observer = Recorder()
    recipe = make_recipe(labels, "classification", training__max_steps=8)
    result = run(recipe, tmp_path, observer=observer)
    assert result.training.step == 8 == observer.steps[-1].total_steps
    assert [row["step"] for row in result.training.history] == [6, 8]


def test_bf16_stays_close_to_float32(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_cpu_has_bf16", lambda: True)  # slow where it has not, not wrong
    losses = {}
    for precision in ("no", "bf16"):
        recipe = make_recipe(labels, "classification", training__precision=precision)
        result = run(recipe, tmp_path / precision)
        losses[precision] = [row["epoch_loss"] for row in result.training.history]
    assert losses["bf16"] != losses["no"]
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_cpu_without_bf16_computes_in_float32_and_says_so(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_cpu_has_bf16", lambda: False)
    losses = {}
    for precision in ("no", "bf16"):
        observer = Recorder()
        recipe = make_recipe(labels, "classification", training__precision=precision)
        result = run(recipe, tmp_path / precision, observer=observer)
        losses[precision] = [row["epoch_loss"] for row in result.training.history]
        said = any("no fast bf16; computing in float32" in note for note in observer.notes)
        assert said == (precision == "bf16")
        assert json.loads((tmp_path / precision / "run.json").read_text())["precision"] == "no"
    assert losses["bf16"] == losses["no"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_fp16_needs_a_gpu(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.precision=fp16 needs a GPU"):
        run(make_recipe(labels, "classification", training__precision="fp16"), tmp_path)


def test_a_duration_limit_and_accumulation(texts: Path, tmp_path: Path) -> None:
    recipe = make_recipe(
        texts, data__batch_size=None, data__batch_duration_s=1.5, training__accumulate=2
    )
    observer = Recorder()
    result = run(recipe, tmp_path, observer=observer)
    assert result.training.step == observer.steps[-1].total_steps


def test_training_over_another_training_is_refused(texts: Path, tmp_path: Path) -> None:
    run(make_recipe(texts), tmp_path)
    with pytest.raises(TrainingError, match="already holds a training"):
        run(make_recipe(texts), tmp_path)


def test_resuming_a_finished_training_gives_it_again(texts: Path, tmp_path: Path) -> None:
    run(make_recipe(texts), tmp_path)
    before = weights(tmp_path)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    observer = Recorder()
    run(make_recipe(texts), tmp_path, resume=True, observer=observer)
    assert observer.steps == []
    assert same(weights(tmp_path), before)
    assert read_metrics(tmp_path / "metrics.jsonl") == rows


def test_resuming_with_another_recipe_names_the_differences(texts: Path, tmp_path: Path) -> None:
    run(make_recipe(texts), tmp_path)
    changed = make_recipe(texts, optimizer__lr=0.5, encoder__init_args__dropout=0.2, seed=1)
    with pytest.raises(
        TrainingError, match=r"encoder\.init_args\.dropout, optimizer\.lr, seed, must be the same"
    ):
        run(changed, tmp_path, resume=True)
    run(make_recipe(texts, data__num_workers=1, training__log_every_steps=1), tmp_path, resume=True)


def test_resuming_with_other_data_is_refused(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", "transcription", train=9, other=3)
    run(make_recipe(root), tmp_path / "run")
    make_corpus(tmp_path / "corpus", "transcription", train=10, other=3)
    with pytest.raises(TrainingError, match="the training data differ"):
        run(make_recipe(root), tmp_path / "run", resume=True)


def test_resuming_nothing(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"last\.pt is not a file"):
        run(make_recipe(texts), tmp_path, resume=True)


def test_an_empty_training_set(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="training set has 0 utterances"):
        run(make_recipe(texts, data__train=[]), tmp_path)
