"""Where recipes and models are: as typed, or among the recipes that come with the package."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.errors import ModelError, RecipeError

if TYPE_CHECKING:
    from seqlab.model import SpeechModel


def shipped_recipes() -> Path | None:
    """The folder of the recipes: inside an installed package, or beside it in a clone."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_recipes", package.parent / "recipes"):
        if folder.is_dir():
            return folder
    return None


def find_recipe(name: str) -> Path:
    """The file of a recipe: a path, or a path below ``recipes/`` wherever the user stands.

    Args:
        name: such as ``my.yaml`` or ``recipes/kws/fsdd/official.yaml``.

    Raises:
        RecipeError: no such file.
    """
    path = Path(name).expanduser()
    if path.exists():
        if path.is_dir():
            raise RecipeError(f"{name} is a folder, must be a recipe; name a .yaml file in it")
        return path
    shipped = shipped_recipes()
    if shipped is not None and not path.is_absolute():
        inside = Path(*path.parts[1:]) if path.parts[:1] == ("recipes",) else path
        for candidate in (shipped / inside, (shipped / inside).with_suffix(".yaml")):
            if candidate.is_file() and shipped in candidate.resolve().parents:
                return candidate
    raise RecipeError(f"{name} does not exist; name a recipe file{_hint(name, shipped)}")


def _hint(name: str, shipped: Path | None) -> str:
    """Where recipes are that come with seqlab, or which have names like this one."""
    known = [p.relative_to(shipped) for p in shipped.rglob("*.yaml")] if shipped else []
    if not known:
        return ""
    alike = difflib.get_close_matches(name, sorted(p.as_posix() for p in known), n=3)
    if alike:
        return f", such as {', '.join(alike)}"
    folders = sorted({p.parent.as_posix() for p in known})
    return f"; those that come with seqlab are in {', '.join(folders)}"


def load_model(name: str, allow_modules: Sequence[str] = ()) -> SpeechModel:
    """The model of a model folder, or of the run folder that training left.

    Raises:
        ModelError: neither, or damaged, or naming classes that are not allowed.
    """
    from seqlab.model import SpeechModel

    return SpeechModel.load(model_folder(name), allow_modules=allow_modules)


def model_folder(name: str) -> Path:
    """The model folder itself, where a run folder may be named.

    Raises:
        ModelError: a file.
    """
    folder = Path(name).expanduser()
    if folder.is_file():
        raise ModelError(f"{name} is a file, must be a model folder; checkpoints are not models")
    if (folder / "model").is_dir() and not (folder / "config.json").exists():
        return folder / "model"
    return folder


def warn_if_synthetic(model: SpeechModel) -> None:
    """Say on standard error that a model learnt from a speech synthesiser, if it did."""
    from seqlab.cli.terminal import say

    if model.facts.get("synthetic"):
        say("note: this model was trained on synthetic speech; expect it to do worse on people")
