"""A training in progress: reports after a step, validation and checkpoints after an epoch."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from seqlab.data.batch import Batch, SpeechDataset
from seqlab.data.config import DataConfig
from seqlab.data.loader import Loader
from seqlab.data.sampling import BucketBatchSampler
from seqlab.training.checkpoint import (
    TrainingState,
    average_weights,
    load_safely,
    save_atomically,
    save_checkpoint,
)
from seqlab.training.config import TrainingConfig
from seqlab.training.ema import MovingAverage, judged_weights
from seqlab.training.label_objective import LabelObjective
from seqlab.training.observer import Observer, Progress
from seqlab.training.optim import OptimizerConfig
from seqlab.training.schedule import ScheduleConfig, learning_rate_factor
from seqlab.training.selection import Judge, to_beat
from seqlab.training.step import StepResult
from seqlab.training.validate import evaluate
from seqlab.training.writers import MetricsWriter

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


@dataclass(frozen=True)
class LoopSettings:
    """Everything about a training but the model and the utterances.

    Args:
        training: Length, precision and safeguards.
        optimizer: The update rule.
        schedule: How the learning rate moves.
        data: Batches and workers; its manifests are not read here.
        seed: Of the order of utterances and all random numbers, at least 0.
        recipe: The resolved recipe, plain values; resuming with another one is refused.
        defaults: What a recipe of an older version, which lacks a setting, means by that.
        fit_normalizer: Whether to fit a normalizer that can be fitted.
        objective: Of a classifier; None for the loss of its head.
        judge: Gives the "miss_rate" of ``training.monitor``.
    """

    training: TrainingConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    data: DataConfig
    seed: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fit_normalizer: bool = True
    objective: LabelObjective | None = None
    judge: Judge | None = None


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended. The model holds the resulting weights.

    Args:
        result: Which weights those are: "best", "last" or "averaged".
        epoch: Epochs done at those weights; for "averaged" the last of them.
        step: Optimizer steps taken.
        elapsed_s: Seconds spent, validations included.
        history: One row of metrics for each epoch.
    """

    result: str
    epoch: int
    step: int
    elapsed_s: float
    history: list[dict[str, Any]]


@dataclass
class Session:
    """The pieces of a training in progress, and what happens between its steps.

    The optimizer and module are prepared by the accelerator, ``model`` is the one inside; the
    writer is None on all processes but the main one. A moving average stands for the weights.
    """

    accelerator: Accelerator
    model: SpeechModel
    module: torch.nn.Module
    optimizer: Any
    dev_set: SpeechDataset | None
    settings: LoopSettings
    folder: Path
    observer: Observer
    sampler: BucketBatchSampler
    loader: Loader
    total_steps: int
    fingerprint: str
    state: TrainingState
    average: MovingAverage | None = None
    writer: MetricsWriter | None = None
    started: float = field(default_factory=time.perf_counter)
    started_step: int = 0
    elapsed_before: float = 0.0
    row_started: float = field(default_factory=time.perf_counter)
    row_utterances: int = 0
    row_audio_s: float = 0.0

    @property
    def config(self) -> TrainingConfig:
        """Length, precision and safeguards."""
        return self.settings.training

    @property
    def finished(self) -> bool:
        """Whether all is trained, or training has stopped to help."""
        patience = self.config.early_stopping_patience
        return (
            self.state.epoch >= self.config.epochs
            or self.state.step >= self.total_steps
            or (patience is not None and self.state.validations_since_best >= patience)
        )

    @property
    def elapsed_s(self) -> float:
        """Seconds spent, those before a resumption included."""
        return self.elapsed_before + time.perf_counter() - self.started

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether the step that was just taken is followed by a checkpoint."""
        every = self.config.checkpoint_every_steps
        return every is not None and self.state.step % every == 0

    def path(self, name: str) -> Path:
        """Where the checkpoint ``name`` lies."""
        return self.folder / "checkpoints" / f"{name}.pt"

    def groups_of_batches(self) -> Iterator[list[Batch]]:
        """The batches of each step in the rest of the epoch."""
        self.sampler.set_epoch(self.state.epoch)
        self.sampler.set_position(self.state.batch)
        batches = iter(self.loader)
        while group := list(itertools.islice(batches, self.config.accumulate)):
            yield group

    def set_learning_rate(self) -> float:
        """Give the optimizer the learning rate of the next step, and return it."""
        factor = learning_rate_factor(self.state.step, self.total_steps, self.settings.schedule)
        rate = self.settings.optimizer.lr * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def report(self, result: StepResult, rate: float) -> None:
        """Add a step to the running figures, tell the observer, and write a row now and then."""
        state = self.state
        state.epoch_loss = _add(state.epoch_loss, result)
        state.row_loss = _add(state.row_loss, result)
        self.row_utterances += result.utterances
        self.row_audio_s += result.audio_s
        if self.writer is None:
            return
        now = time.perf_counter()
        row_s = max(now - self.row_started, 1e-9)
        pace_s = (now - self.started) / max(state.step - self.started_step, 1)
        progress = Progress(
            epoch=state.epoch + 1,
            epochs=self.config.epochs,
            step=state.step,
            total_steps=self.total_steps,
            loss=result.loss / result.utterances,
            learning_rate=rate,
            gradient_norm=result.gradient_norm,
            utterances_per_s=self.row_utterances / row_s,
            audio_s_per_s=self.row_audio_s / row_s,
            elapsed_s=self.elapsed_s,
            eta_s=pace_s * (self.total_steps - state.step),
        )
        self.observer.stepped(progress)
        if state.step % self.config.log_every_steps == 0:
            self._write_step(progress)

    def _write_step(self, progress: Progress) -> None:
        names = ("step", "epoch", "elapsed_s", "learning_rate", "gradient_norm")
        row = {name: getattr(progress, name) for name in names}
        row["train_loss"] = _mean(self.state.row_loss)
        row |= {name: getattr(progress, name) for name in ("utterances_per_s", "audio_s_per_s")}
        assert self.writer is not None
        self.writer.write(row)
        self.state.row_loss = (0.0, 0)
        self.row_utterances, self.row_audio_s = 0, 0.0
        self.row_started = time.perf_counter()

    def end_epoch(self) -> None:
        """Validate, keep what is best, and save."""
        state = self.state
        state.epoch, state.batch = state.epoch + 1, 0
        row: dict[str, Any] = {"step": state.step, "epoch": state.epoch}
        row["epoch_loss"] = _mean(state.epoch_loss)
        state.epoch_loss = (0.0, 0)
        last = state.epoch >= self.config.epochs or state.step >= self.total_steps
        is_best = False
        if self.dev_set is not None and (
            last or state.epoch % self.config.validate_every_epochs == 0
        ):
            figures, is_best = self._validate(self.dev_set)
            row |= figures
        row["elapsed_s"] = self.elapsed_s
        state.history.append(row)
        if self.writer is not None:
            self.writer.write(row)
            self.observer.validated(row)
            self.row_started = time.perf_counter()
            self.row_utterances, self.row_audio_s = 0, 0.0
        self.save(best=is_best, keep_epoch=True)

    def _validate(self, dev_set: SpeechDataset) -> tuple[dict[str, float], bool]:
        size = self.settings.data.batch_size or 16
        with judged_weights(self.average):
            evaluation = evaluate(self.model, dev_set, batch_size=size)
            judge = self.settings.judge
            heard = {} if judge is None else judge(self.model)
        figures = {"dev_loss": evaluation.loss}
        figures |= {f"dev_{name}": v for name, v in {**evaluation.figures, **heard}.items()}
        key, state = to_beat(self.config.monitor, evaluation, heard), self.state
        is_best = state.best is None or key < tuple(state.best)
        if is_best:
            state.best, state.best_epoch, state.validations_since_best = key, state.epoch, 0
        else:
            state.validations_since_best += 1
        return figures, is_best

    def save(self, *, best: bool = False, keep_epoch: bool = False) -> None:
        """Write the last checkpoint; the others come first, so that none is missing after it."""
        self.state.elapsed_s = self.elapsed_s
        if self.writer is None:
            return
        average = None if self.average is None else self.average.state_dict()
        weights = {"epoch": self.state.epoch, "model": average or self.model.state_dict()}
        if best:
            save_atomically(weights, self.path("best"))
        if keep_epoch and self.config.average_last:
            save_atomically(weights, self.path(f"epoch-{self.state.epoch}"))
            self.path(f"epoch-{self.state.epoch - self.config.average_last}").unlink(True)
        self.writer.flush()
        scaler = self.accelerator.scaler
        save_checkpoint(
            self.path("last"),
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=None if scaler is None else scaler.state_dict(),
            state=self.state,
            seed=self.settings.seed,
            settings=self.settings.recipe,
            data_fingerprint=self.fingerprint,
            average=average,
        )

    def finish(self) -> TrainingResult:
        """Put the resulting weights into the model."""
        self.accelerator.wait_for_everyone()
        state, averages = self.state, self.config.average_last > 0
        without_setting = "averaged" if averages else "last" if state.best is None else "best"
        result = self.config.result or without_setting
        epoch = state.epoch
        if result == "averaged":
            first = max(1, epoch - self.config.average_last + 1)
            paths = [self.path(f"epoch-{number}") for number in range(first, epoch + 1)]
            self.model.load_state_dict(average_weights(paths))
        elif result == "best" and state.best is not None:
            epoch = state.best_epoch
            self.model.load_state_dict(load_safely(self.path("best"))["model"])
        elif self.average is not None:
            self.model.load_state_dict(self.average.state_dict())
        self.model.eval()
        return TrainingResult(result, epoch, state.step, self.elapsed_s, state.history)

    def how_to_resume(self) -> str:
        """What to tell a person who stopped the training."""
        return (
            f"training stopped after step {self.state.step} of {self.total_steps}; "
            f"{self.path('last')} is saved: run the same command with --resume to go on"
        )

    def close(self) -> None:
        """Close the files, end the workers, and let go of the accelerator's references."""
        if self.writer is not None:
            self.writer.close()
        self.loader.close()
        self.accelerator.free_memory()


def _add(total: tuple[float, int], result: StepResult) -> tuple[float, int]:
    return total[0] + result.loss, total[1] + result.utterances


def _mean(total: tuple[float, int]) -> float:
    return total[0] / total[1] if total[1] else math.nan
