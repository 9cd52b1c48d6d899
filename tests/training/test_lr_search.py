"""The search for a learning rate: by hand on curves of a known shape, then on a real model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlab.cli.main import main
from seqlab.errors import RecipeError, TrainingError
from seqlab.recipe import Recipe, build_model, build_tokenizer
from seqlab.training import loop, lr_search
from seqlab.training.lr_search import RateSearch, draw, judge, search_learning_rate

from .corpus import make_corpus, make_recipe


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("texts"), "transcription", train=9, other=3)


def search(recipe: Recipe, **settings: Any) -> RateSearch:
    return search_learning_rate(
        recipe,
        build_tokenizer(recipe),
        lambda tokenizer: build_model(recipe, tokenizer),
        **settings,
    )


def curve(count: int = 200) -> tuple[list[float], np.ndarray]:
    """A loss that falls fastest at 1e-3, is least near 1e-2, and grows from there."""
    rates = np.geomspace(1e-6, 1, count)
    place = np.log10(rates)
    losses = 10 - 6 / (1 + np.exp(-4 * (place + 3))) + 3 * np.maximum(place + 2, 0) ** 2
    return rates.tolist(), losses


def test_a_known_curve() -> None:
    rates, losses = curve()
    found = judge(rates, losses.tolist())
    assert found.suggestion == pytest.approx(1e-3, rel=0.15)
    assert 5e-3 < found.largest < 3e-2


def test_noise_moves_the_suggestion_little() -> None:
    rates, losses = curve()
    noise = np.random.default_rng(0).normal(0, 0.3, len(losses))
    found = judge(rates, (losses + noise).tolist())
    assert 2e-4 < found.suggestion < 5e-3


def test_a_loss_that_only_grows_suggests_nothing() -> None:
    found = judge([0.1, 0.2, 0.4], [1.0, 2.0, 3.0])
    assert found.suggestion is None and found.largest == 0.1


@given(st.lists(st.floats(0, 1e6), min_size=10, max_size=120))
def test_any_losses_are_judged(losses: list[float]) -> None:
    rates = np.geomspace(1e-6, 1, len(losses)).tolist()
    found = judge(rates, losses)
    assert found.largest in rates
    if found.suggestion is not None:
        assert found.suggestion in rates and found.suggestion <= found.largest
    low, high = min(losses), max(losses)
    slack = 1e-9 * max(high, 1)
    assert all(low - slack <= value <= high + slack for value in found.smoothed)


def test_the_search_trains_at_rising_rates(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[float] = []
    step = lr_search.training_step

    def recording(accelerator: Any, module: Any, optimizer: Any, *rest: Any, **more: Any) -> Any:
        used.append(optimizer.param_groups[0]["lr"])
        return step(accelerator, module, optimizer, *rest, **more)

    monkeypatch.setattr(lr_search, "training_step", recording)
    told: list[tuple[int, float, float]] = []
    recipe = make_recipe(texts, "transcription", training__accumulate=2)
    found = search(recipe, steps=24, highest=0.1, stepped=lambda *row: told.append(row))
    assert used == pytest.approx(np.geomspace(1e-6, 0.1, 24)[: len(used)])
    assert [row[0] for row in told] == list(range(1, len(found.losses) + 1))
    assert [row[2] for row in told] == list(found.losses)
    assert found.losses[-1] < found.losses[0] and found.suggestion is not None


def test_the_search_is_repeatable(texts: Path) -> None:
    recipe = make_recipe(texts, "transcription")
    found = search(recipe, steps=20)
    torch.rand(3)
    assert search(recipe, steps=20) == found


def test_a_search_that_diverges_ends_early(texts: Path) -> None:
    recipe = make_recipe(texts, "transcription", optimizer={"name": "sgd"})
    recipe = dataclasses.replace(
        recipe, training=dataclasses.replace(recipe.training, gradient_clip=None)
    )
    found = search(recipe, lowest=1e-3, highest=1e6, steps=60)
    assert found.diverged and len(found.rates) == len(found.losses) < 60


def test_losses_that_are_not_finite_at_once_are_the_datas_fault(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TrainingError("the loss of 1 utterance(s) is not finite")

    monkeypatch.setattr(lr_search, "training_step", broken)
    with pytest.raises(TrainingError, match="not finite"):
        search(make_recipe(texts, "transcription"), steps=20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 19}, "steps=19 must be at least 20; 200 is usual"),
        ({"lowest": 0.0}, "rates 0.0 to 1.0 must be above 0 and rise"),
        ({"lowest": 1.0}, "rates 1.0 to 1.0 must"),
        ({"highest": float("nan")}, "to nan must"),
        ({"highest": float("inf")}, "to inf must"),
    ],
)
def test_settings_out_of_range(texts: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        search(make_recipe(texts, "transcription"), **settings)


def test_the_picture() -> None:
    rates, losses = curve()
    found = judge(rates, losses.tolist())
    axes = draw(found, "a $title").axes[0]
    assert axes.get_xscale() == "log" and len(axes.lines) == 3
    low, high = axes.get_ylim()
    assert low < min(found.smoothed) and high > max(found.smoothed)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def recipe_file(texts: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tones.yaml"
    path.write_text(make_recipe(texts, "transcription").to_yaml())
    return path


def test_the_command_writes_a_picture_and_nothing_else(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["learning-rate", str(recipe_file), "--steps", "20", "--highest", "0.1"]) == 0
    out = capsys.readouterr().out
    assert "suggested optimizer.lr" in out and "learning_rate_tones.png" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["learning_rate_tones.png", "tones.yaml"]
    assert (tmp_path / "learning_rate_tones.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_precision_the_processor_lacks_is_said(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(loop, "_cpu_has_bf16", lambda: False)
    arguments = ["learning-rate", str(recipe_file), "--steps", "20", "--training.precision", "bf16"]
    assert main([*arguments, "-o", str(tmp_path / "rates.png")]) == 0
    assert "no fast bf16; computing in float32" in capsys.readouterr().err


def test_the_command_in_json(recipe_file: Path, tmp_path: Path, capsys: Any) -> None:
    picture = tmp_path / "rates.svg"
    arguments = ["--steps", "20", "-o", str(picture), "--json", "--optimizer.weight_decay", "0"]
    assert main(["learning-rate", str(recipe_file), *arguments]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["rates"]) == len(content["losses"]) <= 20
    assert content["picture"] == str(picture) and "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rates.txt", "must end in one of .png, .svg, .pdf"),
        ("nowhere/rates.png", "does not exist; make it"),
    ],
)
def test_a_picture_that_cannot_be_written_is_known_before(
    recipe_file: Path, tmp_path: Path, name: str, message: str, capsys: Any
) -> None:
    assert main(["learning-rate", str(recipe_file), "-o", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


def test_a_failed_search_writes_nothing(recipe_file: Path, tmp_path: Path, capsys: Any) -> None:
    picture = tmp_path / "rates.png"
    assert main(["learning-rate", str(recipe_file), "-o", str(picture), "--steps", "3"]) == 2
    assert "steps=3 must be at least 20" in capsys.readouterr().err
    assert not picture.exists()
