"""Frozen parts: equal to the last bit after training, batch-norm statistics included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqlab.errors import ModelError, RecipeError
from seqlab.model import SpeechModel
from seqlab.recipe import Recipe
from seqlab.training.freezing import freeze, rest
from seqlab.training.warm_start import WarmStartConfig

from .corpus import make_corpus, make_recipe, run
from .test_ema import StopAt

STACKS = "encoder.layers.3.stacks"


def recipe_of(texts: Path, stacks: int = 2, **changes: Any) -> Recipe:
    encoder = {
        "class_path": "seqlab.encoders.cnn.mdtc.MDTCEncoder",
        "init_args": {"hidden_dim": 8, "stacks": stacks, "stack_size": 1, "dropout": 0.3},
    }
    return make_recipe(texts, "transcription", encoder=encoder, **changes)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("texts"), "transcription")


@pytest.fixture(scope="module")
def first(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "run"
    run(recipe_of(texts, training__epochs=1), folder)
    return folder / "model"


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_what_is_frozen_stays_and_the_rest_learns(texts: Path, first: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(first, source)
    frozen = ["encoder.layers.0", "encoder.layers.1", f"{STACKS}.0"]
    recipe = recipe_of(
        texts,
        seed=8,
        warm_start={"model": str(source), "frozen": frozen},
        training__checkpoint_every_steps=1,
        training__epochs=2,
        training__ema_decay=0.5,
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(recipe, whole)
    with pytest.raises(InterruptedError):
        run(recipe, parts, observer=StopAt(4))
    shutil.rmtree(source)
    run(recipe, parts, resume=True)

    before, after = tensors(first), tensors(whole / "model")
    torch.testing.assert_close(after, tensors(parts / "model"), rtol=0, atol=0)
    resting = {name for name in before if name.startswith(tuple(f"{path}." for path in frozen))}
    assert any(name.endswith("running_mean") for name in resting)
    for name, value in before.items():
        if name in resting:
            assert torch.equal(after[name], value), name
        elif name.startswith("encoder.") and value.is_floating_point():
            assert not torch.equal(after[name], value), name
    facts = json.loads((whole / "run.json").read_text())["warm_start"]
    assert facts["frozen"] == frozen
    weights = sum(p.numel() for n, p in SpeechModel.load(first).named_parameters() if n in resting)
    assert facts["frozen_weights"] == weights > 0


def test_batch_norm_and_dropout_rest_with_their_part_alone() -> None:
    inner = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2))
    network = nn.Sequential(inner, nn.Dropout(), nn.Linear(2, 2)).train()
    rest(network)
    assert all(part.training for part in network.modules())
    inner.requires_grad_(False)
    rest(network)
    assert not any(part.training for part in inner.modules())
    assert network.training and network[1].training and network[2].training


def test_names_that_the_model_does_not_have(first: Path) -> None:
    model = SpeechModel.load(first)
    for name, message in {
        "encoder.lyers.0": "does not have; encoder has layers",
        f"{STACKS}.5": "does not have; encoder.layers.3.stacks has 0, 1$",
        "encodr": "does not have; it has .*encoder",
        f"{STACKS}.0.0.activation.function": "has no weights; leave it out",
    }.items():
        with pytest.raises(RecipeError, match=message):
            freeze(model, ["encoder.layers.0", name])
        assert all(weight.requires_grad for weight in model.parameters())


def test_only_what_was_taken_can_rest(texts: Path, first: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"not within warm_start.parts \(encoder\)"):
        WarmStartConfig("m", frozen=("head",))
    settings = {"model": str(first), "strict": False, "frozen": [f"{STACKS}.2"]}
    with pytest.raises(ModelError, match=rf"lacks {STACKS}.2.* would rest as it was drawn"):
        run(recipe_of(texts, stacks=3, warm_start=settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_left_to_learn(texts: Path, first: Path, tmp_path: Path) -> None:
    parts = ["encoder", "head"]
    settings = {"model": str(first), "parts": parts, "frozen": parts}
    with pytest.raises(RecipeError, match="0 trainable parameters"):
        run(recipe_of(texts, warm_start=settings), tmp_path / "run")


def test_a_checkpoint_from_before_frozen_was_known_can_be_resumed(
    texts: Path, first: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(texts, warm_start={"model": str(first)}, training__epochs=1)
    run(recipe, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    content = torch.load(path, weights_only=True)
    del content["settings"]["warm_start"]["frozen"]
    torch.save(content, path)
    run(recipe, tmp_path / "run", resume=True)
