"""The moving average of weights: the recursion by hand, judged in place of the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqlab.data.manifest import read_manifest
from seqlab.errors import ModelError, RecipeError
from seqlab.model import SpeechModel
from seqlab.training.checkpoint import load_safely
from seqlab.training.config import TrainingConfig
from seqlab.training.ema import MovingAverage
from seqlab.training.observer import Progress
from seqlab.training.validate import evaluate

from .corpus import make_corpus, make_recipe, run


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("labels"), "classification", train=9, other=3)


def test_the_recursion_by_hand() -> None:
    """Weights 1, 2, 4, 8; decay 0.25 after two softened steps of 2/11 and 3/12 = 0.25."""
    model = nn.BatchNorm1d(1)
    model.weight.data.fill_(1.0)
    average = MovingAverage(model, 0.25)
    expected = 1.0
    for step, weight in enumerate((2.0, 4.0, 8.0), start=1):
        model.weight.data.fill_(weight)
        model.running_var.fill_(weight)
        model.num_batches_tracked.fill_(step)
        average.update(step)
        kept = {1: 2 / 11, 2: 0.25, 3: 0.25}[step]
        expected = kept * expected + (1 - kept) * weight
    state = average.state_dict()
    assert state["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert state["running_var"].item() == pytest.approx(expected, rel=1e-6)
    assert state["num_batches_tracked"].item() == 3
    assert model.weight.item() == 8.0


def test_the_decay_counts_after_the_start() -> None:
    average = MovingAverage(nn.Linear(1, 1), 0.999)
    assert average.rate(1) == pytest.approx(2 / 11)
    assert average.rate(100_000) == 0.999


def test_the_own_weights_come_back_to_the_last_bit() -> None:
    model = nn.Linear(3, 3)
    average = MovingAverage(model, 0.5)
    with torch.no_grad():
        model.weight.mul_(1.7)
    average.update(1)
    own = model.weight.detach().clone()
    with pytest.raises(KeyError), average.in_use():  # even if what is done there fails
        assert torch.equal(model.weight, average.state_dict()["weight"])
        assert not torch.equal(model.weight, own)
        raise KeyError
    assert torch.equal(model.weight, own)


def test_another_models_average_is_refused() -> None:
    average = MovingAverage(nn.Linear(3, 3), 0.5)
    with pytest.raises(ModelError, match=r"lacks weight of shape \(3, 3\)"):
        average.load_state_dict(MovingAverage(nn.Linear(2, 3), 0.5).state_dict())


def test_a_run_keeps_judges_and_saves_the_average(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights after every step are recorded, and the recursion is run over them again."""
    expected: dict[str, torch.Tensor] = {}
    update = MovingAverage.update

    def recording(self: MovingAverage, step: int) -> None:
        expected.update({} if expected else self.state_dict())
        kept = min(0.8, (1 + step) / (10 + step))
        for name, value in self._all.items():
            moved = kept * expected[name] + (1 - kept) * value
            expected[name] = moved if value.is_floating_point() else value.clone()
        update(self, step)

    monkeypatch.setattr(MovingAverage, "update", recording)
    changes = {"training__ema_decay": 0.8, "training__result": "last"}
    result = run(make_recipe(labels, "classification", **changes), tmp_path)
    checkpoint = load_safely(tmp_path / "checkpoints" / "last.pt")
    torch.testing.assert_close(checkpoint["average"], expected)
    stored = SpeechModel.load(tmp_path / "model")
    assert all(torch.equal(v, checkpoint["average"][k]) for k, v in stored.state_dict().items())
    assert not torch.equal(
        stored.state_dict()["head.linear.weight"], checkpoint["model"]["head.linear.weight"]
    )
    judged = evaluate(stored, read_manifest(labels / "dev.jsonl.gz"))
    assert judged.loss == pytest.approx(result.training.history[-1]["dev_loss"], rel=1e-5)


def test_best_holds_the_average(labels: Path, tmp_path: Path) -> None:
    changes = {"training__ema_decay": 0.8, "training__epochs": 1}
    result = run(make_recipe(labels, "classification", **changes), tmp_path)
    assert result.training.result == "best"
    best, last = (load_safely(tmp_path / "checkpoints" / f"{n}.pt") for n in ("best", "last"))
    torch.testing.assert_close(best["model"], last["average"], rtol=0, atol=0)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_decays_outside_their_range(decay: float) -> None:
    with pytest.raises(RecipeError, match=r"ema_decay=.* must be above 0 and below 1; 0\.999"):
        TrainingConfig(ema_decay=decay)


def test_two_ways_to_average_are_one_too_many() -> None:
    with pytest.raises(RecipeError, match=r"ema_decay=0\.9 and training\.average_last=2 are two"):
        TrainingConfig(ema_decay=0.9, average_last=2)


class StopAt:
    """An observer that breaks off a training after a step, before it is saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise InterruptedError

    def validated(self, row: Mapping[str, Any]) -> None:
        pass

    def noted(self, message: str) -> None:
        pass


def test_resuming_is_exact(labels: Path, tmp_path: Path) -> None:
    changes = {"training__ema_decay": 0.8, "training__checkpoint_every_steps": 1}
    recipe = make_recipe(labels, "classification", **changes)
    run(recipe, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(recipe, tmp_path / "parts", observer=StopAt(5))
    run(recipe, tmp_path / "parts", resume=True)
    for name in ("best", "last"):
        whole, parts = (
            load_safely(tmp_path / f / "checkpoints" / f"{name}.pt") for f in ("whole", "parts")
        )
        for part in {"model", "average"} & whole.keys():
            torch.testing.assert_close(whole[part], parts[part], rtol=0, atol=0)
    stored = [load_file(tmp_path / f / "model" / "model.safetensors") for f in ("whole", "parts")]
    torch.testing.assert_close(*stored, rtol=0, atol=0)
