"""The training loop. Read `train` first: everything else here is what one of its lines does."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from seqlab.data.batch import SpeechDataset
from seqlab.data.config import DataConfig
from seqlab.data.loader import make_loader, make_sampler
from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import ModelError, RecipeError, TrainingError
from seqlab.training.checkpoint import TrainingState, load_checkpoint
from seqlab.training.compiling import Forwards, compiled_layers
from seqlab.training.config import TrainingConfig
from seqlab.training.ema import MovingAverage
from seqlab.training.freezing import rest
from seqlab.training.interrupt import TrainingInterrupted, stop_on_signals
from seqlab.training.observer import Observer, SilentObserver
from seqlab.training.optim import build_optimizer
from seqlab.training.session import LoopSettings, Session, TrainingResult
from seqlab.training.step import LossModule, seed_step, training_step
from seqlab.training.writers import MetricsWriter

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


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
                rest(model)
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
                    if run.average is not None:
                        run.average.update(state.step)
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


def _begin(
    model: SpeechModel,
    train_set: SpeechDataset,
    dev_set: SpeechDataset | None,
    settings: LoopSettings,
    folder: Path,
    resume: bool,
    observer: Observer | None,
    accelerator: Accelerator,
) -> Session:
    """Check the folder, fit the normalizer, and bring everything to where training goes on."""
    check_folder(folder, resume)
    if settings.training.result == "best" and dev_set is None:
        raise RecipeError(
            "training.result=best needs a dev set, there is none; name one in data.dev, or "
            "take last or averaged"
        )
    if settings.training.early_stopping_patience is not None and dev_set is None:
        raise RecipeError(
            f"training.early_stopping_patience={settings.training.early_stopping_patience} needs a "
            "dev set, there is none; name one in data.dev, or leave the patience out"
        )
    state, content = TrainingState(), None
    mark = data_fingerprint(train_set, model)
    if resume:
        content, state = load_checkpoint(
            folder / "checkpoints" / "last.pt",
            seed=settings.seed,
            settings=settings.recipe,
            data_fingerprint=mark,
            defaults=settings.defaults,
        )
        _restore(model, content["model"], folder)
    elif settings.fit_normalizer:
        fit_normalizer(model, train_set, settings.data)
    observer = observer or SilentObserver()
    forwards: Forwards = {}
    if settings.training.compile:
        noted = (observer if accelerator.is_main_process else SilentObserver()).noted
        forwards = compiled_layers(model.encoder, accelerator.device, noted)
    module, optimizer = accelerator.prepare(
        LossModule(model, settings.training.consistency, forwards, settings.objective),
        build_optimizer(model, settings.optimizer),
    )
    if content is not None:
        _restore(optimizer, content["optimizer"], folder)
        if content["scaler"] is not None and accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(content["scaler"])
    average = _moving_average(model, settings.training, content, folder)
    sampler = make_sampler(
        settings.data,
        train_set,
        seed=settings.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    run = Session(
        accelerator=accelerator,
        model=model,
        module=module,
        optimizer=optimizer,
        dev_set=dev_set,
        settings=settings,
        folder=folder,
        observer=observer,
        sampler=sampler,
        loader=make_loader(train_set, sampler, settings.data.num_workers),
        total_steps=count_steps(sampler, settings.training),
        fingerprint=mark,
        state=state,
        average=average,
        started_step=state.step,
        elapsed_before=state.elapsed_s,
    )
    if accelerator.is_main_process:
        run.writer = MetricsWriter(folder, state.step if resume else 0, state.epoch)
    if not resume:
        run.save()
    return run


def _moving_average(
    model: SpeechModel, config: TrainingConfig, content: dict[str, Any] | None, folder: Path
) -> MovingAverage | None:
    if config.ema_decay is None:
        return None
    average = MovingAverage(model, config.ema_decay)
    if content is not None:
        _restore(average, content.get("average", {}), folder)
    return average


def _restore(part: Any, state: dict[str, Any], folder: Path) -> None:
    """Give a model or optimizer its state from the last checkpoint."""
    try:
        part.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / 'checkpoints' / 'last.pt'} does not fit the recipe's model; resume it with "
            "the version of seqlab that wrote it, or train into another folder"
        ) from error


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """The accelerator of a training; forgets the settings of an earlier one in this process.

    Raises:
        RecipeError: fp16 without a GPU.
    """
    on_cpu = _on_cpu(config)
    if config.precision == "fp16" and on_cpu:
        raise RecipeError(
            "training.precision=fp16 needs a GPU, there is none to use; take bf16 or no"
        )
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    precision = "no" if precision_note(config) else config.precision
    return Accelerator(mixed_precision=precision, cpu=on_cpu)


def precision_note(config: TrainingConfig) -> str | None:
    """Why a training in bf16 computes in float32 after all; None where it need not.

    A CPU that cannot multiply bf16 numbers falls back to plain loops, tens of times as slow.
    """
    if config.precision != "bf16" or not _on_cpu(config) or _cpu_has_bf16():
        return None
    return "training.precision: this CPU has no fast bf16; computing in float32 instead"


def _on_cpu(config: TrainingConfig) -> bool:
    return config.device == "cpu" or not torch.cuda.is_available()


def _cpu_has_bf16() -> bool:
    """Whether torch has kernels for it, as its convolutions ask: AVX-512 or Arm's BF16."""
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
    counts = sampler.batch_counts(config.epochs)
    steps = sum(math.ceil(count / config.accumulate) for count in counts)
    return steps if config.max_steps is None else min(steps, config.max_steps)


def data_fingerprint(dataset: SpeechDataset, model: SpeechModel) -> str:
    """Changes with the training utterances, sources of sections, targets and the tokenizer."""
    rows = [[u.id, u.duration_s, u.target] for u in dataset.utterances]
    parts = dict.fromkeys(dataset.sections.values())
    rows += [[r.id, r.start_s, r.duration_s] for part in parts for r in part.recordings]
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
