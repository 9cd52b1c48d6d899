from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.errors import RecipeError, SeqlabError
from seqlab.frontend.normalize import GlobalCMVN
from seqlab.model import SpeechModel
from seqlab.recipe import (
    Recipe,
    build_model,
    build_tokenizer,
    check_recipe,
    load_recipe,
    recipe_from_dict,
)
from seqlab.recipe_file import dump_yaml, merge_overrides, parse_yaml

TEXT = """
title: A test
data: {root: nowhere, batch_size: 4}
text: {class_path: seqlab.text.tokenizers.CharacterTokenizer}
frontend:
  class_path: seqlab.frontend.logmel.LogMel
  init_args: {n_mels: 12, sample_rate: 8000}
normalize: {class_path: seqlab.frontend.normalize.UtteranceCMVN}
spec_augment: {num_time_masks: 1}
encoder:
  class_path: seqlab.encoders.separable.SeparableConvEncoder
  init_args: {widths: 8, kernel_sizes: [3, 3], repeats: 1, output_dim: 6}
head: {class_path: seqlab.heads.ctc.CTCHead}
optimizer: {lr: 1e-3}
training: {precision: no, epochs: 2}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT)
    return path


def refuse(path: Path, message: str, *overrides: str) -> None:
    """Loading or checking fails with one line that begins with the file."""
    with pytest.raises(RecipeError, match=message) as caught:
        check_recipe(load_recipe(path, overrides))
    text = str(caught.value)
    assert "\n" not in text and text.startswith(str(path)), text


def replaced(path: Path, old: str, new: str) -> Path:
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    return path


# -- what a recipe becomes ----------------------------------------------------------------------


def test_defaults_are_written_out(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.seed == 0 and recipe.synthetic is False and recipe.schedule.name == "constant"
    assert recipe.optimizer.lr == 0.001 and recipe.training.precision == "no"
    assert recipe.encoder["init_args"]["dropout"] == 0.1
    assert recipe.encoder["init_args"]["strides"] == [2, 2]
    assert recipe.spec_augment is not None and recipe.spec_augment["num_time_masks"] == 1
    assert "input_dim" not in recipe.encoder["init_args"]
    assert "num_classes" not in recipe.head["init_args"]


def test_a_resolved_recipe_reads_back_equal(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path, ["--data.augment.gain_db=[-3, 3]", "--data.train=[007, no, '1e5']"])
    assert recipe.data.train == ["007", "no", "1e5"]
    again = tmp_path / "resolved.yaml"
    again.write_text(recipe.to_yaml())
    assert load_recipe(again) == recipe
    assert load_recipe(again).to_yaml() == recipe.to_yaml()
    assert recipe_from_dict(recipe.as_dict()) == recipe
    assert yaml.safe_load(recipe.to_yaml()) == recipe.as_dict()  # any other reader agrees


def test_model_of_a_recipe(path: Path) -> None:
    recipe = load_recipe(path)
    tokenizer = build_tokenizer(recipe, ["yes", "no"])
    state = torch.random.get_rng_state()
    model = build_model(recipe, tokenizer)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.task == "transcription" and model.frame_s == pytest.approx(0.04)
    assert model.encoder.input_dim == 12 and model.head.num_classes == len(tokenizer) == 6
    assert model.normalizer is not None and model.spec_augment is not None
    assert model.facts["synthetic"] is False and model.facts["recipe"] == recipe.as_dict()


def test_equal_seeds_give_equal_weights(path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        recipe = load_recipe(path, [f"--seed={seed}"])
        model = build_model(recipe, build_tokenizer(recipe, ["yes"]))
        return torch.cat([p.flatten() for p in model.parameters()])

    first = weights(1)
    torch.manual_seed(99)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


def test_a_model_of_a_recipe_survives_saving(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    model = build_model(recipe, build_tokenizer(recipe, ["yes", "no"]))
    model.save(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model")
    assert recipe_from_dict(loaded.facts["recipe"]) == recipe


def test_summary(path: Path) -> None:
    summary = check_recipe(load_recipe(path))
    assert (summary.task, summary.sample_rate, summary.num_classes) == ("transcription", 8000, None)
    assert summary.frame_s == pytest.approx(0.04) and summary.parameters > 100
    label = (
        "--text={class_path: seqlab.text.tokenizers.LabelTokenizer, init_args: {labels: [a, b]}}"
    )
    head = "--head=seqlab.heads.classifier.ClassifierHead"
    summary = check_recipe(load_recipe(path, [label, head]))
    assert (summary.task, summary.num_classes) == ("classification", 2)


def test_wiring_of_a_normalizer(path: Path) -> None:
    recipe = load_recipe(path, ["--normalize=seqlab.frontend.normalize.GlobalCMVN"])
    model = build_model(recipe, build_tokenizer(recipe, ["a"]))
    assert isinstance(model.normalizer, GlobalCMVN) and model.normalizer.mean.shape == (12,)
    refuse(
        path,
        "normalize.init_args.input_dim is filled in",
        "--normalize=seqlab.frontend.normalize.GlobalCMVN",
        "--normalize.init_args.input_dim=12",
    )


# -- overrides ----------------------------------------------------------------------------------


def test_overrides(path: Path) -> None:
    recipe = load_recipe(
        path,
        [
            "--encoder.init_args.kernel_sizes=[3]",
            "--encoder.init_args.output_dim",
            "10",
            "--data.root=2024",  # text, because a root is text
            "--optimizer.lr",
            "-0",
            "--optimizer.lr=1e-2",  # the last one counts
            "--data.augment.speeds=[0.9, 1.1]",
            "--training.max_steps=null",
            "--normalize=null",
            "--spec_augment.fill=zero",
            "--title=a: b = c",
        ],
    )
    assert recipe.encoder["init_args"]["kernel_sizes"] == [3]
    assert recipe.encoder["init_args"]["output_dim"] == 10
    assert recipe.data.root == "2024" and recipe.optimizer.lr == 0.01
    assert recipe.data.augment.speeds == [0.9, 1.1] and recipe.training.max_steps is None
    assert recipe.normalize is None and recipe.title == "a: b = c"
    assert recipe.spec_augment is not None
    assert (recipe.spec_augment["fill"], recipe.spec_augment["num_time_masks"]) == ("zero", 1)


def test_a_new_class_drops_the_arguments_of_the_old(path: Path) -> None:
    name = "seqlab.encoders.recurrent.RecurrentEncoder"
    for override in (f"--encoder={name}", f"--encoder.class_path={name}"):
        recipe = load_recipe(path, [override, "--encoder.init_args.hidden_dim=7"])
        model = build_model(recipe, build_tokenizer(recipe, ["a"]))
        assert isinstance(model.encoder, RecurrentEncoder) and model.encoder.output_dim == 7
    same = "seqlab.encoders.separable.SeparableConvEncoder"
    recipe = load_recipe(path, [f"--encoder.class_path={same}"])
    assert recipe.encoder["init_args"]["output_dim"] == 6


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--seed"], "override --seed has no value"),
        (["seed=1"], "must be --section.key=value"),
        (["--=1"], "must be --section.key=value"),
        (["--data..root=1"], "must be --section.key=value"),
        (["--encodr.init_args.dropout=0"], "unknown key 'encodr'; did you mean 'encoder'"),
        (["--encoder.dropout=0"], "encoder: unknown key 'dropout'.*under init_args"),
        (["--encoder.init_args.dropot=0"], "encoder.init_args.dropot.*did you mean 'dropout'"),
        (["--data.batchsize=3"], "data.batchsize.*did you mean 'batch_size'"),
        (["--data.augment.speed=3"], "data.augment.speed.*did you mean 'speeds'"),
        (["--title.x=3"], "title has no keys"),
        (["--seed=x"], "seed is 'x', must be int"),
        (["--seed=-1"], "seed is -1, must be from 0"),
        (["--seed=1.5"], "seed is 1.5, must be int"),
        (["--synthetic=no"], "synthetic is 'no', must be bool"),
        (["--optimizer.lr=fast"], "optimizer.lr is 'fast', must be float"),
        (["--optimizer.lr=[1"], r"optimizer.lr is '\[1', must be float"),
        (["--optimizer.lr=-1"], "optimizer.lr=-1"),
        (["--optimizer=adam"], "optimizer is 'adam', must be a mapping"),
        (["--optimizer.name=adm"], "optimizer.name is 'adm', must be one of 'sgd', 'adagrad'"),
        (["--optimizer.betas=[1]"], "optimizer.betas .* must be a list of float, float"),
        (["--data.batch_size=null"], "data: .*exactly one"),
        (["--data.augment.speeds=[9]"], "data.augment: speeds: 9"),
        (["--training.epochs=0"], "training.epochs=0 must be at least 1"),
        (["--encoder=null"], "section 'encoder' is missing"),
        (["--encoder=3"], "encoder is 3, must be a mapping"),
        (["--encoder.class_path=subprocess.Popen"], "'subprocess.Popen' is not a seqlab class"),
        (["--encoder={class_path: os.system}"], "'os.system' is not a seqlab class"),
        (["--head=seqlab.encoders.mlp.MLPEncoder"], "is not a Head"),
        (["--head.init_args.num_classes=3"], "head.init_args.num_classes is filled in"),
        (["--encoder.init_args.input_dim=3"], "encoder.init_args.input_dim is filled in"),
        (["--encoder.init_args.dropout=3"], r"encoder \(SeparableConvEncoder\): dropout=3"),
        (["--encoder.init_args.widths=[a]"], "widths is .*must be int or a list of int"),
        (["--frontend.init_args.n_mels=9999"], r"frontend \(LogMel\): n_mels=9999"),
        (["--spec_augment.num=1"], "spec_augment.num: SpecAugment has no such argument"),
        (["--spec_augment=3"], "spec_augment.init_args is 3|spec_augment is 3"),
        (["--head=seqlab.heads.classifier.ClassifierHead"], "ClassifierHead needs a tokenizer of"),
        (["--head.init_args.blank=2"], "head.blank=2 must be the tokenizer's blank 0"),
    ],
)
def test_refused_overrides(path: Path, overrides: list[str], message: str) -> None:
    refuse(path, message, *overrides)


# -- hostile files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: A test", "", "section 'title' is missing"),
        ("title: A test", "title: 3", "title is 3, must be str"),
        ("title: A test", "titel: x", "unknown key 'titel'; did you mean 'title'"),
        ("title: A test", "allow_modules: [os]", "unknown key 'allow_modules'"),
        ("title: A test", "source: x", "unknown key 'source'"),
        ("title: A test", "title: x\ntitle: y", "line 3: key 'title' is written twice"),
        ("lr: 1e-3", "lr: 1e-3, lr: 1", "key 'lr' is written twice"),
        ("lr: 1e-3", "lr: 1e999", "not a finite number"),
        ("lr: 1e-3", "lr: .nan", "'.nan', must be float"),
        ("lr: 1e-3", "lr: 1e-3}}", "line 14"),
        ("lr: 1e-3", "lr: &x 1e-3, eps: *x", "aliases"),
        ("lr: 1e-3", "3: 1e-3", "a key must be a plain word"),
        ("lr: 1e-3", "[a]: 1e-3", "a key must be a plain word"),
        ("lr: 1e-3", "lr: !!python/object/apply:os.system [true]", "could not determine"),
        ("{lr: 1e-3}", "!!python/name:os.system x", "could not determine"),
        ("lr: 1e-3", "lr: " + "9" * 5000, "integer string|digits"),
        ("{lr: 1e-3}", "[" * 50_000, "not YAML"),
        ("{lr: 1e-3}", "{<<: {lr: 1}}", "optimizer.<<"),
        ("{lr: 1e-3}", "[1]", "must be a mapping"),
        ("{lr: 1e-3}", "[" + "1, " * 5000 + "]", r"optimizer is \[1, 1, .{,99}, must be a map"),
        ("precision: no", "precision: half", "must be one of 'no', 'bf16', 'fp16'"),
        ("seqlab.heads.ctc.CTCHead", "posix.system", "'posix.system' is not a seqlab class"),
        ("class_path: seqlab.heads.ctc.CTCHead", "init_args: {}", "head names no class"),
        ("{class_path: seqlab.heads.ctc.CTCHead}", "CTCHead", "head is 'CTCHead', must be a map"),
        ("seqlab.heads.ctc.CTCHead", "seqlab.heads.ctc.CTC", "did you mean .*CTCHead"),
        ("seqlab.heads.ctc.CTCHead", "seqlab.cli.main.sys", "no class 'sys' there"),
    ],
)
def test_hostile_files(path: Path, old: str, new: str, message: str) -> None:
    refuse(replaced(path, old, new), message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds NoneType, must be a mapping"),
        (b"- a\n- b\n", "holds list"),
        (b"just text", "holds str"),
        (b"\x80\x04\x95pickle", "is not UTF-8"),
        (b"\xff\xfe\x00\x00", "is not UTF-8"),
        (b"a: \x00", "not YAML"),
        (b"a: [" + b"1," * 600_000 + b"]", "larger than"),
        (b"a: b: c", "line 1"),
        (b"\ta: 3", "line 1"),
        (b"--- {a: 1}\n--- {b: 2}", "but found another document|single document"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    refuse(path, message)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    refuse(tmp_path / "missing.yaml", "does not exist")
    refuse(tmp_path, "is a directory")


def test_modules_outside_only_where_allowed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_heads.py").write_text(
        "from seqlab.heads.ctc import CTCHead\n\nclass Own(CTCHead):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    replaced(path, "seqlab.heads.ctc.CTCHead", "own_heads.Own")
    refuse(path, "'own_heads.Own' is not a seqlab class")
    assert "own_heads" not in sys.modules
    recipe = load_recipe(path, allow_modules=["own_heads"])
    model = build_model(recipe, build_tokenizer(recipe, ["a"]))
    assert type(model.head).__name__ == "Own"
    assert "allow_modules" not in recipe.as_dict()
    del sys.modules["own_heads"]


# -- YAML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("", None),
        ("e5", "e5"),
        ("'3'", "3"),
    ],
)
def test_words_of_yaml(text: str, value: Any) -> None:
    parsed = parse_yaml(text)
    assert parsed == value and type(parsed) is type(value)


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | printable
    | st.sampled_from(["no", "yes", "1e5", "007", "null", "~", "1_0", "0x1", "=", "<<", ".5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4),
    max_leaves=8,
)


@given(plain_data)
def test_dump_and_parse_are_inverse(value: Any) -> None:
    assert parse_yaml(dump_yaml(value)) == value


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_gives_data_or_a_recipe_error(text: str) -> None:
    try:
        parse_yaml(text)
    except RecipeError as error:
        assert "\n" not in str(error)


keys = st.sampled_from(["title", "data", "encoder", "head", "class_path", "init_args", "root", "x"])


@given(st.dictionaries(keys, plain_data, max_size=5), st.lists(printable, max_size=3))
def test_any_mapping_gives_a_recipe_or_an_error(raw: dict[str, Any], overrides: list[str]) -> None:
    base = parse_yaml(TEXT)
    try:
        merged = merge_overrides({**base, **raw}, overrides, ("encoder", "head"))
        assert isinstance(recipe_from_dict(merged), Recipe)
    except SeqlabError as error:
        assert "\n" not in str(error)


def test_merging_leaves_its_input_alone() -> None:
    raw = {"data": {"root": "a"}}
    merge_overrides(raw, ["--data.root=b", "--data.x.y=1"], ())
    assert raw == {"data": {"root": "a"}}


def test_source_does_not_count(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(TEXT)
    assert load_recipe(path) == load_recipe(other)
    assert dataclasses.replace(load_recipe(path), seed=3) != load_recipe(path)
