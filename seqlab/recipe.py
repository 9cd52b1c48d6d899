"""A recipe, one YAML file, becomes checked settings and then objects.

Sections are dataclasses (``data``, ``optimizer``, ``schedule``, ``training``) or components,
``{class_path, init_args}`` (``text``, ``frontend``, ``normalize``, ``encoder``, ``head``). What
follows from other sections (``input_dim``, ``num_classes``) is filled in and may not be written.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from seqlab import assembly, components
from seqlab.contracts import Encoder, Frontend, Head
from seqlab.data.config import DataConfig
from seqlab.errors import RecipeError, SeqlabError
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.normalize import Normalizer
from seqlab.model import SpeechModel
from seqlab.recipe_file import Override, dump_yaml, merge_overrides, parse_yaml, read_yaml, settle
from seqlab.recipe_schema import fill_defaults
from seqlab.text.tokenizers import Tokenizer
from seqlab.training.config import TrainingConfig
from seqlab.training.optim import OptimizerConfig
from seqlab.training.schedule import ScheduleConfig
from seqlab.values import did_you_mean

Spec = dict[str, Any]

_COMPONENTS: dict[str, tuple[type, tuple[str, ...]]] = {  # section -> contract, wired arguments
    "text": (Tokenizer, ()),
    "frontend": (Frontend, ()),
    "normalize": (Normalizer, ("input_dim", "sample_rate", "hop_length")),
    "spec_augment": (SpecAugment, ()),
    "encoder": (Encoder, ("input_dim",)),
    "head": (Head, ("input_dim", "num_classes")),
}
_SETTINGS: dict[str, type] = {
    "data": DataConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
}
_REQUIRED = ("title", "data", "text", "frontend", "encoder", "head")
_SCALARS = {"title": str, "seed": int, "synthetic": bool}
_PLACEHOLDER_CLASSES = 32  # stands for the tokenizer's size where only training texts give it


@dataclass(frozen=True)
class Recipe:
    """A checked recipe: every value has its default, its type and a class that takes it.

    Args:
        title: What is trained on what, for reports.
        data: Manifests, batches, augmentation.
        text: Spec of the Tokenizer.
        frontend: Spec of the Frontend.
        encoder: Spec of the Encoder.
        head: Spec of the Head.
        normalize: Spec of the Normalizer, or None.
        spec_augment: Arguments of SpecAugment, or None.
        optimizer: The update rule.
        schedule: How the learning rate moves.
        training: How long and how exactly.
        seed: Of weights, order and augmentation.
        synthetic: Whether the speech is synthetic; reports then say so.
        allow_modules: Modules outside of seqlab whose classes the caller trusts; not in the file.
    """

    title: str
    data: DataConfig
    text: Spec
    frontend: Spec
    encoder: Spec
    head: Spec
    normalize: Spec | None = None
    spec_augment: Spec | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    synthetic: bool = False
    allow_modules: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data that ``load_recipe`` would read back to an equal recipe."""
        whole = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del whole["allow_modules"]
        return {
            name: components.plain(dataclasses.asdict(value) if name in _SETTINGS else value)
            for name, value in whole.items()
        }

    def to_yaml(self) -> str:
        """The resolved recipe as YAML, defaults written out."""
        return dump_yaml(self.as_dict())


@dataclass(frozen=True)
class RecipeSummary:
    """What a recipe builds, before any data is seen."""

    task: str
    sample_rate: int
    frame_s: float
    parameters: int  # with a placeholder for classes that only the training texts give
    num_classes: int | None  # None where only the training texts give it


def load_recipe(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    allow_modules: Sequence[str] = (),
) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A YAML file.
        overrides: As on a command line: ``--encoder.init_args.num_layers=8``, or name and value
            apart. A new ``class_path`` drops the arguments the file gave to the old class.
        allow_modules: Modules outside of seqlab, by full name, whose classes the caller trusts.

    Raises:
        RecipeError: One line with the file, the key, the value and the remedy.
    """
    try:
        raw = merge_overrides(read_yaml(Path(path)), overrides, tuple(_COMPONENTS))
        return _check(raw, tuple(allow_modules))
    except SeqlabError as error:
        raise RecipeError(f"{os.fspath(path)}: {error}") from error


def recipe_from_dict(raw: Mapping[str, Any], allow_modules: Sequence[str] = ()) -> Recipe:
    """Check a recipe given as plain data, such as ``Recipe.as_dict`` returns."""
    return _check(dict(raw), tuple(allow_modules))


def build_tokenizer(recipe: Recipe, texts: Iterable[str] | None = None) -> Tokenizer:
    """Build the recipe's tokenizer, fitted on the training ``texts`` if they are given."""
    allowed = recipe.allow_modules
    tokenizer: Tokenizer = components.build(
        recipe.text,
        Tokenizer,  # type: ignore[type-abstract]
        where="text",
        allow_modules=allowed,
    )
    return tokenizer if texts is None else tokenizer.fit(texts)


def build_model(recipe: Recipe, tokenizer: Tokenizer) -> SpeechModel:
    """Build the recipe's model for a fitted tokenizer; equal recipes give equal weights.

    The weights depend on ``recipe.seed`` only, and the global random state stays as it was.

    Raises:
        RecipeError: A component refuses its arguments, or the parts do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        parts = _build_parts(recipe, len(tokenizer))
    facts = {"title": recipe.title, "synthetic": recipe.synthetic, "recipe": recipe.as_dict()}
    return SpeechModel(tokenizer=tokenizer, facts=facts, **parts)


def check_recipe(recipe: Recipe) -> RecipeSummary:
    """Build everything that needs no data, so that mistakes show before training.

    Raises:
        RecipeError: A component refuses its arguments, or the parts do not fit together.
    """
    tokenizer = build_tokenizer(recipe)
    known = len(tokenizer) - (tokenizer.blank is not None)
    with torch.random.fork_rng(devices=[]):
        parts = _build_parts(recipe, len(tokenizer) if known else _PLACEHOLDER_CLASSES)
    assembly.check_task(parts["head"], tokenizer)
    parameters = sum(
        weight.numel()
        for part in parts.values()
        if part is not None
        for weight in part.parameters()
    )
    frontend, encoder = parts["frontend"], parts["encoder"]
    return RecipeSummary(
        task="ctc" if parts["head"].per_frame else "classification",
        sample_rate=frontend.sample_rate,
        frame_s=assembly.frame_seconds(frontend, encoder),
        parameters=parameters,
        num_classes=len(tokenizer) if known else None,
    )


def _check(raw: dict[str, Any], allow_modules: tuple[str, ...]) -> Recipe:
    known = [f.name for f in dataclasses.fields(Recipe) if f.name != "allow_modules"]
    for name in raw:
        if name not in known:
            raise RecipeError(f"unknown key {name!r}{did_you_mean(str(name), known)}")
    for name in _REQUIRED:
        if raw.get(name) is None:
            raise RecipeError(f"section {name!r} is missing; add it")
    specs = {
        name: _component(name, raw[name], allow_modules)
        for name in _COMPONENTS
        if raw.get(name) is not None
    }
    sections: dict[str, Any] = dict(fill_defaults(specs, _COMPONENTS))
    if "spec_augment" in sections:
        sections["spec_augment"] = sections["spec_augment"]["init_args"]
    for name, cls in _SETTINGS.items():
        if raw.get(name) is not None:
            sections[name] = _settings(cls, raw[name], name)
    for name, expected in _SCALARS.items():
        if name in raw:
            sections[name] = settle(raw[name], expected, name)
    if not 0 <= sections.get("seed", 0) < 2**63:
        raise RecipeError(f"seed is {sections['seed']}, must be from 0 to 2**63 - 1")
    return Recipe(**sections, allow_modules=allow_modules)


def _component(name: str, raw: Any, allow_modules: tuple[str, ...]) -> Spec:
    """Check one component section; the class path is judged before anything is imported."""
    contract, wired = _COMPONENTS[name]
    if name == "spec_augment":
        class_path = f"{SpecAugment.__module__}.{SpecAugment.__qualname__}"
        spec, where = {"class_path": class_path, "init_args": raw}, name
    else:
        spec, where = raw, f"{name}.init_args"
    path, arguments = components.check_spec(_opened(spec), name)
    try:
        cls: type[Any] = components.resolve(path, contract, allow_modules=allow_modules)
    except RecipeError as error:
        raise RecipeError(f"{name}: {error}") from None
    types = components.argument_types(cls)
    settled = {
        key: settle(value, types.get(key, Any), f"{where}.{key}")
        for key, value in arguments.items()
        if key in types and key not in wired
    }
    checked = components.check_arguments(cls, {**arguments, **settled}, wired, where)
    return {"class_path": path, "init_args": components.plain(checked)}


def _settings(cls: type[Any], raw: Any, where: str) -> Any:
    """Build a dataclass section; its own checks add the section to their messages."""
    raw = _opened(raw)
    if not isinstance(raw, Mapping):
        raise RecipeError(f"{where} is {raw!r}, must be a mapping")
    types = components.argument_types(cls)
    settled = {}
    for key, value in raw.items():
        expected = types.get(key, Any)
        if dataclasses.is_dataclass(expected) and isinstance(expected, type):
            settled[key] = _settings(expected, value, f"{where}.{key}")
        elif key in types:
            settled[key] = settle(value, expected, f"{where}.{key}")
    checked = components.check_arguments(cls, {**raw, **settled}, where=where)
    try:
        return cls(**checked)
    except SeqlabError as error:
        message = str(error)
        raise RecipeError(
            message if message.startswith(where) else f"{where}: {message}"
        ) from error


def _build_parts(recipe: Recipe, num_classes: int) -> dict[str, Any]:
    def make(spec: Spec | None, contract: type[Any], where: str, **wired: Any) -> Any:
        if spec is None:
            return None
        allowed = recipe.allow_modules
        return components.build(spec, contract, where=where, allow_modules=allowed, **wired)

    frontend = make(recipe.frontend, Frontend, "frontend")
    encoder = make(recipe.encoder, Encoder, "encoder", input_dim=frontend.output_dim)
    wired = {"input_dim": encoder.output_dim, "num_classes": num_classes}
    spec_augment = recipe.spec_augment and {
        "class_path": f"{SpecAugment.__module__}.{SpecAugment.__qualname__}",
        "init_args": recipe.spec_augment,
    }
    return {
        "frontend": frontend,
        "encoder": encoder,
        "head": make(recipe.head, Head, "head", **wired),
        "normalizer": make(
            recipe.normalize, Normalizer, "normalize", **assembly.normalizer_wiring(frontend)
        ),
        "spec_augment": make(spec_augment, SpecAugment, "spec_augment"),
    }


def _opened(value: Any) -> Any:
    return parse_yaml(value.text) if isinstance(value, Override) else value
