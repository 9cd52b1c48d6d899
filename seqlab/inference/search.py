"""Finding the settings of a decoder that make the fewest errors, by trying them out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seqlab.errors import SeqlabError

__all__ = ["Trial", "find_settings"]

Settings = Mapping[str, float]
Errors = tuple[int, int]  # of words, of characters


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and the errors they made.

    Args:
        settings: Value of each setting by name.
        word_errors: Substitutions, deletions and insertions of words.
        character_errors: Those of characters; they tell settings with equal word errors apart.
    """

    settings: dict[str, float]
    word_errors: int
    character_errors: int

    @property
    def errors(self) -> Errors:
        """What is minimised."""
        return self.word_errors, self.character_errors


def find_settings(
    count_errors: Callable[[Settings], Errors],
    grid: Mapping[str, Sequence[float]],
    *,
    halvings: int = 2,
    lowest: Settings | None = None,
    tried: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Try a grid, then step up and down from its best point by ever smaller steps.

    Of settings with equal errors those win that were tried first: the grid is tried from its
    first values on, so put the mildest there.

    Args:
        count_errors: Maps settings to word and character errors.
        grid: Values of each setting, at least one each; their spacing is where steps begin.
            A setting of a single value stays at it.
        halvings: How often steps are halved once no step helps, at least 0.
        lowest: Settings that may not fall below a value.
        tried: Is told of every trial.

    Returns:
        All trials, the best one first, then as they were made.

    Raises:
        SeqlabError: The grid is empty, or a value is not finite.

    Source: the compass search of Kolda, Lewis and Torczon 2003, "Optimization by direct search",
    section 1.

    Example:
        >>> square = lambda at: (round((at["weight"] - 0.7) ** 2 * 1000), 0)
        >>> find_settings(square, {"weight": [0.0, 0.5, 1.0]})[0].settings
        {'weight': 0.75}
    """
    if not grid or not all(grid.values()):
        raise SeqlabError(f"grid={dict(grid)!r} must give at least one value for each setting")
    if not all(math.isfinite(value) for values in grid.values() for value in values):
        raise SeqlabError(f"grid={dict(grid)!r} must hold finite values only")
    trials: dict[tuple[float, ...], Trial] = {}

    def attempt(values: tuple[float, ...]) -> Trial:
        values = tuple(round(value, 6) for value in values)
        if values not in trials:
            settings = dict(zip(grid, values, strict=True))
            trials[values] = Trial(settings, *count_errors(settings))
            if tried is not None:
                tried(trials[values])
        return trials[values]

    best = min((attempt(v) for v in itertools.product(*grid.values())), key=lambda t: t.errors)
    least = [(lowest or {}).get(name, -math.inf) for name in grid]
    steps = [_spacing(values) for values in grid.values()]
    for _ in range(halvings + 1):
        best = _descend(attempt, best, steps, least)
        steps = [step / 2 for step in steps]
    return [best, *(trial for trial in trials.values() if trial is not best)]


def _descend(
    attempt: Callable[[tuple[float, ...]], Trial],
    best: Trial,
    steps: Sequence[float],
    least: Sequence[float],
) -> Trial:
    """Go to the best of the neighbours as long as one is better."""
    while True:
        here = tuple(best.settings.values())
        neighbours = [
            attempt((*here[:place], value, *here[place + 1 :]))
            for place, step in enumerate(steps)
            for value in (here[place] - step, here[place] + step)
            if step > 0 and value >= least[place]
        ]
        found = min(neighbours, key=lambda t: t.errors, default=best)
        if found.errors >= best.errors:
            return best
        best = found


def _spacing(values: Sequence[float]) -> float:
    """The mean distance of a grid's values; 0 of a single one."""
    return (max(values) - min(values)) / (len(values) - 1) if len(values) > 1 else 0.0
