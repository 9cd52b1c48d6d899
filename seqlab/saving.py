"""The model folder on disk: what is in it, how it is written at once, how it is read unexecuted.

A folder holds ``model.safetensors`` (weights), ``config.json`` (plain data that names seqlab
classes) and the tokenizer's files. Nothing in it is a pickle, and reading it runs none of it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seqlab.errors import ModelError

FORMAT = "seqlab-model"
FORMAT_VERSION = 1
CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
MAX_TEXT_BYTES = 64 * 2**20  # of config.json and of each tokenizer file


@dataclass(frozen=True)
class StoredModel:
    """What a model folder holds, read but not yet built."""

    folder: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]  # of the stored tensors, by name
    files: dict[str, bytes]  # the tokenizer's files, by name


def check_target(folder: Path) -> None:
    """Refuse what ``write_model_folder`` would; ask before long work whose end is a model.

    Raises:
        ModelError: ``folder`` is something else than a model folder.
    """
    if folder.exists() and not _is_replaceable(folder):
        raise ModelError(
            f"{folder} exists and is not a model folder; choose another path or remove it"
        )


def write_model_folder(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    files: Mapping[str, bytes],
) -> None:
    """Write a model folder in one step: a reader never sees a part of one.

    Killed at any moment it leaves the old model or the new one; what else a killed writer left
    beside the folder is removed by the next.

    Raises:
        ModelError: ``folder`` is something else than a model folder, or cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    check_target(folder)
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        fresh.mkdir(parents=True)
        _write_files(fresh, config, tensors, files)
        _swap(fresh, folder)
        for old, new in _left_behind(folder):
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_model_folder(folder: Path) -> StoredModel:
    """Read the description of a model folder; the weights stay on disk.

    Raises:
        ModelError: Not a model folder, of a newer format, or damaged; the message says which.
    """
    if not folder.exists():
        folder = _between_renames(folder)
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise ModelError(f"{folder} {state}; name a model folder ({CONFIG_NAME}, {WEIGHTS_NAME})")
    config = _read_config(folder / CONFIG_NAME)
    names = config.get("tokenizer_files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{folder / CONFIG_NAME}: tokenizer_files must be a list of file names")
    files = {name: _read_file(folder / _plain_name(name, folder)) for name in names}
    return StoredModel(folder, config, _read_shapes(folder / WEIGHTS_NAME), files)


def _write_files(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    files: Mapping[str, bytes],
) -> None:
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(own, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    for name, content in files.items():
        (folder / _plain_name(name, folder)).write_bytes(content)
    head = {"format": FORMAT, "format_version": FORMAT_VERSION}
    text = json.dumps({**head, **config, "tokenizer_files": sorted(files)}, indent=2)
    (folder / CONFIG_NAME).write_text(text + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def _swap(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
        return
    old = fresh.with_suffix(".old")
    folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _left_behind(folder: Path) -> list[tuple[Path, Path]]:
    """The (old, new) folders of writers that were killed while they swapped ``folder``."""
    name = re.compile(re.escape(f".{folder.name}.") + r"[0-9a-f]{8}\.old")
    try:
        found = sorted(p for p in folder.parent.iterdir() if name.fullmatch(p.name))
    except OSError:
        return []
    return [(old, old.with_suffix(".new")) for old in found]


def _between_renames(folder: Path) -> Path:
    """Where the model of a missing ``folder`` is, if its writer was killed between two renames.

    The old model is moved away only when the new one is whole, so the new one is taken.
    """
    found = _left_behind(Path(os.path.abspath(folder)))
    return next((new for _, new in found if new.is_dir()), folder)


def _is_replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or {CONFIG_NAME, WEIGHTS_NAME} <= names


def _read_config(path: Path) -> dict[str, Any]:
    text = _read_file(path)
    try:
        config = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ModelError(f'{path} is not the configuration of a seqlab model (no "format")')
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: format_version {version!r} is unknown here (at most {FORMAT_VERSION}); "
            "a newer seqlab can read it"
        )
    return config


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(f"{path} is missing; copy or train the model again")
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ModelError(f"{path} is larger than {MAX_TEXT_BYTES} bytes; it cannot be a model's")
    return path.read_bytes()


def _plain_name(name: str, folder: Path) -> str:
    if name != os.path.basename(name) or name in ("", ".", "..", CONFIG_NAME, WEIGHTS_NAME):
        raise ModelError(f"{folder}: tokenizer file {name!r} must be a plain file name")
    return name


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    if not path.is_file():
        raise ModelError(f"{path} is missing; copy or train the model again")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged: {error}; copy or train the model again") from error
