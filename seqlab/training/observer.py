"""How a training reports its progress; the library itself never prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    Args:
        epoch: Epoch in progress, from 1.
        epochs: Epochs of the whole training.
        step: Optimizer steps taken.
        total_steps: Optimizer steps of the whole training.
        loss: Mean loss of the step's utterances.
        learning_rate: Learning rate of the step.
        gradient_norm: L2 norm of the gradient before clipping.
        utterances_per_s: Utterances trained on in a second, since the last report.
        audio_s_per_s: Seconds of audio trained on in a second.
        elapsed_s: Seconds trained so far, those before a resumption included.
        eta_s: Seconds left, estimated from this session's pace, validations included.
    """

    epoch: int
    epochs: int
    step: int
    total_steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    utterances_per_s: float
    audio_s_per_s: float
    elapsed_s: float
    eta_s: float


class Observer(Protocol):
    """What a command line or notebook implements to show a training; called on one process."""

    def stepped(self, progress: Progress) -> None:
        """Called after every optimizer step; keep it cheap."""
        ...

    def validated(self, row: Mapping[str, Any]) -> None:
        """Called after every epoch with its row of metrics (see ``writers.COLUMNS``)."""
        ...

    def noted(self, message: str) -> None:
        """Called with one sentence that a person should read."""
        ...


class SilentObserver:
    """Shows nothing."""

    def stepped(self, progress: Progress) -> None:
        """Ignore the step."""

    def validated(self, row: Mapping[str, Any]) -> None:
        """Ignore the row."""

    def noted(self, message: str) -> None:
        """Ignore the message."""
