"""Techniques of training that a recipe switches on, together, and what each refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from seqlab.audio import save_audio
from seqlab.cli.main import main
from seqlab.data.manifest import Utterance, write_manifest
from seqlab.errors import RecipeError, TrainingError
from seqlab.model import SpeechModel
from seqlab.recipe import build_model, build_tokenizer, check_recipe, load_recipe, recipe_from_dict
from seqlab.training import compiling
from seqlab.training.checkpoint import load_safely
from seqlab.training.compiling import compiled_layers, replaced

from .corpus import RATE, make_corpus, make_recipe, run
from .test_ema import StopAt
from .test_loop import Recorder

TRANSFORMER: dict[str, Any] = {
    "encoder__class_path": "seqlab.encoders.transformer.TransformerEncoder",
    "encoder__init_args": {"hidden_dim": 16, "num_layers": 3, "num_heads": 2, "subsampling": 2},
}
INTERMEDIATE = {"layers": [1, 2], "weight": 0.4, "self_condition": True}


def can_compile() -> str:
    """Why nothing can be compiled here; empty if it can."""
    try:
        compiling._try_compiler(torch.device("cpu"))
    except Exception as error:
        return f"nothing can be compiled here: {error}"
    return ""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of 9 + 3 + 3 utterances, a noise and a room."""
    root = make_corpus(tmp_path_factory.mktemp("texts"), "transcription", train=9, other=3)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, RATE).astype(np.float32)
    room = (0.3 * rng.normal(0, 1, 800) * np.exp(-np.arange(800) / 100)).astype(np.float32)
    room[0] = 0.9
    for name, samples in {"noise": noise, "room": room}.items():
        path = root / f"{name}.wav"
        save_audio(path, torch.from_numpy(samples.clip(-1, 1)), RATE)
        one = Utterance(name, str(path), 0.0, len(samples) / RATE, RATE)
        write_manifest([one], root / f"{name}.jsonl.gz")
    return root


def everything(root: Path, **changes: Any) -> Any:
    """A recipe of two steps with every technique that goes with every other."""
    augment = {
        "speeds": [0.9, 1.0, 1.1],
        "noise": "noise.jsonl.gz",
        "noise_probability": 0.7,
        "reverberation": "room.jsonl.gz",
        "reverberation_probability": 0.7,
        "gain_db": [-6, 6],
    }
    settings = {
        "data__batch_size": None,
        "data__batch_duration_s": 1.2,
        "data__augment": augment,
        "intermediate": INTERMEDIATE,
        "training__accumulate": 2,
        "training__precision": "bf16",
        "training__consistency": 0.2,
        "training__max_steps": 2,
        "training__checkpoint_every_steps": 1,
    }
    return make_recipe(root, "transcription", **(TRANSFORMER | settings | changes))


@pytest.mark.parametrize("averaging", ["average_last", "ema_decay"])
def test_everything_together_and_resumed(texts: Path, tmp_path: Path, averaging: str) -> None:
    value = {"average_last": 2, "ema_decay": 0.9}[averaging]
    recipe = everything(texts, **{f"training__{averaging}": value})
    observer = Recorder()
    result = run(recipe, tmp_path / "whole", observer=observer)
    assert result.training.step == 2 and len(observer.steps) == 2
    assert result.training.result == ("averaged" if averaging == "average_last" else "best")
    assert all(np.isfinite(step.loss) and step.gradient_norm > 0 for step in observer.steps)
    with pytest.raises(InterruptedError):
        run(recipe, tmp_path / "parts", observer=StopAt(2))
    run(recipe, tmp_path / "parts", resume=True)
    stored = [load_file(tmp_path / f / "model" / "model.safetensors") for f in ("whole", "parts")]
    torch.testing.assert_close(*stored, rtol=0, atol=0)
    loaded = SpeechModel.load(tmp_path / "whole" / "model")
    assert loaded.intermediate is not None and loaded.intermediate.layers == (1, 2)
    utterance = result.evaluations["test"].records[0]
    assert loaded.transcribe(utterance.path)[0].text == utterance.hypothesis


def test_a_training_with_intermediate_ctc_resumes_exactly(texts: Path, tmp_path: Path) -> None:
    """Dropout, masks and Adam, as a training is: every epoch's figures are the same too."""
    recipe = make_recipe(
        texts,
        "transcription",
        **TRANSFORMER,
        intermediate=INTERMEDIATE,
        training__epochs=2,
        training__checkpoint_every_steps=1,
    )
    whole = run(recipe, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        run(recipe, tmp_path / "parts", observer=StopAt(4))
    parts = run(recipe, tmp_path / "parts", resume=True)
    ours, theirs = (
        load_safely(tmp_path / f / "checkpoints" / "last.pt") for f in ("whole", "parts")
    )
    torch.testing.assert_close(ours["model"], theirs["model"], rtol=0, atol=0)
    for one, other in zip(whole.training.history, parts.training.history, strict=True):
        assert {**one, "elapsed_s": 0} == {**other, "elapsed_s": 0}


# -- the section in a recipe ------------------------------------------------------------------


@pytest.fixture
def path(texts: Path, tmp_path: Path) -> Path:
    found = tmp_path / "recipe.yaml"
    recipe = make_recipe(texts, "transcription", **TRANSFORMER, intermediate=INTERMEDIATE)
    found.write_text(recipe.to_yaml())
    return found


def test_the_section_has_defaults_and_overrides(path: Path) -> None:
    recipe = load_recipe(path, ["--intermediate.layers=[2]", "--intermediate.weight=0.5"])
    assert recipe.intermediate == {"layers": [2], "weight": 0.5, "self_condition": True}
    assert recipe_from_dict(recipe.as_dict()) == recipe
    assert load_recipe(path, ["--intermediate={layers: [1]}"]).intermediate == {
        "layers": [1],
        "weight": 0.3,
        "self_condition": False,
    }
    assert load_recipe(path, ["--intermediate=null"]).intermediate is None


def test_the_section_is_built_and_counted(path: Path) -> None:
    with_it, without = load_recipe(path), load_recipe(path, ["--intermediate=null"])
    added = check_recipe(with_it).parameters - check_recipe(without).parameters
    assert added == 2 * 16 + 32 * 16 + 16  # norm and, of 32 supposed classes, the condition
    plain, whole = (build_model(r, build_tokenizer(r, ["abc"])) for r in (without, with_it))
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())


def test_the_check_tells_of_them(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--warm_start.model=runs/first/model", "--warm_start.parts=[encoder, head]"]
    assert main(["check", str(path), *chosen]) == 0
    out = capsys.readouterr().out
    assert "CTC after layer 1, 2, conditions the next" in out
    assert "encoder, head of runs/first/model" in out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--intermediate.layers=[1, 3]"], r"layers=\[1, 3\] must be from 1 to 2, below the last"),
        (["--intermediate.layers=[]"], "must name at least one layer"),
        (["--intermediate.layers=2"], "intermediate.layers is 2, must be a list of int"),
        (["--intermediate.layer=[2]"], "has no such argument; did you mean 'layers'"),
        (["--intermediate.input_dim=4"], "intermediate.input_dim is filled in"),
        (["--intermediate.weight=1.5"], "weight=1.5 must be above 0 and below 1"),
        (["--encoder=seqlab.encoders.recurrent.RecurrentEncoder"], "RecurrentEncoder has no layer"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        check_recipe(load_recipe(path, overrides))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))


# -- compiling ----------------------------------------------------------------------------------


def test_without_a_compiler_training_goes_on_and_says_so(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise RuntimeError("Failed to find C compiler\n  at many\n  places")

    recipe = make_recipe(texts, "transcription", **TRANSFORMER, training__max_steps=2)
    observer = Recorder()
    monkeypatch.setattr(torch, "compile", missing)
    run(recipe, tmp_path / "plain")
    compiling_recipe = dataclasses.replace(
        recipe, training=dataclasses.replace(recipe.training, compile=True)
    )
    run(compiling_recipe, tmp_path / "asked", observer=observer)
    assert observer.notes == [
        "training.compile: nothing can be compiled on this machine (Failed to find C compiler); "
        "the training goes on without, at its usual speed"
    ]
    stored = [load_file(tmp_path / f / "model" / "model.safetensors") for f in ("plain", "asked")]
    torch.testing.assert_close(*stored, rtol=0, atol=0)


def test_an_encoder_without_layers_is_said() -> None:
    notes: list[str] = []
    assert compiled_layers(nn.Linear(2, 2), torch.device("cpu"), notes.append) == {}
    assert notes == ["training.compile: Linear has no list of layers to compile"]


def test_forwards_are_replaced_for_a_while_only() -> None:
    layer = nn.Linear(2, 2)
    values = torch.ones(1, 2)
    before = layer(values)
    with replaced({layer: lambda x: x * 7}):
        assert torch.equal(layer(values), values * 7)
    assert torch.equal(layer(values), before) and "forward" not in vars(layer)
    with pytest.raises(KeyError), replaced({layer: lambda x: x}):
        raise KeyError
    assert "forward" not in vars(layer)


def test_a_layer_that_cannot_be_compiled_is_one_line() -> None:
    from torch._dynamo.exc import TorchDynamoException

    with (
        pytest.raises(TrainingError, match=r"cannot be compiled \(odd\); set training.compile: f"),
        replaced({nn.Linear(2, 2): lambda x: x}),
    ):
        raise TorchDynamoException("odd\nand long")


@pytest.mark.slow
def test_compiled_training_has_the_same_losses(texts: Path, tmp_path: Path) -> None:
    if reason := can_compile():
        pytest.skip(reason)
    losses = {}
    for compiled in (False, True):
        changes = TRANSFORMER | {"intermediate": INTERMEDIATE, "training__compile": compiled}
        changes["encoder__init_args"] = {**TRANSFORMER["encoder__init_args"], "dropout": 0.0}
        observer = Recorder()
        recipe = make_recipe(texts, "transcription", **changes, training__max_steps=4)
        run(recipe, tmp_path / str(compiled), observer=observer)
        assert observer.notes == []
        losses[compiled] = [step.loss for step in observer.steps]
    assert losses[True] == pytest.approx(losses[False], rel=1e-4)
