"""A whole training run: manifests in, a run folder with model, metrics and evaluation out."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

import seqlab
from seqlab.data.batch import SpeechDataset
from seqlab.data.config import DataConfig, load_split
from seqlab.data.manifest import Utterance
from seqlab.errors import DataError
from seqlab.training.config import TrainingConfig
from seqlab.training.loop import (
    check_folder,
    make_accelerator,
    train,
)
from seqlab.training.observer import Observer, SilentObserver
from seqlab.training.optim import OptimizerConfig
from seqlab.training.preflight import check_targets, drop_too_short, listed, trained_on
from seqlab.training.report import write_report
from seqlab.training.schedule import ScheduleConfig
from seqlab.training.session import LoopSettings, TrainingResult
from seqlab.training.validate import Evaluation, evaluate

if TYPE_CHECKING:
    from seqlab.model import SpeechModel
    from seqlab.text.tokenizers import Tokenizer


class TrainableRecipe(Protocol):
    """What a run needs of a recipe."""

    @property
    def seed(self) -> int:
        """Of everything random, at least 0."""

    @property
    def data(self) -> DataConfig:
        """Manifests, batches, augmentation."""

    @property
    def optimizer(self) -> OptimizerConfig:
        """The update rule."""

    @property
    def schedule(self) -> ScheduleConfig:
        """How the learning rate moves."""

    @property
    def training(self) -> TrainingConfig:
        """Length, precision, safeguards."""

    def as_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain values."""

    def to_yaml(self) -> str:
        """The resolved recipe as a file."""


@dataclass(frozen=True)
class RunResult:
    """What a run has left in its folder.

    Args:
        folder: The run folder.
        training: How the training ended.
        evaluations: Of the resulting model, by split: "dev", "test"; a split without utterances
            is left out.
    """

    folder: Path
    training: TrainingResult
    evaluations: dict[str, Evaluation]


def run_training(
    recipe: TrainableRecipe,
    tokenizer: Tokenizer,
    build_model: Callable[[Tokenizer], SpeechModel],
    folder: Path,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Train what a recipe describes, evaluate the result, and leave everything in one folder.

    The folder holds ``recipe.yaml``, ``metrics.csv`` and ``.jsonl``, ``tensorboard/``,
    ``checkpoints/``, ``model/``, ``evaluation.json``, ``run.json`` and ``report.html``.

    Args:
        recipe: Checked and resolved.
        tokenizer: Fresh from the recipe; fitted here on the training targets.
        build_model: Makes the model for the fitted tokenizer.
        folder: The run folder; made where it is missing.
        resume: Go on from the last checkpoint in ``folder``.
        observer: Is told about the progress, on the main process only.
        command: The command line, for ``run.json``.

    Raises:
        SeqlabError: Data, recipe or folder do not allow the training; nothing has been trained.
        TrainingError: A loss is not finite.
        TrainingInterrupted: Stopped by Ctrl-C or SIGTERM, after saving a checkpoint.
    """
    check_folder(folder, resume)
    observer = observer or SilentObserver()
    splits = {name: _load(recipe.data, name) for name in ("train", "dev", "test")}
    if not splits["train"]:
        raise DataError("the training set has 0 utterances, must have at least 1; see data.train")
    tokenizer.fit([u.target for u in splits["train"] if u.target is not None])
    for name, utterances in splits.items():
        check_targets(utterances, tokenizer, name)
    model = build_model(tokenizer)
    augment = recipe.data.augment
    chosen, dropped = drop_too_short(
        splits["train"],
        model,
        max([1.0, *augment.speeds]),
        recipe.training.skip_too_short,
        augment.edges_s,
    )
    accelerator = make_accelerator(recipe.training)
    main = accelerator.is_main_process
    for note in trained_on(splits) if main else []:
        observer.noted(note)
    if dropped and main:
        observer.noted(
            f"{len(dropped)} utterances too short for their targets dropped: {listed(dropped)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if main and not resume:  # a resumption may yet be refused
        _write(folder / "recipe.yaml", recipe.to_yaml())
    rate = model.frontend.sample_rate
    train_set = SpeechDataset(
        chosen,
        tokenizer,
        rate,
        augment=augment,
        seed=recipe.seed,
        cache=recipe.data.cache_mb > 0,
        cache_mb=recipe.data.cache_mb,
        root=recipe.data.root,
    )
    dev_set = None
    if splits["dev"]:
        cache_mb = recipe.data.cache_mb
        dev_set = SpeechDataset(
            splits["dev"], tokenizer, rate, cache=cache_mb > 0, cache_mb=cache_mb
        )
    settings = LoopSettings(
        training=recipe.training,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        data=recipe.data,
        seed=recipe.seed,
        recipe=recipe.as_dict(),
    )
    result = train(
        model,
        train_set,
        dev_set,
        settings,
        folder,
        resume=resume,
        observer=observer,
        accelerator=accelerator,
    )
    if main:
        _write(folder / "recipe.yaml", recipe.to_yaml())
        model.save(folder / "model")
    evaluations = {
        name: evaluate(model, dev_set if name == "dev" and dev_set else splits[name])
        for name in ("dev", "test")
        if splits[name]
    }
    if main:
        content = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
        _write(folder / "evaluation.json", json.dumps(content, indent=1, ensure_ascii=False))
        facts = _facts(result, model, command)
        facts |= {"training_utterances": len(chosen), "processes": accelerator.num_processes}
        _write(folder / "run.json", json.dumps(facts, indent=1))
        write_report(folder)
    accelerator.end_training()
    return RunResult(folder, result, evaluations)


def _load(data: DataConfig, split: Any) -> list[Utterance]:
    return load_split(data, split) if getattr(data, split) else []


def _facts(result: TrainingResult, model: SpeechModel, command: Sequence[str]) -> dict[str, Any]:
    return {
        "command": list(command),
        "seconds": result.elapsed_s,
        "steps": result.step,
        "result": result.result,
        "result_epoch": result.epoch,
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "device": str(next(model.parameters()).device),
        "machine": {
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "versions": {
            "seqlab": seqlab.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model; where the system does not tell, its architecture.

    Args:
        cpuinfo: Where Linux tells it.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = {key.strip(): " ".join(value.split()) for key, _, value in map(_parted, lines)}
    names = ("model name", "cpu model", "Model")  # x86, MIPS, boards; a bare "model" is a number
    found = next((told[name] for name in names if told.get(name)), "")
    return found or platform.processor() or platform.machine()


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
