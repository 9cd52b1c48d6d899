"""From a recipe to a model and utterances that are ready to be trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from seqlab.data.batch import SpeechDataset
from seqlab.data.config import DataConfig, load_split
from seqlab.data.manifest import Utterance
from seqlab.data.sections import make_sections
from seqlab.errors import DataError
from seqlab.training.config import TrainingConfig
from seqlab.training.freezing import freeze
from seqlab.training.label_objective import LabelObjective, label_objective, teacher_mark
from seqlab.training.optim import OptimizerConfig
from seqlab.training.preflight import (
    check_event_data,
    check_targets,
    drop_too_short,
    listed,
    trained_on,
)
from seqlab.training.schedule import ScheduleConfig
from seqlab.training.session import LoopSettings
from seqlab.training.warm_start import WarmStart, WarmStartConfig, warm_start

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

    @property
    def warm_start(self) -> WarmStartConfig | None:
        """Where the first weights come from."""

    def as_dict(self) -> dict[str, Any]:
        """The resolved recipe as plain values."""

    def to_yaml(self) -> str:
        """The resolved recipe as a file."""


@dataclass(frozen=True)
class Prepared:
    """What a training begins with.

    Args:
        model: Fresh from its recipe, or warm.
        train_set: Utterances to learn from, augmented.
        dev_set: To choose the best weights by; None where there are none.
        test: To evaluate the result on.
        settings: How to train.
        notes: Sentences that a person should read.
        warm_start: What the model has taken from another; None if nothing.
    """

    model: SpeechModel
    train_set: SpeechDataset
    dev_set: SpeechDataset | None
    test: list[Utterance]
    settings: LoopSettings
    notes: list[str]
    warm_start: WarmStart | None = None


def prepare(
    recipe: TrainableRecipe,
    tokenizer: Tokenizer,
    build_model: Callable[[Tokenizer], SpeechModel],
    *,
    fresh: bool = True,
) -> Prepared:
    """Read the manifests, fit the tokenizer, build the model, and find what would go wrong.

    Args:
        recipe: Checked and resolved.
        tokenizer: Fresh from the recipe; fitted here on the training targets.
        build_model: Makes the model for the fitted tokenizer.
        fresh: Whether the recipe's warm start takes place; a resumed training had it.

    Raises:
        SeqlabError: Data or recipe do not allow the training.
    """
    splits = {name: _load(recipe.data, name) for name in ("train", "dev", "test")}
    if not splits["train"]:
        raise DataError("the training set has 0 utterances, must have at least 1; see data.train")
    if tokenizer.unit == "event":
        check_event_data(recipe.data)
    targets = [u.target for u in splits["train"] if u.target is not None]
    sections, left_out = make_sections(recipe.data, targets)
    tokenizer.fit([*targets, *(part.label for part in sections)])
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
    notes = [*trained_on(splits), *left_out]
    warm = None
    if recipe.warm_start is not None and fresh:
        warm = warm_start(model, recipe.warm_start)
        notes += warm.notes()
    elif recipe.warm_start is not None:
        freeze(model, recipe.warm_start.frozen)
    if dropped:
        notes.append(
            f"{len(dropped)} utterances too short for their targets dropped: {listed(dropped)}"
        )
    cache: dict[str, Any] = {"cache": recipe.data.cache_mb > 0, "cache_mb": recipe.data.cache_mb}
    train_set = SpeechDataset(
        chosen,
        tokenizer,
        model.frontend.sample_rate,
        augment=augment,
        seed=recipe.seed,
        root=recipe.data.root,
        sections=sections,
        **cache,
    )
    dev_set = None
    if splits["dev"]:
        dev_set = SpeechDataset(splits["dev"], tokenizer, model.frontend.sample_rate, **cache)
    settings = _loop_settings(recipe, _objective(recipe.training, model, train_set))
    return Prepared(model, train_set, dev_set, splits["test"], settings, notes, warm)


def _objective(
    config: TrainingConfig, model: SpeechModel, train_set: SpeechDataset
) -> LabelObjective | None:
    labels = []
    if model.head.output == "label":
        labels = [train_set.encode(u)[0] for u in train_set.utterances]
    return label_objective(config, model, labels)


def _loop_settings(recipe: TrainableRecipe, objective: LabelObjective | None) -> LoopSettings:
    taken = () if recipe.warm_start is None else recipe.warm_start.parts
    return LoopSettings(
        training=recipe.training,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        data=recipe.data,
        seed=recipe.seed,
        recipe=recipe.as_dict() | teacher_mark(recipe.training),
        defaults={
            name: _defaults(section)
            for name in ("data", "optimizer", "schedule", "training", "warm_start")
            if (section := getattr(recipe, name)) is not None
        },
        fit_normalizer="normalizer" not in taken,
        objective=objective,
    )


def _defaults(config: Any) -> dict[str, Any]:
    """The defaults of a section's settings, those of the sections within it included."""
    found: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        if item.default_factory is not dataclasses.MISSING:
            value: Any = item.default_factory()
            nested = dataclasses.is_dataclass(value)
            found[item.name] = dataclasses.asdict(value) if nested else value
        elif item.default is not dataclasses.MISSING:
            found[item.name] = item.default
    return found


def _load(data: DataConfig, split: Any) -> list[Utterance]:
    return load_split(data, split) if getattr(data, split) else []
