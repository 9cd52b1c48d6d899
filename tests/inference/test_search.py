"""The search for decoder settings, on error surfaces whose best point is known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seqlab.errors import SeqlabError
from seqlab.inference.search import Trial, find_settings


def bowl(at: Mapping[str, float]) -> tuple[int, int]:
    """Least at weight 1.25, bonus -0.5."""
    distance = (at["weight"] - 1.25) ** 2 + (at["bonus"] + 0.5) ** 2
    return int(10 * distance), int(1e6 * distance)


GRID = {"weight": [0.0, 1.0, 2.0], "bonus": [0.0, 2.0, 4.0]}


def test_goes_beyond_the_grid_and_between_its_points() -> None:
    best = find_settings(bowl, GRID)[0]
    assert best.settings == {"weight": 1.25, "bonus": -0.5}
    assert best.errors == (0, 0)


def test_lowest() -> None:
    best = find_settings(bowl, GRID, lowest={"bonus": 0.0})[0]
    assert best.settings == {"weight": 1.25, "bonus": 0.0}


def test_a_plateau_stays_at_the_mildest() -> None:
    best = find_settings(lambda at: (3, 7), GRID)[0]
    assert best.settings == {"weight": 0.0, "bonus": 0.0}


def test_characters_tell_equal_words_apart() -> None:
    best = find_settings(lambda at: (5, int(at["weight"] != 2)), {"weight": [0.0, 1.0, 2.0]})[0]
    assert best.settings == {"weight": 2.0}


def test_nothing_is_tried_twice_and_every_trial_is_told() -> None:
    told: list[Trial] = []
    trials = find_settings(bowl, GRID, tried=told.append)
    assert {id(t) for t in told} == {id(t) for t in trials}
    assert len({tuple(t.settings.values()) for t in told}) == len(told)
    assert min(told, key=lambda t: t.errors) is trials[0]


def test_single_values_stay() -> None:
    trials = find_settings(bowl, {"weight": [0.5], "bonus": [0.0, 1.0]})
    assert {t.settings["weight"] for t in trials} == {0.5}


@pytest.mark.parametrize("grid", [{}, {"weight": []}, {"weight": [0.0, float("nan")]}])
def test_bad_grids(grid: dict[str, list[float]]) -> None:
    with pytest.raises(SeqlabError, match="grid="):
        find_settings(bowl, grid)
