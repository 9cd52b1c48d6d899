"""One step: the gradient of the global mean, and no step from a loss that is not finite."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqlab.errors import TrainingError
from seqlab.training.config import TrainingConfig
from seqlab.training.loop import make_accelerator
from seqlab.training.step import seed_step, training_step


@dataclass
class FakeBatch:
    ids: list[str]
    values: Tensor  # (B,)

    @property
    def lengths(self) -> Tensor:
        return torch.full((len(self.ids),), 800)

    def to(self, device: Any) -> "FakeBatch":
        return self


class Module(nn.Module):
    """Losses (w x)^2 / 2, whose gradient is w x^2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[2.0]]))

    def forward(self, batch: FakeBatch) -> Tensor:
        return (self.weight[0] * batch.values).square() / 2


def take_step(batches: list[FakeBatch], lr: float = 0.1, **settings: Any) -> tuple[Any, Module]:
    accelerator = make_accelerator(TrainingConfig(device="cpu"))
    inner = Module()
    module, optimizer = accelerator.prepare(inner, torch.optim.SGD(inner.parameters(), lr=lr))
    result = training_step(accelerator, module, optimizer, batches, sample_rate=8000, **settings)
    return result, inner


def test_the_gradient_is_that_of_the_mean_over_all_batches() -> None:
    """Values 1, 2 and 3: losses 2, 8, 18; gradient 2 (1 + 4 + 9) / 3 = 28 / 3."""
    batches = [
        FakeBatch(["a", "b"], torch.tensor([1.0, 2.0])),
        FakeBatch(["c"], torch.tensor([3.0])),
    ]
    result, module = take_step(batches)
    assert result.loss == 28.0
    assert result.utterances == 3
    assert result.audio_s == pytest.approx(0.3)
    assert result.gradient_norm == pytest.approx(28 / 3)
    assert module.weight.item() == pytest.approx(2 - 0.1 * 28 / 3)
    assert not result.stop


def test_clipping_reports_the_norm_before() -> None:
    result, module = take_step([FakeBatch(["a"], torch.tensor([3.0]))], gradient_clip=0.5)
    assert result.gradient_norm == pytest.approx(18)
    assert module.weight.item() == pytest.approx(2 - 0.1 * 0.5, abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_utterances(value: float) -> None:
    batches = [
        FakeBatch(["good", "bad"], torch.tensor([1.0, value])),
        FakeBatch(["also good"], torch.tensor([1.0])),
    ]
    accelerator = make_accelerator(TrainingConfig(device="cpu"))
    inner = Module()
    module, optimizer = accelerator.prepare(inner, torch.optim.SGD(inner.parameters(), lr=0.1))
    with pytest.raises(TrainingError, match=r"1 utterance\(s\) is not finite: bad;"):
        training_step(accelerator, module, optimizer, batches, sample_rate=8000)
    assert inner.weight.item() == 2.0


def test_a_gradient_that_is_not_finite() -> None:
    """At zero the square root is finite and its slope is not."""

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, batch: FakeBatch) -> Tensor:
            return self.weight.sqrt() * batch.values

    accelerator = make_accelerator(TrainingConfig(device="cpu"))
    inner = Root()
    module, optimizer = accelerator.prepare(inner, torch.optim.SGD(inner.parameters(), lr=0.1))
    batch = FakeBatch(["steep"], torch.tensor([1.0]))
    with pytest.raises(TrainingError, match=r"gradient norm is inf, must be finite.*: steep"):
        training_step(accelerator, module, optimizer, [batch], sample_rate=8000)
    assert inner.weight.item() == 0.0


def test_seeding_depends_on_seed_step_and_process_only() -> None:
    def draw(*numbers: int) -> float:
        seed_step(*numbers)
        return float(torch.rand(()))

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(1, 3), draw(2, 2), draw(1, 2, 1)}) == 4
