"""Settings of the training loop, as a recipe's ``training`` section holds them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from seqlab.errors import RecipeError
from seqlab.values import not_default


@dataclass(frozen=True)
class TrainingConfig:
    """How long, how exactly and with what safeguards a model is trained.

    Args:
        epochs: Passes over the training set, at least 1.
        max_steps: Stop after this many optimizer steps, even within an epoch; None: no limit.
        accumulate: Batches whose gradients are added up before each optimizer step, at least 1.
        gradient_clip: Largest global L2 norm of the gradient; None leaves it as it is.
        precision: "no" computes in float32; "bf16" and "fp16" compute matrix products in half
            precision. fp16 needs a GPU; a CPU without fast bf16 computes in float32, and says so.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        compile: Compile the encoder's layers with ``torch.compile`` for the training steps; a
            machine that cannot trains without, and says so.
        early_stopping_patience: Validations without improvement after which training stops;
            None trains to the end.
        monitor: What "best" means: "metric" (word error rate or accuracy; equal values are told
            apart by the loss) or "loss" on the dev set; or "miss_rate" of a keyword model, the
            mean over the keywords of the dev set, heard as a stream.
        false_alarms_per_hour: Of each keyword, on ``data.negatives``, that "miss_rate" allows.
        average_last: Average the weights of this many last epochs, batch-norm statistics
            included; 0 does not average.
        ema_decay: Keep a moving average of the weights, of which each step keeps this share, in
            (0, 1), such as 0.999; it stands for the weights wherever they are judged or kept:
            on the dev set, as "best" and as "last". None keeps none. Not with ``average_last``.
        result: The weights that become the model: "best", "last" or "averaged". None picks
            "averaged" where ``average_last`` is set, else "best" with a dev set, else "last".
        validate_every_epochs: Epochs between validations on the dev set, at least 1.
        checkpoint_every_steps: Steps between checkpoints within an epoch; every epoch's end has
            one in any case, and None writes only those.
        log_every_steps: Steps between rows in the metrics files, at least 1.
        consistency: Above 0, each utterance is masked twice and this times the divergence between
            what the model says of the two is added to the loss (CR-CTC; 0.2 is usual). A step
            takes twice as long. Needs ``spec_augment`` and a CTC head.
        mixup: Above 0, each utterance is mixed with another, and so are their labels: the share of
            each is drawn from the beta distribution whose two parameters this is (0.2 is usual).
            For classifiers, like what follows.
        class_balance: Weighs each label by the power of its rarity, from 0 (all utterances alike)
            to 1 (all labels alike).
        teacher: The folder of a model with the same labels, whose probabilities are learnt, too.
            A training is resumed with the same teacher only.
        teacher_weight: Of the teacher's part of the loss, above 0 and at most 1; the labels have
            the rest.
        teacher_temperature: What log-odds are divided by before the two are compared, at least 1:
            more shows more of what the teacher thinks of wrong labels.
        skip_too_short: Drop training utterances that are too short for their CTC targets instead
            of raising an error that names them.

    Raises:
        RecipeError: A value is outside its range.

    >>> TrainingConfig(epochs=3).epochs
    3
    """

    epochs: int = 10
    max_steps: int | None = None
    accumulate: int = 1
    gradient_clip: float | None = None
    precision: Literal["no", "bf16", "fp16"] = "no"
    device: Literal["auto", "cpu"] = "auto"
    compile: bool = False
    early_stopping_patience: int | None = None
    monitor: Literal["metric", "loss", "miss_rate"] = "metric"
    false_alarms_per_hour: float = 0.5
    average_last: int = 0
    ema_decay: float | None = None
    result: Literal["best", "last", "averaged"] | None = None
    validate_every_epochs: int = 1
    checkpoint_every_steps: int | None = None
    log_every_steps: int = 10
    consistency: float = 0.0
    mixup: float = 0.0
    class_balance: float = 0.0
    teacher: str | None = None
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0
    skip_too_short: bool = False

    def __post_init__(self) -> None:
        at_least_one = ("epochs", "accumulate", "validate_every_epochs", "log_every_steps")
        optional = ("max_steps", "checkpoint_every_steps", "early_stopping_patience")
        for name in at_least_one + optional:
            value = getattr(self, name)
            if (value is not None or name in at_least_one) and value < 1:
                remedy = "leave it out for no limit" if name in optional else "raise it"
                raise RecipeError(f"training.{name}={value} must be at least 1; {remedy}")
        choices: dict[str, tuple[str | None, ...]]
        choices = {"precision": ("no", "bf16", "fp16"), "device": ("auto", "cpu")}
        choices |= {"result": (None, "best", "last", "averaged")}
        choices |= {"monitor": ("metric", "loss", "miss_rate")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                names = ", ".join(choice for choice in allowed if choice)
                raise RecipeError(f"training.{name}={getattr(self, name)} must be one of {names}")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise RecipeError(
                f"training.gradient_clip={self.gradient_clip} must be above 0; "
                "leave it out for no clipping"
            )
        if not 0 <= self.consistency < math.inf:
            raise RecipeError(
                f"training.consistency={self.consistency} must be at least 0; 0.2 is usual"
            )
        if self.average_last < 0:
            raise RecipeError(
                f"training.average_last={self.average_last} must be at least 0; 0 is no averaging"
            )
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise RecipeError(
                f"training.ema_decay={self.ema_decay} must be above 0 and below 1; 0.999 is usual, "
                "leave it out for no moving average"
            )
        if self.ema_decay is not None and self.average_last:
            raise RecipeError(
                f"training.ema_decay={self.ema_decay} and training.average_last="
                f"{self.average_last} are two ways to average the weights; leave one of them out"
            )
        if self.result == "averaged" and not self.average_last:
            raise RecipeError(
                "training.result=averaged needs training.average_last of at least 1, not 0; "
                "set it to the number of epochs to average"
            )
        _check_labels(self)


def _check_labels(config: TrainingConfig) -> None:
    """Raise RecipeError if a setting for classifiers is out of range, or has no effect."""
    ranges = {
        "mixup": (0 <= config.mixup <= 100, "from 0 to 100; 0.2 is usual"),
        "class_balance": (0 <= config.class_balance <= 1, "from 0 to 1"),
        "teacher_weight": (0 < config.teacher_weight <= 1, "above 0 and at most 1"),
        "teacher_temperature": (1 <= config.teacher_temperature <= 100, "from 1 to 100"),
        "false_alarms_per_hour": (
            0 <= config.false_alarms_per_hour < math.inf,
            "at least 0; 0.5 is usual",
        ),
    }
    for name, (fits, rule) in ranges.items():
        if not fits:
            raise RecipeError(f"training.{name}={getattr(config, name)} must be {rule}")
    others = ("mixup", "class_balance", "teacher")
    if config.consistency and (found := [name for name in others if getattr(config, name)]):
        raise RecipeError(
            f"training.consistency is for CTC and training.{found[0]} for classifiers; leave one "
            "of them out"
        )
    needed = dict.fromkeys(("teacher_weight", "teacher_temperature"), "teacher")
    for name, value in not_default(config, needed).items():
        if config.teacher is None:
            raise RecipeError(
                f"training.{name}={value} needs training.teacher, a model's folder; name one, or "
                "leave it out"
            )
    if config.monitor != "miss_rate" and not_default(config, ["false_alarms_per_hour"]):
        raise RecipeError(
            f"training.false_alarms_per_hour={config.false_alarms_per_hour} needs training.monitor="
            "miss_rate; set it, or leave the rate out"
        )
