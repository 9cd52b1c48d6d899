"""A recipe, one YAML file, becomes checked settings and then objects.

Sections are dataclasses (``data``, ``optimizer``, ``schedule``, ``training``) or components,
``{class_path, init_args}`` (``text``, ``frontend``, ``normalize``, ``encoder``, ``head``). What
follows from other sections (``input_dim``, ``num_classes``) is filled in and may not be written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab import assembly, components
from seqlab.data.config import DataConfig
from seqlab.decoding.keyword import background_classes
from seqlab.errors import DataError, RecipeError, SeqlabError
from seqlab.heads.intermediate import check_intermediate
from seqlab.model import SpeechModel
from seqlab.recipe_file import dump_yaml, merge_overrides, read_yaml, settle
from seqlab.recipe_parts import COMPONENTS, ONE_CLASS, Spec, build_parts, spec_of
from seqlab.recipe_schema import check_component, check_settings, fill_defaults
from seqlab.text.tokenizers import Tokenizer
from seqlab.training.config import TrainingConfig
from seqlab.training.optim import OptimizerConfig
from seqlab.training.schedule import ScheduleConfig
from seqlab.training.selection import check_monitor
from seqlab.training.warm_start import WarmStartConfig

if TYPE_CHECKING:
    from seqlab.training.observer import Observer
    from seqlab.training.run import RunResult

_SETTINGS: dict[str, type] = {
    "data": DataConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
    "warm_start": WarmStartConfig,
}
_REQUIRED = ("title", "data", "text", "frontend", "encoder", "head")
_SCALARS = {"title": str, "seed": int, "synthetic": bool}
_KEYS = ("title", *COMPONENTS, *_SETTINGS, "seed", "synthetic")
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
        intermediate: Arguments of IntermediateCTC, or None.
        optimizer: The update rule.
        schedule: How the learning rate moves.
        training: How long and how exactly.
        warm_start: Where the first weights come from, or None.
        seed: Of weights, order and augmentation.
        synthetic: Whether the speech is synthetic; reports then say so.
        allow_modules: Modules outside of seqlab whose classes the caller trusts; not in the file.
        source: The file, for messages.
    """

    title: str
    data: DataConfig
    text: Spec
    frontend: Spec
    encoder: Spec
    head: Spec
    normalize: Spec | None = None
    spec_augment: Spec | None = None
    intermediate: Spec | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    warm_start: WarmStartConfig | None = None
    seed: int = 0
    synthetic: bool = False
    allow_modules: tuple[str, ...] = ()
    source: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain data that ``load_recipe`` would read back to an equal recipe."""
        names = sorted(_KEYS, key=lambda name: name not in _SCALARS)
        whole = {name: getattr(self, name) for name in names}
        settings = {name: whole[name] for name in _SETTINGS if whole[name] is not None}
        whole |= {name: dataclasses.asdict(value) for name, value in settings.items()}
        return {name: components.plain(value) for name, value in whole.items()}

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
        raw = merge_overrides(read_yaml(Path(path)), overrides, tuple(COMPONENTS))
        return replace(_check(raw, tuple(allow_modules)), source=os.fspath(path))
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
    facts = {"title": recipe.title, "synthetic": recipe.synthetic, "recipe": recipe.as_dict()}
    with _blaming(recipe):
        background = background_classes(tokenizer.tokens)
        parts = _parts(recipe, len(tokenizer), background)
        return SpeechModel(tokenizer=tokenizer, facts=facts, **parts)


def check_recipe(recipe: Recipe) -> RecipeSummary:
    """Build everything that needs no data, so that mistakes show before training.

    Raises:
        RecipeError: A component refuses its arguments, or the parts do not fit together.
    """
    with _blaming(recipe):
        tokenizer = build_tokenizer(recipe)
        try:
            num_classes: int | None = len(tokenizer)
        except DataError:  # the settings alone do not give the tokens
            num_classes = None
        parts = _parts(recipe, num_classes or _PLACEHOLDER_CLASSES)
        assembly.check_task(parts["head"], tokenizer)
        if parts["intermediate"] is not None:
            check_intermediate(parts["intermediate"], parts["encoder"], parts["head"])
    modules = [part for part in parts.values() if part is not None]
    frontend, encoder = parts["frontend"], parts["encoder"]
    return RecipeSummary(
        task=assembly.task_of(parts["head"]),
        sample_rate=frontend.sample_rate,
        frame_s=assembly.frame_seconds(frontend, encoder),
        parameters=sum(weight.numel() for part in modules for weight in part.parameters()),
        num_classes=num_classes,
    )


def _parts(recipe: Recipe, num_classes: int, background: Sequence[int] = ()) -> dict[str, Any]:
    specs = {name: getattr(recipe, name) for name in COMPONENTS}
    return build_parts(specs, num_classes, recipe.seed, recipe.allow_modules, background)


@contextlib.contextmanager
def _blaming(recipe: Recipe) -> Iterator[None]:
    """Put the recipe's file before messages about what it asks for."""
    try:
        yield
    except SeqlabError as error:
        place = f"{recipe.source}: " if recipe.source else ""
        raise RecipeError(f"{place}{error}") from error


def _check(raw: dict[str, Any], allow_modules: tuple[str, ...]) -> Recipe:
    components.check_keys(raw, _KEYS, "")
    for name in _REQUIRED:
        if raw.get(name) is None:
            raise RecipeError(f"section {name!r} is missing; add it")
    specs = {
        name: check_component(
            spec_of(name, raw[name]),
            *COMPONENTS[name],
            where=name,
            arguments_where=name if name in ONE_CLASS else f"{name}.init_args",
            allow_modules=allow_modules,
        )
        for name in COMPONENTS
        if raw.get(name) is not None
    }
    sections: dict[str, Any] = dict(fill_defaults(specs, COMPONENTS))
    for name in sections.keys() & ONE_CLASS.keys():
        sections[name] = sections[name]["init_args"]
    for name, cls in _SETTINGS.items():
        if raw.get(name) is not None:
            sections[name] = check_settings(cls, raw[name], name)
    for name, expected in _SCALARS.items():
        if name in raw:
            sections[name] = settle(raw[name], expected, name)
    if not 0 <= sections.get("seed", 0) < 2**63:
        raise RecipeError(f"seed is {sections['seed']}, must be from 0 to 2**63 - 1")
    recipe = Recipe(**sections, allow_modules=allow_modules)
    check_monitor(recipe.training, recipe.data)
    return recipe


def train_recipe(
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    resume: bool = False,
    observer: Observer | None = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Train what a recipe describes and leave everything in one folder; see ``run_training``.

    Args:
        recipe: From `load_recipe` or `recipe_from_dict`.
        folder: The run folder.
        resume: Go on from the last checkpoint in ``folder``.
        observer: Is told about the progress.
        command: The command line, for the report.

    Raises:
        SeqlabError: Data, recipe or folder do not allow the training.
    """
    from seqlab.inference.judging import miss_rate_judge
    from seqlab.training.run import run_training  # plots and trackers: only trainings pay for them

    return run_training(
        recipe,
        build_tokenizer(recipe),
        lambda tokenizer: build_model(recipe, tokenizer),
        Path(folder),
        resume=resume,
        observer=observer,
        command=command,
        judge=miss_rate_judge(recipe.data, recipe.training.false_alarms_per_hour),
    )
