"""Training that begins with weights of a model trained before, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from seqlab import assembly, components
from seqlab.checks import did_you_mean
from seqlab.errors import ModelError, RecipeError
from seqlab.saving import StoredModel, read_model_folder
from seqlab.training.checkpoint import changed_settings
from seqlab.training.freezing import freeze
from seqlab.training.token_match import TokenMatch

if TYPE_CHECKING:
    from seqlab.model import SpeechModel

PARTS = ("normalizer", "encoder", "head", "intermediate")


@dataclass(frozen=True)
class WarmStartConfig:
    """Where the first weights come from, as a recipe's ``warm_start`` section holds it.

    Args:
        model: The folder of a seqlab model, such as a run's ``model``.
        parts: What to take of it: "normalizer", "encoder", "head", "intermediate". Weights that
            belong to a token go to the same token of the new vocabulary; a normalizer that is
            taken is not fitted anew.
        strict: Whether the parts must be alike, tokens aside. Otherwise those tensors are taken
            that have the same name and shape, and the others stay fresh.
        frozen: Modules within these parts that stay as they were taken, batch-norm statistics
            included: "encoder", or "encoder.layers.0".

    Raises:
        RecipeError: There are no parts, or one is not known; ``frozen`` is not within them.

    >>> WarmStartConfig("runs/first/model").parts
    ('encoder',)
    """

    model: str
    parts: tuple[str, ...] = ("encoder",)
    strict: bool = True
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts:
            raise RecipeError("warm_start.parts=[] must name at least one of " + ", ".join(PARTS))
        for part in self.parts:
            if part not in PARTS:
                raise RecipeError(f"warm_start.parts names {part!r}{did_you_mean(part, PARTS)}")
        for name in self.frozen:
            if name.partition(".")[0] not in self.parts:
                raise RecipeError(
                    f"warm_start.frozen names {name!r}, which is not within warm_start.parts "
                    f"({', '.join(self.parts)}); only what is taken can rest"
                )


@dataclass(frozen=True)
class WarmStart:
    """What a warm start took.

    Args:
        model: The folder.
        title: Of the training that made it; empty if unknown.
        taken: Tensors taken, by part.
        fresh: Tensors of those parts that stay as they were, by their full names.
        unused: Stored tensors of those parts that have no place here.
        shared_tokens: Tokens that both vocabularies have, if weights went by token.
        tokens: Tokens of the new vocabulary.
        frontend_differs: Settings of the front end and normalizer in which the models differ.
        frozen: Modules that rest.
        frozen_weights: How many weights they have.
    """

    model: str
    title: str
    taken: dict[str, int]
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    shared_tokens: int | None = None
    tokens: int = 0
    frontend_differs: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    frozen_weights: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = components.plain(asdict(self))
        return plain

    def notes(self) -> list[str]:
        """Sentences for a person: what was taken, what was not, and what to look at."""
        parts = ", ".join(f"{part} ({count} tensors)" for part, count in self.taken.items())
        said = [f"warm start from {self.model}: took {parts}; everything else starts afresh"]
        if self.shared_tokens is not None:
            said.append(
                f"warm start: {self.shared_tokens} of {self.tokens} tokens are in both "
                "vocabularies and keep their weights"
            )
        for names, what in ((self.fresh, "not found there"), (self.unused, "not used here")):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                said.append(f"warm start: {what}: {', '.join(names[:3])}{more}")
        if self.frozen:
            resting = ", ".join(self.frozen)
            said.append(f"warm start: {self.frozen_weights} weights rest, of {resting}")
        if self.frontend_differs:
            said.append(
                "warm start: the encoder learnt from other features, which differ in "
                + ", ".join(self.frontend_differs)
            )
        return said


def warm_start(model: SpeechModel, config: WarmStartConfig) -> WarmStart:
    """Give parts of a fresh model the weights of a stored one; nothing of the folder is run.

    Args:
        model: Fresh from its recipe; untouched if this raises.
        config: What to take.

    Raises:
        ModelError: The folder is no sound model, or a part of it does not fit.
        RecipeError: ``frozen`` names what the model does not have.
    """
    stored = read_model_folder(Path(config.model))
    tokens = TokenMatch(model, stored)
    plans = [_plan(model, config, stored, tokens, part) for part in config.parts]
    found = {name: value for plan in plans for name, value in plan.values.items()}
    fresh = tuple(name for plan in plans for name in plan.fresh)
    _refuse_frozen_fresh(config, fresh)
    frozen_weights = freeze(model, config.frozen)
    model.load_state_dict(found, strict=False)
    facts = stored.config.get("facts")
    title = facts.get("title", "") if isinstance(facts, dict) else ""
    return WarmStart(
        model=config.model,
        title=str(title),
        taken={plan.part: len(plan.values) for plan in plans},
        fresh=fresh,
        unused=tuple(name for plan in plans for name in plan.unused),
        shared_tokens=tokens.shared if tokens.used else None,
        tokens=len(model.tokenizer),
        frontend_differs=_feature_differences(model, stored, config.parts),
        frozen=config.frozen,
        frozen_weights=frozen_weights,
    )


@dataclass(frozen=True)
class _Plan:
    """What one part takes: values by full name, and the names of what stays on either side."""

    part: str
    values: dict[str, Tensor]
    fresh: list[str]
    unused: list[str]


def _plan(
    model: SpeechModel, config: WarmStartConfig, stored: StoredModel, tokens: TokenMatch, part: str
) -> _Plan:
    where = f"warm_start.model={config.model}"
    own = _own_tensors(model, part)
    names = [name for name in stored.shapes if name.startswith(f"{part}.")]
    _check_presence(where, part, own, names)
    missing = [name for name in own if name not in stored.shapes]
    misfits = [
        name
        for name, value in own.items()
        if name in stored.shapes and not tokens.fits(part, name, value, stored.shapes[name])
    ]
    extra = [name for name in names if name not in own]
    if config.strict:
        _refuse_differences(where, part, own, stored, missing, misfits, extra)
    fresh = [*missing, *misfits]
    chosen = [name for name in own if name not in fresh]
    if not chosen:
        raise ModelError(
            f"{where}: none of the {len(own)} tensors of the {part} fits; leave it out of "
            f"warm_start.parts, or build the {part} as that model's recipe does"
        )
    values = assembly.read_tensors(stored, chosen)
    for name, value in values.items():
        if value.is_floating_point() != own[name].is_floating_point():
            raise ModelError(f"{where}: {name} is {value.dtype}, must be {own[name].dtype}")
    placed = {name: tokens.placed(part, name, value, own[name]) for name, value in values.items()}
    return _Plan(part, placed, fresh, extra)


def _own_tensors(model: SpeechModel, part: str) -> dict[str, Tensor]:
    module: nn.Module | None = getattr(model, part)
    state = {} if module is None else module.state_dict()
    return {f"{part}.{name}": value for name, value in state.items()}


def _check_presence(where: str, part: str, own: Mapping[str, Tensor], names: Sequence[str]) -> None:
    for whose, there in (("this recipe's model", own), ("that model", names)):
        if not there:
            raise ModelError(
                f"{where}: {whose} has no {part} with weights; leave {part} out of warm_start.parts"
            )


def _refuse_differences(
    where: str,
    part: str,
    own: Mapping[str, Tensor],
    stored: StoredModel,
    missing: Sequence[str],
    misfits: Sequence[str],
    extra: Sequence[str],
) -> None:
    remedy = (
        f"build the {part} as that model's recipe does, or set warm_start.strict: false to take "
        "what fits"
    )
    if misfits:
        name = misfits[0]
        shapes = f"{stored.shapes[name]} there and {tuple(own[name].shape)} here"
        raise ModelError(f"{where}: {len(misfits)} shapes differ: {name} is {shapes}; {remedy}")
    if missing or extra:
        lacking, having = ("that model", "this recipe's") if missing else ("this one", "that model")
        name = (missing or extra)[0]
        raise ModelError(
            f"{where}: {lacking} lacks {name}, which {having} has "
            f"({len(missing)} missing there, {len(extra)} here); {remedy}"
        )


def _refuse_frozen_fresh(config: WarmStartConfig, fresh: Sequence[str]) -> None:
    for name in config.frozen:
        inside = [tensor for tensor in fresh if tensor.startswith(f"{name}.")]
        if inside:
            raise ModelError(
                f"warm_start.model={config.model} lacks {inside[0]}, so that {name} would rest as "
                "it was drawn; name in warm_start.frozen only what that model has"
            )


def _feature_differences(
    model: SpeechModel, stored: StoredModel, parts: Sequence[str]
) -> tuple[str, ...]:
    """Settings that change what the encoder hears, where the models differ."""
    if "encoder" not in parts:
        return ()
    specs = stored.config.get("components")
    before = specs if isinstance(specs, dict) else {}
    names = ("frontend", "normalizer")
    wired = assembly.normalizer_wiring(model.frontend).keys()
    after = {
        name: components.describe(part, wired if name == "normalizer" else ())
        for name in names
        if (part := getattr(model, name)) is not None
    }
    old = {name: before[name] for name in names if isinstance(before.get(name), dict)}
    return tuple(name.replace(".init_args", "") for name in changed_settings(old, after))
