"""Learning-rate schedules: pure functions of the step, so resuming needs no scheduler state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seqlab.errors import RecipeError
from seqlab.values import not_default

_USERS = {
    "step_size": ("step",),
    "gamma": ("step",),
    "final_factor": ("cosine", "warmup_cosine"),
    "model_dim": ("noam",),
    "initial_divisor": ("one_cycle",),
    "final_divisor": ("one_cycle",),
}


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves, as a recipe's ``schedule`` section holds it.

    Args:
        name: "constant"; "step" (times ``gamma`` every ``step_size`` steps); "cosine" (annealing
            to ``final_factor``); "warmup_cosine"; "noam" (linear warm-up, then the inverse
            square root); "one_cycle" (cosine up, cosine down).
        warmup_steps: Steps of warm-up, at least 1: "warmup_cosine", "noam", "one_cycle".
        warmup_fraction: The same as a share of all steps, in (0, 1); give one of the two.
            With neither, 0.1 for "warmup_cosine" and "noam", 0.3 for "one_cycle".
        step_size: Steps between drops of "step", at least 1; None drops twice, in thirds.
        gamma: Factor of each drop of "step", in (0, 1].
        final_factor: Factor at the end of "cosine" and "warmup_cosine", in [0, 1].
        model_dim: Width of the model in "noam": the learning rate is then
            lr * model_dim^-0.5 * min(step^-0.5, step * warmup^-1.5), the paper's formula. None
            scales it so that the peak is ``optimizer.lr``.
        initial_divisor: "one_cycle" begins at lr / initial_divisor, at least 1.
        final_divisor: "one_cycle" ends at lr / initial_divisor / final_divisor, at least 1.

    Raises:
        RecipeError: A value is outside its range or does not go with ``name``.

    >>> ScheduleConfig(name="noam", warmup_steps=400).warmup_steps
    400
    """

    name: Literal["constant", "step", "cosine", "warmup_cosine", "noam", "one_cycle"] = "constant"
    warmup_steps: int | None = None
    warmup_fraction: float | None = None
    step_size: int | None = None
    gamma: float = 0.1
    final_factor: float = 0.0
    model_dim: int | None = None
    initial_divisor: float = 25.0
    final_divisor: float = 1e4

    def __post_init__(self) -> None:
        if self.name not in _FACTORS:
            raise RecipeError(f"schedule.name={self.name} must be one of {', '.join(_FACTORS)}")
        for name in ("warmup_steps", "step_size", "model_dim", "initial_divisor", "final_divisor"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise RecipeError(f"schedule.{name}={value} must be at least 1; raise it")
        if self.warmup_fraction is not None and not 0 < self.warmup_fraction < 1:
            raise RecipeError(
                f"schedule.warmup_fraction={self.warmup_fraction} must be in (0, 1); "
                "0.1 warms up for a tenth of the training"
            )
        if self.warmup_steps is not None and self.warmup_fraction is not None:
            raise RecipeError(
                f"schedule.warmup_steps={self.warmup_steps} and warmup_fraction="
                f"{self.warmup_fraction} exclude each other; leave one out"
            )
        warms_up = self.name in ("warmup_cosine", "noam", "one_cycle")
        if not warms_up and (self.warmup_steps is not None or self.warmup_fraction is not None):
            raise RecipeError(
                f"schedule.name={self.name} has no warm-up; take warmup_cosine, noam or "
                "one_cycle, or leave the warm-up out"
            )
        if not 0 < self.gamma <= 1:
            raise RecipeError(f"schedule.gamma={self.gamma} must be in (0, 1]; 0.1 is common")
        if not 0 <= self.final_factor <= 1:
            raise RecipeError(
                f"schedule.final_factor={self.final_factor} must be in [0, 1]; 0 is usual"
            )
        for name, value in not_default(self, _USERS).items():
            if self.name not in _USERS[name]:
                raise RecipeError(
                    f"schedule.{name}={value} goes with {', '.join(_USERS[name])}, not "
                    f"{self.name}; leave it out"
                )


def learning_rate_factor(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """What the base learning rate is multiplied with at ``step``.

    Args:
        step: Optimizer steps taken so far, in [0, total_steps); the first step has 0.
        total_steps: Optimizer steps of the whole training, at least 1.
        config: The schedule.

    Returns:
        The factor, at least 0.

    >>> learning_rate_factor(50, 100, ScheduleConfig(name="cosine"))
    0.5
    """
    return _FACTORS[config.name](step, max(total_steps, 1), config)


def _warmup(total_steps: int, config: ScheduleConfig, default_fraction: float) -> int:
    if config.warmup_steps is not None:
        return config.warmup_steps
    return max(1, round((config.warmup_fraction or default_fraction) * total_steps))


def _cosine_between(start: float, end: float, fraction: float) -> float:
    """From ``start`` to ``end`` along half a cosine, ``fraction`` in [0, 1] of the way."""
    return end + (start - end) * (1 + math.cos(math.pi * min(fraction, 1.0))) / 2


def _constant(step: int, total_steps: int, config: ScheduleConfig) -> float:
    return 1.0


def _step(step: int, total_steps: int, config: ScheduleConfig) -> float:
    size = config.step_size or max(1, math.ceil(total_steps / 3))
    return float(config.gamma ** (step // size))


def _cosine(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts."""
    return _cosine_between(1.0, config.final_factor, step / total_steps)


def _warmup_cosine(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """Linear from 1 / warmup to 1, then a cosine; Goyal et al. 2017, section 2.2, and SGDR."""
    warmup = _warmup(total_steps, config, 0.1)
    if step < warmup:
        return (step + 1) / warmup
    return _cosine_between(1.0, config.final_factor, (step - warmup) / max(1, total_steps - warmup))


def _noam(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """Source: Vaswani et al. 2017, "Attention Is All You Need", equation 3."""
    warmup = _warmup(total_steps, config, 0.1)
    shape = min((step + 1) ** -0.5, (step + 1) * warmup**-1.5)
    scale = warmup**0.5 if config.model_dim is None else config.model_dim**-0.5
    return float(scale * shape)


def _one_cycle(step: int, total_steps: int, config: ScheduleConfig) -> float:
    """Source: Smith and Topin 2018, "Super-Convergence".

    Deviations: cosines instead of straight lines, and the momentum does not move.
    """
    if config.warmup_steps is not None:
        peak = float(config.warmup_steps)
    else:
        peak = (config.warmup_fraction or 0.3) * total_steps - 1
    start, last = 1 / config.initial_divisor, total_steps - 1
    if step <= peak:
        return _cosine_between(start, 1.0, step / peak if peak > 0 else 1.0)
    down = (step - peak) / (last - peak) if last > peak else 1.0
    return _cosine_between(1.0, start / config.final_divisor, down)


_FACTORS = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "warmup_cosine": _warmup_cosine,
    "noam": _noam,
    "one_cycle": _one_cycle,
}
