"""A whole training run: manifests in, a run folder with model, metrics and evaluation out."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import seqlab
from seqlab.training.loop import check_folder, make_accelerator, precision_note, train
from seqlab.training.observer import Observer, SilentObserver
from seqlab.training.prepare import TrainableRecipe, prepare
from seqlab.training.report import write_report
from seqlab.training.selection import Judge
from seqlab.training.session import TrainingResult
from seqlab.training.validate import Evaluation, evaluate

if TYPE_CHECKING:
    from seqlab.model import SpeechModel
    from seqlab.text.tokenizers import Tokenizer

WARM_START_NAME = "warm_start.json"


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
    judge: Judge | None = None,
) -> RunResult:
    """Train what a recipe describes, evaluate the result, and leave everything in one folder.

    The folder holds ``recipe.yaml``, ``metrics.csv`` and ``.jsonl``, ``tensorboard/``,
    ``checkpoints/``, ``model/``, ``evaluation.json``, ``run.json`` and ``report.html``; after a
    warm start ``warm_start.json`` too.

    Args:
        recipe: Checked and resolved.
        tokenizer: Fresh from the recipe; fitted here on the training targets.
        build_model: Makes the model for the fitted tokenizer.
        folder: The run folder; made where it is missing.
        resume: Go on from the last checkpoint in ``folder``.
        observer: Is told about the progress, on the main process only.
        command: The command line, for ``run.json``.
        judge: Gives the figure of ``training.monitor: miss_rate``.

    Raises:
        SeqlabError: Data, recipe or folder do not allow the training; nothing has been trained.
        TrainingError: A loss is not finite.
        TrainingInterrupted: Stopped by Ctrl-C or SIGTERM, after saving a checkpoint.
    """
    check_folder(folder, resume)
    observer = observer or SilentObserver()
    prepared = prepare(recipe, tokenizer, build_model, fresh=not resume)
    model, warm = prepared.model, prepared.warm_start
    accelerator = make_accelerator(recipe.training)
    main = accelerator.is_main_process
    slower = precision_note(recipe.training)
    notes = [*prepared.notes, *(judge.notes if judge is not None else []), *filter(None, [slower])]
    for note in notes if main else []:
        observer.noted(note)
    folder.mkdir(parents=True, exist_ok=True)
    if main and not resume:  # a resumption may yet be refused
        _write(folder / "recipe.yaml", recipe.to_yaml())
        if warm is not None:
            _write(folder / WARM_START_NAME, json.dumps(warm.as_dict(), indent=1))
    accelerator.wait_for_everyone()
    if recipe.warm_start is not None:
        model.facts["warm_start"] = _warm_start_facts(folder)
    result = train(
        model,
        prepared.train_set,
        prepared.dev_set,
        replace(prepared.settings, judge=judge),
        folder,
        resume=resume,
        observer=observer,
        accelerator=accelerator,
    )
    if main:
        _write(folder / "recipe.yaml", recipe.to_yaml())
        model.save(folder / "model")
    sets = {"dev": prepared.dev_set, "test": prepared.test}
    evaluations = {name: evaluate(model, found) for name, found in sets.items() if found}
    if main:
        content = {name: evaluation.to_dict() for name, evaluation in evaluations.items()}
        _write(folder / "evaluation.json", json.dumps(content, indent=1, ensure_ascii=False))
        facts = _facts(result, model, command)
        facts |= {
            "training_utterances": len(prepared.train_set),
            "processes": accelerator.num_processes,
            "precision": accelerator.mixed_precision,  # bf16 may have been too slow here
        }
        _write(folder / "run.json", json.dumps(facts, indent=1))
        write_report(folder)
    accelerator.end_training()
    return RunResult(folder, result, evaluations)


def _warm_start_facts(folder: Path) -> dict[str, Any] | None:
    """What the training began with, from its folder; the model that gave it may be gone since."""
    try:
        facts = json.loads((folder / WARM_START_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _facts(result: TrainingResult, model: SpeechModel, command: Sequence[str]) -> dict[str, Any]:
    return {
        "command": list(command),
        "seconds": result.elapsed_s,
        "steps": result.step,
        "result": result.result,
        "result_epoch": result.epoch,
        "warm_start": model.facts.get("warm_start"),
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
