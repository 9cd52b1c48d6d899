"""The training loop. Read `train` first: everything else here is what one of its lines does."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from seqlab.data.batch import Batch, SpeechDataset
from seqlab.data.config import DataConfig
from seqlab.data.loader import Loader, make_loader, make_sampler
from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import RecipeError, TrainingError
from seqlab.training.checkpoint import (
    TrainingState,
    average_weights,
    load_checkpoint,
    load_safely,
    save_atomically,
    save_checkpoint,
)
from seqlab.training.config import TrainingConfig
from seqlab.training.interrupt import TrainingInterrupted, stop_on_signals
from seqlab.training.observer import Observer, Progress, SilentObserver
from seqlab.training.optim import OptimizerConfig, build_optimizer
from seqlab.training.schedule import ScheduleConfig, learning_rate_factor
from seqlab.training.step import LossModule, StepResult, seed_step, training_step
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
    """

    training: TrainingConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    data: DataConfig
    seed: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)


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


def train(
    model: SpeechModel,
    train_set: SpeechDataset,
    dev_set: SpeechDataset | None,
    settings: LoopSettings,
    folder: Path,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    accelerator: Accelerator | None = None,
) -> TrainingResult:
    """Train a model and leave it with the resulting weights.

    Killed at any moment, and resumed, it ends with the very same weights on the same machine.
    Under torchrun the processes share each batch and compute the gradient of the whole of it;
    apart from dropout, which every process draws for itself, the losses are those of one process.

    Args:
        model: Fresh from its recipe.
        train_set: What to learn from, at least one utterance.
        dev_set: What to choose the best weights by; None: there is no best.
        settings: How to train.
        folder: The run folder; checkpoints and metrics are written into it.
        resume: Go on from ``folder/checkpoints/last.pt``.
        observer: Is told about the progress, on the main process only.
        accelerator: From `make_accelerator`; None makes one.

    Raises:
        TrainingError: The folder holds another training, or a loss is not finite.
        ModelError: There is no sound checkpoint to resume from.
        RecipeError: The settings do not fit the machine.
        TrainingInterrupted: Stopped by Ctrl-C or SIGTERM, after saving a checkpoint.
    """
    with stop_on_signals() as stop, warnings.catch_warnings():
        # Of kernels whose memory layout differs from that of the exchanged gradients; harmless.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
        accelerator = accelerator or make_accelerator(settings.training)
        run = _begin(model, train_set, dev_set, settings, folder, resume, observer, accelerator)
        try:
            while not run.finished:
                run.module.train()
                for batches in run.groups_of_batches():
                    state, rate = run.state, run.set_learning_rate()
                    seed_step(settings.seed, state.step, run.accelerator.process_index)
                    result = training_step(
                        run.accelerator,
                        run.module,
                        run.optimizer,
                        batches,
                        sample_rate=model.frontend.sample_rate,
                        gradient_clip=settings.training.gradient_clip,
                        stop=stop.requested,
                    )
                    state.step, state.batch = state.step + 1, state.batch + len(batches)
                    run.report(result, rate)
                    if result.stop:
                        run.save()
                        raise TrainingInterrupted(run.how_to_resume())
                    if run.checkpoint_is_due:
                        run.save()
                    if state.step >= run.total_steps:
                        break
                run.end_epoch()
            return run.finish()
        finally:
            run.close()


@dataclass
class _Run:
    """The pieces of a training in progress."""

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
    writer: MetricsWriter | None = None
    started: float = field(default_factory=time.perf_counter)
    started_step: int = 0
    elapsed_before: float = 0.0
    row_started: float = field(default_factory=time.perf_counter)
    row_utterances: int = 0
    row_audio_s: float = 0.0

    @property
    def config(self) -> TrainingConfig:
        return self.settings.training

    @property
    def finished(self) -> bool:
        patience = self.config.early_stopping_patience
        return (
            self.state.epoch >= self.config.epochs
            or self.state.step >= self.total_steps
            or (patience is not None and self.state.validations_since_best >= patience)
        )

    @property
    def elapsed_s(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started

    @property
    def checkpoint_is_due(self) -> bool:
        every = self.config.checkpoint_every_steps
        return every is not None and self.state.step % every == 0

    def path(self, name: str) -> Path:
        return self.folder / "checkpoints" / f"{name}.pt"

    def groups_of_batches(self) -> Iterator[list[Batch]]:
        """The batches of each step in the rest of the epoch."""
        self.sampler.set_epoch(self.state.epoch)
        self.sampler.set_position(self.state.batch)
        batches = iter(self.loader)
        while group := list(itertools.islice(batches, self.config.accumulate)):
            yield group

    def set_learning_rate(self) -> float:
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
        evaluation = evaluate(self.model, dev_set, batch_size=size)
        figures = {"dev_loss": evaluation.loss}
        figures |= {f"dev_{name}": value for name, value in evaluation.figures.items()}
        loss = evaluation.loss if math.isfinite(evaluation.loss) else math.inf
        key = (loss, 0.0) if self.config.monitor == "loss" else (evaluation.error, loss)
        state = self.state
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
        weights = {"format": 1, "epoch": self.state.epoch, "model": self.model.state_dict()}
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
        self.model.eval()
        return TrainingResult(result, epoch, state.step, self.elapsed_s, state.history)

    def how_to_resume(self) -> str:
        return (
            f"training stopped after step {self.state.step} of {self.total_steps}; "
            f"{self.path('last')} is saved: run the same command with --resume to go on"
        )

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.loader.close()
        self.accelerator.free_memory()


def _begin(
    model: SpeechModel,
    train_set: SpeechDataset,
    dev_set: SpeechDataset | None,
    settings: LoopSettings,
    folder: Path,
    resume: bool,
    observer: Observer | None,
    accelerator: Accelerator,
) -> _Run:
    """Check the folder, fit the normalizer, and bring everything to where training goes on."""
    check_folder(folder, resume)
    if settings.training.result == "best" and dev_set is None:
        raise RecipeError(
            "training.result=best needs a dev set, there is none; name one in data.dev, or "
            "take last or averaged"
        )
    state, content = TrainingState(), None
    mark = data_fingerprint(train_set, model)
    if resume:
        content, state = load_checkpoint(
            folder / "checkpoints" / "last.pt",
            seed=settings.seed,
            settings=settings.recipe,
            data_fingerprint=mark,
        )
        model.load_state_dict(content["model"])
    else:
        fit_normalizer(model, train_set, settings.data)
    module, optimizer = accelerator.prepare(
        LossModule(model), build_optimizer(model, settings.optimizer)
    )
    if content is not None:
        optimizer.load_state_dict(content["optimizer"])
        if content["scaler"] is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(content["scaler"])
    sampler = make_sampler(
        settings.data,
        train_set,
        seed=settings.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    run = _Run(
        accelerator=accelerator,
        model=model,
        module=module,
        optimizer=optimizer,
        dev_set=dev_set,
        settings=settings,
        folder=folder,
        observer=observer or SilentObserver(),
        sampler=sampler,
        loader=make_loader(train_set, sampler, settings.data.num_workers),
        total_steps=count_steps(sampler, settings.training),
        fingerprint=mark,
        state=state,
        started_step=state.step,
        elapsed_before=state.elapsed_s,
    )
    if accelerator.is_main_process:
        run.writer = MetricsWriter(folder, keep_steps=state.step if resume else 0)
    if not resume:
        run.save()
    return run


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """The accelerator of a training; forgets the settings of an earlier one in this process.

    Raises:
        RecipeError: fp16 without a GPU.
    """
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if config.precision == "fp16" and on_cpu:
        raise RecipeError(
            "training.precision=fp16 needs a GPU, there is none to use; take bf16 or no"
        )
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    return Accelerator(mixed_precision=config.precision, cpu=on_cpu)


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse to train over another training.

    Raises:
        TrainingError: ``folder`` has a checkpoint and ``resume`` is False.
    """
    if not resume and (folder / "checkpoints" / "last.pt").exists():
        raise TrainingError(
            f"{folder} already holds a training, must be a new folder; resume it, or name another"
        )


def count_steps(sampler: BucketBatchSampler, config: TrainingConfig) -> int:
    """Optimizer steps of the whole training, were it not stopped early."""
    if sampler.batch_size is not None:
        steps = config.epochs * math.ceil(len(sampler.batches(0)) / config.accumulate)
    else:
        counts = (len(sampler.batches(epoch)) for epoch in range(config.epochs))
        steps = sum(math.ceil(count / config.accumulate) for count in counts)
    return steps if config.max_steps is None else min(steps, config.max_steps)


def data_fingerprint(dataset: SpeechDataset, model: SpeechModel) -> str:
    """Changes with the training utterances, their targets and the tokenizer."""
    rows = [[u.id, u.duration_s, u.target] for u in dataset.utterances]
    content = json.dumps([rows, list(model.tokenizer.tokens)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def fit_normalizer(model: SpeechModel, dataset: SpeechDataset, data: DataConfig) -> None:
    """Fit a normalizer that needs it on the features of the unaugmented training set."""
    normalizer = model.normalizer
    if normalizer is None or not normalizer.needs_fit:
        return
    plain = copy.copy(dataset)
    plain.augmenter = None
    sampler = make_sampler(data, plain, shuffle=False)
    with torch.inference_mode():
        normalizer.fit(
            model.frontend(batch.waveform, batch.lengths)
            for batch in make_loader(plain, sampler, data.num_workers)
        )


def _add(total: tuple[float, int], result: StepResult) -> tuple[float, int]:
    return total[0] + result.loss, total[1] + result.utterances


def _mean(total: tuple[float, int]) -> float:
    return total[0] / total[1] if total[1] else math.nan
