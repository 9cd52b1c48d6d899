"""Training checkpoints: whole or not there at all, and loading them runs no code."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from seqlab.errors import ModelError, TrainingError

_FORMAT = 1
_PARTS = {"format", "model", "optimizer", "scaler", "state", "seed", "settings", "data_fingerprint"}

# Settings that may differ between a run and its resumption: they do not change the weights.
FREE_SETTINGS = (
    "title",
    "data.num_workers",
    "data.cache_mb",
    "training.checkpoint_every_steps",
    "training.log_every_steps",
)


@dataclass
class TrainingState:
    """Where a training stands; plain values only.

    Args:
        epoch: Whole epochs done.
        batch: Batches of the epoch in progress that are done.
        step: Optimizer steps taken.
        best: (figure, loss) of the best validation, lower is better; None before the first.
        best_epoch: Epochs done at the best validation.
        validations_since_best: Validations without improvement.
        elapsed_s: Seconds spent.
        epoch_loss: Sum of the losses in the epoch in progress, and count of its utterances.
        row_loss: The same since the last row of metrics.
        history: One row of metrics for each epoch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: tuple[float, float] | None = None
    best_epoch: int = 0
    validations_since_best: int = 0
    elapsed_s: float = 0.0
    epoch_loss: tuple[float, int] = (0.0, 0)
    row_loss: tuple[float, int] = (0.0, 0)
    history: list[dict[str, Any]] = field(default_factory=list)


def save_atomically(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values to ``path``: the old file stays until the new one is whole.

    Args:
        content: What ``torch.load(weights_only=True)`` accepts; a format number is added.
        path: The file; its folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        torch.save({"format": _FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_safely(path: Path) -> dict[str, Any]:
    """Read what `save_atomically` wrote, onto the CPU, without running code from the file.

    Raises:
        ModelError: The file is missing, damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise ModelError(
            f"{path} is not a file, must be a training checkpoint; start the training "
            "without resuming, or name the folder of a run"
        )
    try:
        with warnings.catch_warnings():  # about other pickle protocols; they are refused anyway
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
                if (damaged := archive.testzip()) is not None:
                    raise ValueError(f"wrong checksum of {damaged}")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises almost anything on a damaged file
        raise ModelError(
            f"{path} cannot be read as a checkpoint, must hold only tensors and plain values; "
            "it is truncated, or not from seqlab: delete it and start again"
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ModelError(
            f"{path} has checkpoint format {found}, must be {_FORMAT}; "
            "resume it with the version of seqlab that wrote it"
        )
    return content


def save_checkpoint(
    path: Path,
    *,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Any],
    scaler: Mapping[str, Any] | None,
    state: TrainingState,
    seed: int,
    settings: Mapping[str, Any],
    data_fingerprint: str,
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Save all that a training needs to go on as if it had never stopped.

    Random numbers need no saving: the loop draws those of a step from (seed, step, process), and
    the data those of an utterance from (seed, epoch, utterance).

    Args:
        path: The checkpoint file.
        model: The model's state dictionary.
        optimizer: The optimizer's state dictionary.
        scaler: The fp16 gradient scaler's state dictionary, if there is one.
        state: Where the training stands.
        seed: The run's seed.
        settings: The resolved recipe, plain values.
        data_fingerprint: Changes with the training set and the tokenizer.
        average: The moving average of the weights, if one is kept.
    """
    content: dict[str, Any] = {"model": dict(model), "optimizer": dict(optimizer)}
    content |= {"scaler": None if scaler is None else dict(scaler), "state": asdict(state)}
    content |= {"seed": seed, "settings": plain(settings), "data_fingerprint": data_fingerprint}
    if average is not None:
        content["average"] = dict(average)
    save_atomically(content, path)


def load_checkpoint(
    path: Path,
    *,
    seed: int,
    settings: Mapping[str, Any],
    data_fingerprint: str,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Any], TrainingState]:
    """Load a checkpoint to resume from, if it belongs to this very training.

    Args:
        path: The checkpoint.
        seed: Of this training.
        settings: Its recipe.
        data_fingerprint: Of its utterances.
        defaults: Settings that an older version did not know and therefore did not write, with
            the values that change nothing.

    Returns:
        The whole content, and the state in it.

    Raises:
        ModelError: The file is missing or damaged.
        TrainingError: Settings, seed or training data are not those of the checkpoint.
    """
    content = load_safely(path)
    state, known = content.get("state"), {part.name for part in fields(TrainingState)}
    whole = content.keys() - {"average"} == _PARTS and isinstance(content["settings"], dict)
    if not (whole and isinstance(state, dict) and state.keys() == known):
        raise ModelError(
            f"{path} holds {', '.join(map(str, content))}, must be the checkpoint of a training; "
            "restore checkpoints/last.pt, or start again in another folder"
        )
    changed = changed_settings(content["settings"], plain(settings), plain(defaults))
    if content["seed"] != seed and "seed" not in changed:
        changed.insert(0, "seed")
    if changed:
        raise TrainingError(
            f"the recipe differs from that of {path} in {', '.join(changed)}, must be the same "
            "to resume; undo the change, or train into another folder"
        )
    if content["data_fingerprint"] != data_fingerprint:
        raise TrainingError(
            f"the training data differ from those of {path}, must be the same to resume; "
            "restore the manifests, or train into another folder"
        )
    return content, TrainingState(**content["state"])


def changed_settings(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Dotted names of the settings that differ, apart from `FREE_SETTINGS`.

    What ``before`` lacks counts as having its default.

    >>> changed_settings({"head": {"dropout": 0.1}}, {"head": {"dropout": 0.2}})
    ['head.dropout']
    """
    old, new = flatten(before), flatten(after)
    unset = {key: value for key, value in flatten(defaults).items() if key in new}
    old = unset | old
    return sorted(
        key
        for key in old.keys() | new.keys()
        if key not in FREE_SETTINGS and (key not in old or key not in new or old[key] != new[key])
    )


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots.

    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def plain(value: Any) -> Any:
    """Settings as dictionaries, lists and scalars only; other objects become their text.

    >>> plain({"betas": (0.9, 0.98)})
    {'betas': [0.9, 0.98]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of the model weights in several checkpoints, in float64 before rounding.

    Averaging the last epochs gives a flatter and better minimum than any one of them. The
    running means and variances of batch norm are averaged alike; counters are those of the last.

    Args:
        paths: Checkpoints of one model, in the order of training, at least one.

    Returns:
        A state dictionary.

    Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima"; batch-norm statistics
    are averaged, not recomputed, since neighbouring epochs differ little.
    """
    total: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    for path in paths:
        last = load_safely(path)["model"]
        for name, value in last.items():
            if value.is_floating_point():
                total[name] = total[name] + value.double() if name in total else value.double()
    return {
        name: (total[name] / len(paths)).to(value.dtype) if name in total else value
        for name, value in last.items()
    }
