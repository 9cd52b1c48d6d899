"""A learning rate by trial: a few hundred steps while the rate rises, and a look at the loss."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqlab.data.batch import Batch
from seqlab.data.loader import make_loader, make_sampler
from seqlab.errors import RecipeError, TrainingError
from seqlab.training.freezing import rest
from seqlab.training.loop import fit_normalizer, make_accelerator, precision_note
from seqlab.training.optim import build_optimizer
from seqlab.training.prepare import Prepared, TrainableRecipe, prepare
from seqlab.training.step import LossModule, seed_step, training_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqlab.model import SpeechModel
    from seqlab.text.tokenizers import Tokenizer

MIN_STEPS = 20
_WORSE = 4.0  # times the best loss so far is as bad as it need get
_SMOOTH = 25  # the loss is smoothed over about this part of the steps


@dataclass(frozen=True)
class RateSearch:
    """Losses at rising learning rates.

    Args:
        rates: Learning rates, rising by a constant factor.
        losses: Mean loss of the batch at each.
        smoothed: The same, without the noise of single batches.
        suggestion: The rate at which the loss falls fastest; None where it never falls.
        largest: The rate at which the loss is least: beyond it, training gets worse.
        diverged: Whether the loss grew so much that the search ended before the last rate.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    largest: float
    diverged: bool


def search_learning_rate(
    recipe: TrainableRecipe,
    tokenizer: Tokenizer,
    build_model: Callable[[Tokenizer], SpeechModel],
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 200,
    stepped: Callable[[int, float, float], None] | None = None,
    noted: Callable[[str], None] | None = None,
) -> RateSearch:
    """Train a fresh model for a few hundred steps at rising rates; nothing is written.

    Use it before the first training on new data. Optimizer, batches and augmentation are the
    recipe's; its schedule and its own rate play no part. The suggestion suits ``optimizer.lr``
    with a schedule that warms up; without warm-up take less.

    Args:
        recipe: Checked and resolved.
        tokenizer: Fresh from the recipe.
        build_model: Makes the model for the fitted tokenizer.
        lowest: First rate, above 0.
        highest: Last rate, above ``lowest``.
        steps: Optimizer steps, at least 20.
        stepped: Is told the steps done, the rate and the loss, after every step.
        noted: Is told what a training of the recipe would note before its first step.

    Raises:
        RecipeError: ``lowest``, ``highest`` or ``steps`` is out of range.
        TrainingError: The loss is not finite from the start.
        SeqlabError: Data or recipe do not allow a training.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3, with
    rates that rise exponentially, and the loss in place of the accuracy.
    """
    if not 0 < lowest < highest < math.inf:
        raise RecipeError(
            f"the rates {lowest} to {highest} must be above 0 and rise; 1e-6 to 1 is usual"
        )
    if steps < MIN_STEPS:
        raise RecipeError(f"steps={steps} must be at least {MIN_STEPS}; 200 is usual")
    prepared = prepare(recipe, tokenizer, build_model)
    if noted is not None:
        for note in filter(None, [*prepared.notes, precision_note(recipe.training)]):
            noted(note)
    rates = np.geomspace(lowest, highest, steps).tolist()
    losses: list[float] = []
    diverged = False
    for loss in _losses(prepared, rates):
        losses.append(loss)
        if stepped is not None:
            stepped(len(losses), rates[len(losses) - 1], loss)
        diverged = _has_diverged(losses)
        if diverged:
            break
    return judge(rates[: len(losses)], losses, diverged or len(losses) < steps)


def judge(rates: Sequence[float], losses: Sequence[float], diverged: bool = False) -> RateSearch:
    """What losses at rising rates suggest.

    Args:
        rates: Rising by a constant factor, at least 3.
        losses: Finite, one for each rate.
        diverged: Whether the search ended before its last rate.

    Example:
        >>> found = judge([0.1, 0.2, 0.4, 0.8, 1.6], [10.0, 9.0, 7.0, 3.0, 8.0])
        >>> found.suggestion, found.largest
        (0.4, 0.8)
    """
    smoothed = _smooth(np.array(losses), len(losses) / _SMOOTH)
    best = int(smoothed.argmin())
    slopes = np.gradient(smoothed)[: best + 1]
    steepest = int(slopes.argmin())
    return RateSearch(
        tuple(rates),
        tuple(losses),
        tuple(smoothed.tolist()),
        rates[steepest] if best > 0 and slopes[steepest] < 0 else None,
        rates[best],
        diverged,
    )


def draw(search: RateSearch, title: str = "") -> Figure:
    """The losses over the rates; ``figure.savefig(path)`` writes it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(search.rates, search.losses, color="C0", alpha=0.35, linewidth=0.8, label="batch")
    axes.plot(search.rates, search.smoothed, color="C0", label="smoothed")
    if search.suggestion is not None:
        label = f"suggestion {search.suggestion:.2g}"
        axes.axvline(search.suggestion, color="C1", linestyle="--", label=label)
    low, high = min(search.smoothed), max(search.smoothed)
    room = 0.1 * (high - low) or 0.5
    axes.set_ylim(low - room, high + room)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.set_title(title, parse_math=False)
    axes.legend()
    return figure


def _losses(prepared: Prepared, rates: Sequence[float]) -> Iterator[float]:
    """The mean loss of each step; ends early where a loss or gradient is not finite."""
    model, settings = prepared.model, prepared.settings
    accelerator = make_accelerator(settings.training)
    if settings.fit_normalizer:
        fit_normalizer(model, prepared.train_set, settings.data)
    module, optimizer = accelerator.prepare(
        LossModule(model, settings.training.consistency, objective=settings.objective),
        build_optimizer(model, settings.optimizer),
    )
    module.train()
    rest(model)
    groups = _endless(prepared, accelerator)
    try:
        for step, (rate, batches) in enumerate(zip(rates, groups, strict=False)):
            for group in optimizer.param_groups:
                group["lr"] = rate
            seed_step(settings.seed, step, accelerator.process_index)
            try:
                result = training_step(
                    accelerator,
                    module,
                    optimizer,
                    batches,
                    sample_rate=model.frontend.sample_rate,
                    gradient_clip=settings.training.gradient_clip,
                )
            except TrainingError:
                if step < MIN_STEPS // 2:  # not the rate's fault
                    raise
                return
            yield result.loss / result.utterances
    finally:
        groups.close()
        accelerator.free_memory()


def _endless(prepared: Prepared, accelerator: Any) -> Generator[list[Batch], None, None]:
    """The batches of step after step, epoch after epoch."""
    settings = prepared.settings
    sampler = make_sampler(
        settings.data,
        prepared.train_set,
        seed=settings.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    loader = make_loader(prepared.train_set, sampler, settings.data.num_workers)
    try:
        for epoch in itertools.count():
            sampler.set_epoch(epoch)
            sampler.set_position(0)
            batches = iter(loader)
            while group := list(itertools.islice(batches, settings.training.accumulate)):
                yield group
    finally:
        loader.close()


def _has_diverged(losses: Sequence[float]) -> bool:
    """Whether the mean of the last few losses is far above the least such mean."""
    count = max(3, MIN_STEPS // 4)
    if len(losses) < MIN_STEPS:
        return False
    means = np.convolve(losses, np.full(count, 1 / count), mode="valid")
    return bool(means[-1] > _WORSE * means.min() and means[-1] > means[0])


def _smooth(values: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    """Gaussian smoothing without a lag; at the ends over what is there."""
    reach = math.ceil(3 * width)
    if width < 0.4 or 2 * reach + 1 > len(values):  # too few to smooth
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    weights = np.convolve(np.ones_like(values), kernel, mode="same")
    smoothed: npt.NDArray[np.float64] = np.convolve(values, kernel, mode="same") / weights
    return smoothed
