"""Which weights are the best: what a validation is compared by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from seqlab.data.config import DataConfig
from seqlab.errors import RecipeError
from seqlab.training.config import TrainingConfig
from seqlab.training.validate import Evaluation

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


class Judge(Protocol):
    """Figures of a model that are not those of single utterances, lower is better."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences that a person should read before the training."""

    def __call__(self, model: SpeechModel) -> dict[str, float]:
        """The figures by name."""


def to_beat(
    monitor: str, evaluation: Evaluation, heard: Mapping[str, float]
) -> tuple[float, float]:
    """(figure, loss) of a validation, lower is better; equal figures are told apart by the loss.

    Args:
        monitor: "metric", "loss", or the name of one of ``heard``.
        evaluation: On the dev set.
        heard: What a judge says.
    """
    loss = evaluation.loss if math.isfinite(evaluation.loss) else math.inf
    if monitor == "loss":
        return loss, 0.0
    return heard.get(monitor, evaluation.error), loss


def check_monitor(training: TrainingConfig, data: DataConfig) -> None:
    """Raise RecipeError unless there are negatives just where ``training.monitor`` needs them."""
    wanted = training.monitor == "miss_rate"
    if wanted and not (data.negatives and data.dev):
        missing = "data.negatives, recordings without the keywords" if data.dev else "data.dev"
        raise RecipeError(f"training.monitor=miss_rate needs {missing}; name some")
    if data.negatives and not wanted:
        raise RecipeError(
            f"data.negatives={data.negatives} is for training.monitor=miss_rate, not "
            f"{training.monitor}; set it, or leave the negatives out"
        )
