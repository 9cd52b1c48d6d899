"""Warm starts: what is taken is equal to the last bit, the rest stays fresh, both are said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqlab.encoders.mlp import MLPEncoder
from seqlab.errors import ModelError, RecipeError
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import GlobalCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.heads.intermediate import IntermediateCTC
from seqlab.model import SpeechModel
from seqlab.recipe import load_recipe, recipe_from_dict
from seqlab.text.tokenizers import CharacterTokenizer
from seqlab.training.warm_start import WarmStart, WarmStartConfig, warm_start

from .corpus import make_corpus, make_recipe, run
from .test_ema import StopAt


def model(texts: str, seed: int, layers: int = 3, bins: int = 10, **logmel: Any) -> SpeechModel:
    """A recogniser of the letters of ``texts``; every tensor depends on the seed."""
    torch.manual_seed(seed)
    encoder = MLPEncoder(bins, hidden_dim=8, num_layers=layers)
    tokenizer = CharacterTokenizer().fit([texts])
    sizes = 8, len(tokenizer)
    normalizer = GlobalCMVN(bins)
    normalizer.mean.copy_(torch.randn(bins))
    return SpeechModel(
        LogMel(sample_rate=8000, n_mels=bins, **logmel),
        encoder,
        CTCHead(*sizes),
        tokenizer,
        normalizer,
        intermediate=IntermediateCTC(*sizes, layers=(1,), self_condition=True),
        facts={"title": "the first"},
    ).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model("no yes", seed=1).save(tmp_path / "first")
    return tmp_path / "first"


def take(whole: SpeechModel, folder: Path, *parts: str, strict: bool = True) -> WarmStart:
    return warm_start(whole, WarmStartConfig(str(folder), parts or ("encoder",), strict))


def test_the_encoder_is_taken_and_nothing_else(folder: Path) -> None:
    old, new, fresh = model("no yes", 1), model("other words", 2), model("other words", 2)
    taken = take(new, folder)
    expected = fresh.state_dict() | {
        name: value for name, value in old.state_dict().items() if name.startswith("encoder.")
    }
    torch.testing.assert_close(new.state_dict(), expected, rtol=0, atol=0)
    assert taken.taken == {"encoder": len(old.encoder.state_dict())}
    assert taken.title == "the first" and taken.fresh == taken.unused == ()
    assert taken.shared_tokens is None
    assert taken.notes() == [
        f"warm start from {folder}: took encoder (6 tensors); everything else starts afresh"
    ]


def test_weights_follow_their_tokens(folder: Path) -> None:
    """Tokens by hand: of "yes new" the letters e, n, s, y and the space are in "no yes"."""
    old, new, fresh = model("no yes", 1), model("yes new", 2), model("yes new", 2)
    taken = take(new, folder, "head", "intermediate")
    before, after = list(old.tokenizer.tokens), list(new.tokenizer.tokens)
    assert (len(before), len(after)) == (7, 7) and before != after
    for index, token in enumerate(after):
        source, row = (old, before.index(token)) if token in before else (fresh, index)
        assert torch.equal(new.head.linear.weight[index], source.head.linear.weight[row])
        assert torch.equal(new.head.linear.bias[index], source.head.linear.bias[row])
        columns = (m.intermediate.condition.weight for m in (new, source))
        assert torch.equal(next(columns)[:, index], next(columns)[:, row])
    assert torch.equal(new.intermediate.norm.weight, old.intermediate.norm.weight)
    assert torch.equal(new.intermediate.condition.bias, old.intermediate.condition.bias)
    assert (taken.shared_tokens, taken.tokens) == (6, 7)
    assert "6 of 7 tokens are in both vocabularies" in taken.notes()[1]


@pytest.mark.parametrize("texts", ["on", "no yes and a good many other letters: qzxj"])
def test_smaller_and_larger_vocabularies(folder: Path, texts: str) -> None:
    old, new = model("no yes", 1), model(texts, 2)
    take(new, folder, "head")
    for index, token in enumerate(new.tokenizer.tokens):
        if token in old.tokenizer.tokens:
            row = list(old.tokenizer.tokens).index(token)
            assert torch.equal(new.head.linear.weight[index], old.head.linear.weight[row])


def test_a_deeper_encoder_takes_what_fits(folder: Path) -> None:
    new, old = model("no yes", 2, layers=4), model("no yes", 1)
    with pytest.raises(
        ModelError, match=r"that model lacks encoder\.layers\.2.*, or set warm_start"
    ):
        take(new, folder)
    taken = take(new, folder, strict=False)
    assert taken.taken == {"encoder": 6} and all("layers.2" in name for name in taken.fresh)
    assert "not found there: encoder.layers.2" in taken.notes()[1]
    state = new.state_dict()
    assert all(torch.equal(state[f"encoder.{k}"], v) for k, v in old.encoder.state_dict().items())


def test_a_shallower_encoder_leaves_some(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"this one lacks encoder\.layers\.1"):
        take(model("a", 2, layers=2), folder)
    taken = take(model("a", 2, layers=2), folder, strict=False)
    assert all("layers.1" in name for name in taken.unused) and taken.unused
    assert "not used here: encoder.layers.1" in taken.notes()[1]


def test_other_shapes_are_refused_and_change_nothing(folder: Path) -> None:
    new, fresh = model("no yes", 2, bins=12), model("no yes", 2, bins=12)
    with pytest.raises(
        ModelError, match=r"encoder\.window.*weight is \(8, 10.*\) there and \(8, 12.*\) here"
    ):
        take(new, folder, "head", "encoder")
    torch.testing.assert_close(new.state_dict(), fresh.state_dict(), rtol=0, atol=0)


def test_another_front_end_is_said(folder: Path) -> None:
    taken = take(model("no yes", 2, remove_dc=False), folder)
    assert taken.frontend_differs == ("frontend.remove_dc",)
    assert "features, which differ in frontend.remove_dc" in taken.notes()[-1]


def test_parts_without_weights(folder: Path, tmp_path: Path) -> None:
    new = model("no yes", 2)
    new.normalizer = None
    with pytest.raises(ModelError, match="this recipe's model has no normalizer with weights"):
        take(new, folder, "normalizer")
    old = model("no yes", 1)
    old.intermediate = None
    old.save(tmp_path / "plain")
    with pytest.raises(ModelError, match="that model has no intermediate with weights; leave"):
        take(model("no yes", 2), tmp_path / "plain", "intermediate")


def test_nothing_fits(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.replace("encoder.", "encoder.old_"): v for name, v in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    with pytest.raises(ModelError, match="none of the 6 tensors of the encoder fits"):
        take(model("no yes", 2), folder, strict=False)


def test_damaged_and_hostile_models(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere does not exist; name a model folder"):
        take(model("no yes", 2), tmp_path / "nowhere")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.window.bias"] = torch.full((8,), torch.nan)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"encoder\.window\.bias holds values that are not finite"):
        take(model("no yes", 2), folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["components"]["tokenizer"]["class_path"] = "subprocess.Popen"
    config["components"]["encoder"]["class_path"] = "os.system"  # never looked at
    path.write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=r"'subprocess\.Popen' is not a seqlab class"):
        take(model("no yes", 2), folder, "head")


# -- within a run ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("texts"), "transcription", train=9, other=3)


@pytest.fixture(scope="module")
def first(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    run(make_recipe(texts, "transcription", training__epochs=1), folder)
    return folder / "model"


def test_a_run_begins_warm_and_resumes_without_the_first_model(
    texts: Path, first: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(first, source)
    recipe = make_recipe(
        texts,
        "transcription",
        seed=8,
        warm_start={"model": str(source), "parts": ["encoder", "head", "normalizer"]},
        training__checkpoint_every_steps=1,
        training__epochs=2,
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(recipe, whole)
    with pytest.raises(InterruptedError):
        run(recipe, parts, observer=StopAt(4))
    shutil.rmtree(source)
    run(recipe, parts, resume=True)
    ours, theirs = (load_file(f / "model" / "model.safetensors") for f in (whole, parts))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    before = load_file(first / "model.safetensors")
    assert torch.equal(ours["normalizer.mean"], before["normalizer.mean"])
    facts = [json.loads((f / "run.json").read_text())["warm_start"] for f in (whole, parts)]
    assert facts[0] == facts[1] and facts[0]["model"] == str(source)
    assert facts[0]["title"] == "tones" and facts[0]["taken"]["normalizer"] > 0
    assert SpeechModel.load(parts / "model").facts["warm_start"] == facts[0]


def test_a_run_without_one_says_so(first: Path) -> None:
    assert json.loads((first.parent / "run.json").read_text())["warm_start"] is None


def test_a_warm_start_that_fails_leaves_no_folder(texts: Path, tmp_path: Path) -> None:
    recipe = make_recipe(texts, "transcription", warm_start={"model": str(tmp_path / "nothing")})
    with pytest.raises(ModelError, match="nothing does not exist"):
        run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -- in a recipe ----------------------------------------------------------------------------------


def test_the_section_is_checked_and_can_be_overridden(texts: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(make_recipe(texts, "transcription").to_yaml())
    assert load_recipe(path).warm_start is None
    chosen = ["--warm_start.model=a/model", "--warm_start.parts=[encoder, head]"]
    recipe = load_recipe(path, chosen)
    assert recipe.warm_start == WarmStartConfig("a/model", ("encoder", "head"))
    assert recipe_from_dict(recipe.as_dict()) == recipe
    for override, message in {
        "--warm_start.parts=[enkoder]": "names 'enkoder'; did you mean 'encoder'",
        "--warm_start.parts=[]": "must name at least one of normalizer, encoder",
        "--warm_start.strict=perhaps": "warm_start.strict is 'perhaps', must be bool",
        "--warm_start.part=[encoder]": "has no such argument; did you mean 'parts'",
    }.items():
        with pytest.raises(RecipeError, match=message.replace("[", r"\[")):
            load_recipe(path, ["--warm_start.model=m", override])
    with pytest.raises(RecipeError, match="needs 'model'; add it"):
        load_recipe(path, ["--warm_start.strict=true"])
