"""Schedules against torch's schedulers and the papers' formulas."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from seqlab.errors import RecipeError
from seqlab.training.schedule import ScheduleConfig, learning_rate_factor

TOTAL = 60


def torch_rates(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def our_rates(config: ScheduleConfig) -> list[float]:
    return [0.5 * learning_rate_factor(step, TOTAL, config) for step in range(TOTAL)]


def warmup_cosine(optimizer: torch.optim.Optimizer) -> Any:
    warm = lr_scheduler.LinearLR(optimizer, start_factor=1 / 12, total_iters=11)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - 12, eta_min=0.05)
    return lr_scheduler.SequentialLR(optimizer, [warm, cosine], [12])


AGAINST_TORCH = {
    "constant": (
        ScheduleConfig("constant"),
        lambda o: lr_scheduler.ConstantLR(o, factor=1),
    ),
    "step": (
        ScheduleConfig("step", step_size=7, gamma=0.3),
        lambda o: lr_scheduler.StepLR(o, 7, gamma=0.3),
    ),
    "step in thirds": (ScheduleConfig("step"), lambda o: lr_scheduler.StepLR(o, 20)),
    "cosine": (ScheduleConfig("cosine"), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
    "cosine to a floor": (
        ScheduleConfig("cosine", final_factor=0.1),
        lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.05),
    ),
    "one_cycle": (
        ScheduleConfig("one_cycle"),
        lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=TOTAL, cycle_momentum=False),
    ),
    "one_cycle with other settings": (
        ScheduleConfig("one_cycle", warmup_fraction=0.2, initial_divisor=10, final_divisor=100),
        lambda o: lr_scheduler.OneCycleLR(
            o,
            0.5,
            total_steps=TOTAL,
            pct_start=0.2,
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        ),
    ),
}


@pytest.mark.parametrize("name", AGAINST_TORCH)
def test_as_torch(name: str) -> None:
    config, make = AGAINST_TORCH[name]
    assert our_rates(config) == pytest.approx(torch_rates(make), rel=1e-9, abs=1e-12)


@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
def test_warmup_cosine_as_torch() -> None:
    config = ScheduleConfig("warmup_cosine", warmup_fraction=0.2, final_factor=0.1)
    assert our_rates(config) == pytest.approx(torch_rates(warmup_cosine), rel=1e-9)


def test_noam_is_equation_3_of_vaswani_et_al() -> None:
    """512^-0.5 * min(n^-0.5, n * 4000^-1.5); its peak 512^-0.5 * 4000^-0.5 is 6.9877e-4."""
    config = ScheduleConfig("noam", warmup_steps=4000, model_dim=512)
    factors = [learning_rate_factor(step, 100_000, config) for step in range(10_000)]
    for number in (1, 100, 3999, 4000, 4001, 9999):
        expected = 512**-0.5 * min(number**-0.5, number * 4000**-1.5)
        assert factors[number - 1] == pytest.approx(expected, rel=1e-12)
    assert max(factors) == factors[3999] == pytest.approx(6.9877e-4, rel=1e-4)


def test_noam_without_a_width_peaks_at_the_learning_rate() -> None:
    factors = [
        learning_rate_factor(s, 100, ScheduleConfig("noam", warmup_steps=10)) for s in range(100)
    ]
    assert max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[39] == pytest.approx(0.5)  # four times the warm-up: half the peak


NAMES = ["constant", "step", "cosine", "warmup_cosine", "noam", "one_cycle"]


@given(st.sampled_from(NAMES), st.integers(1, 400), st.data())
def test_factors_are_finite_and_at_most_one(name: str, total: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, total - 1))
    factor = learning_rate_factor(step, total, ScheduleConfig(name))
    assert math.isfinite(factor)
    assert 0 <= factor <= 1 + 1e-9


@pytest.mark.parametrize("name", ["warmup_cosine", "noam", "one_cycle"])
@pytest.mark.parametrize("warmup", [1, 5, 500])
def test_a_warmup_longer_than_the_training_only_rises(name: str, warmup: int) -> None:
    config = ScheduleConfig(name, warmup_steps=warmup)
    factors = [learning_rate_factor(step, 5, config) for step in range(5)]
    assert all(math.isfinite(f) and 0 <= f <= 1 + 1e-9 for f in factors)
    if warmup == 500:
        assert factors == sorted(factors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "linear"}, "schedule.name=linear must be one of constant, step"),
        ({"name": "noam", "warmup_steps": 0}, "warmup_steps=0 must be at least 1"),
        ({"name": "noam", "warmup_fraction": 1.0}, "warmup_fraction=1.0 must be in"),
        ({"name": "noam", "warmup_steps": 3, "warmup_fraction": 0.1}, "exclude each other"),
        ({"name": "cosine", "warmup_steps": 3}, "schedule.name=cosine has no warm-up"),
        ({"name": "step", "gamma": 0.0}, "gamma=0.0 must be in"),
        ({"name": "step", "step_size": 0}, "step_size=0 must be at least 1"),
        ({"name": "cosine", "final_factor": 2.0}, "final_factor=2.0 must be in"),
        ({"name": "one_cycle", "initial_divisor": 0.5}, "initial_divisor=0.5 must be at least 1"),
        ({"name": "cosine", "step_size": 5}, "step_size=5 goes with step, not cosine; leave it"),
        ({"name": "cosine", "gamma": 0.5}, "gamma=0.5 goes with step"),
        ({"name": "one_cycle", "final_factor": 0.1}, "final_factor=0.1 goes with cosine, warmup"),
        ({"name": "warmup_cosine", "model_dim": 64}, "model_dim=64 goes with noam"),
        ({"name": "cosine", "final_divisor": 10.0}, "final_divisor=10.0 goes with one_cycle"),
    ],
)
def test_values_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ScheduleConfig(**settings)
