from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab import components
from seqlab.checks import did_you_mean
from seqlab.contracts import Encoder, Frontend, Head
from seqlab.encoders.mlp import MLPEncoder
from seqlab.errors import RecipeError
from seqlab.frontend.logmel import LogMel
from seqlab.text.tokenizers import CharacterTokenizer, Tokenizer
from seqlab.values import Described, check_value

MLP = "seqlab.encoders.mlp.MLPEncoder"


def test_build_and_describe_are_inverse() -> None:
    spec = {"class_path": MLP, "init_args": {"hidden_dim": 8, "num_layers": 1}}
    encoder = components.build(spec, Encoder, input_dim=5, sample_rate=8000)
    assert isinstance(encoder, MLPEncoder) and encoder.input_dim == 5
    described = components.describe(encoder, ["input_dim"])
    assert described["class_path"] == MLP
    assert described["init_args"].items() >= spec["init_args"].items()
    assert "input_dim" not in described["init_args"]
    assert "dropout" in described["init_args"]  # defaults too: they may change one day
    again = components.build(described, Encoder, input_dim=5)
    assert components.describe(again, ["input_dim"]) == described


def test_describe_reads_what_was_made_by_hand_copied_or_pickled() -> None:
    made = MLPEncoder(7, hidden_dim=4)
    for encoder in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert components.describe(encoder)["init_args"]["input_dim"] == 7
        assert components.describe(encoder)["init_args"]["hidden_dim"] == 4


def test_described_leaves_the_constructors_own_error() -> None:
    with pytest.raises(TypeError, match="input_dim"):
        MLPEncoder()  # type: ignore[call-arg]


def test_describe_refuses_what_is_not_plain() -> None:
    class Odd(Described):
        def __init__(self, value: object) -> None:
            pass

    with pytest.raises(RecipeError, match="not plain data"):
        components.describe(Odd(object()))
    with pytest.raises(RecipeError, match="does not remember"):
        components.describe(3)


@pytest.mark.parametrize(
    ("class_path", "message"),
    [
        ("subprocess.Popen", "not a seqlab class"),
        ("os.system", "not a seqlab class"),
        ("builtins.eval", "not a seqlab class"),
        ("torch.nn.Linear", "not a seqlab class"),
        ("seqlabx.encoders.mlp.MLPEncoder", "not a seqlab class"),
        ("seqlab.__builtins__.eval", "not a seqlab class"),
        ("seqlab._private.Thing", "not a seqlab class"),
        ("seqlab", "dotted path"),
        ("seqlab..mlp", "dotted path"),
        ("seqlab.encoders.mlp.MLPEncoder()", "dotted path"),
        ("__import__('os').system('true')", "dotted path"),
        ("", "dotted path"),
        (None, "must be text"),
        (["seqlab.encoders.mlp.MLPEncoder"], "must be text"),
        ("seqlab.encoders.mlp.os", "no class"),
        ("seqlab.encoders.mlp.MLPEncodr", "did you mean 'seqlab.encoders.mlp.MLPEncoder'"),
        ("seqlab.encoders.mpl.MLPEncoder", "did you mean 'seqlab.encoders.mlp.MLPEncoder'"),
        ("seqlab.encodrs.mlp.MLPEncoder", "there is no module"),
        ("seqlab.contracts.Encoder", "abstract"),
        ("seqlab.contracts.Path", "no class"),
        ("seqlab.heads.ctc.CTCHead", "not an Encoder"),
        ("seqlab.encoders.mlp.Tensor", "not an Encoder"),
    ],
)
def test_refused_class_paths(class_path: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        components.build({"class_path": class_path}, Encoder, input_dim=3)
    assert "\n" not in str(caught.value)


def plant_module(folder: Path, name: str) -> None:
    (folder / f"{name}.py").write_text(
        "from seqlab.encoders.mlp import MLPEncoder\n\n"
        "with open(__file__ + '.imported', 'w'):\n    pass\n\n"
        "class Own(MLPEncoder):\n    pass\n"
    )


def test_nothing_outside_is_imported_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_module(tmp_path, "outside_module")
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"class_path": "outside_module.Own", "init_args": {"hidden_dim": 4}}
    for allowed in ((), ("outside",), ("outside_module_2",)):
        with pytest.raises(RecipeError, match="not a seqlab class"):
            components.build(spec, Encoder, allow_modules=allowed, input_dim=3)
    assert "outside_module" not in sys.modules
    assert not (tmp_path / "outside_module.py.imported").exists()
    built = components.build(spec, Encoder, allow_modules=("outside_module",), input_dim=3)
    assert type(built).__name__ == "Own"
    del sys.modules["outside_module"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("seqlab.encoders.mlp.MLPEncoder", "must be a mapping"),
        (None, "must be a mapping"),
        ({}, "names no class"),
        ({"class_path": MLP, "hidden_dim": 3}, "unknown key 'hidden_dim'.*go under init_args"),
        ({"class_path": MLP, "init_arg": {}}, "did you mean 'init_args'"),
        ({"class_path": MLP, "init_args": [3]}, "must be a mapping"),
        ({"class_path": MLP, "init_args": {"hiden_dim": 3}}, "did you mean 'hidden_dim'"),
        ({"class_path": MLP, "init_args": {"input_dim": 3}}, "input_dim is filled in"),
        ({"class_path": MLP, "init_args": {"hidden_dim": "8"}}, "'8', must be int"),
        ({"class_path": MLP, "init_args": {"hidden_dim": True}}, "True, must be int"),
        ({"class_path": MLP, "init_args": {"hidden_dim": 8.0}}, "8.0, must be int"),
        ({"class_path": MLP, "init_args": {"dropout": 3}}, r"encoder \(MLPEncoder\): dropout"),
        ({"class_path": MLP, "init_args": {3: 3}}, "no such argument"),
    ],
)
def test_refused_specs(spec: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        components.build(spec, Encoder, where="encoder", input_dim=3)
    assert "\n" not in str(caught.value)


def test_missing_argument_is_named() -> None:
    with pytest.raises(RecipeError, match="MLPEncoder needs 'input_dim'"):
        components.build({"class_path": MLP}, Encoder)


def test_available_finds_concrete_classes_by_walking() -> None:
    found = components.available(Encoder, near="seqlab.encoders.mlp")
    assert MLP in found and all(path.startswith("seqlab.encoders.") for path in found)
    assert "seqlab.heads.ctc.CTCHead" in components.available(Head, near="seqlab.heads")
    assert components.available(Encoder, near="json.decoder") == []
    assert components.available(Encoder, near="seqlab.nothing") == []


def test_other_contracts() -> None:
    logmel = components.build(
        {"class_path": "seqlab.frontend.logmel.LogMel", "init_args": {"n_mels": 20}}, Frontend
    )
    assert isinstance(logmel, LogMel) and logmel.output_dim == 20
    text: Tokenizer = components.build(
        {"class_path": "seqlab.text.tokenizers.CharacterTokenizer", "init_args": None},
        Tokenizer,  # type: ignore[type-abstract]
    )
    assert isinstance(text, CharacterTokenizer)


@pytest.mark.parametrize(
    ("value", "expected", "result"),
    [
        (3, float, 3),
        (None, int | None, None),
        ([1, 2], list[int], [1, 2]),
        ([1, 2], tuple[int, int], (1, 2)),
        ([], tuple[float, ...], ()),
        ("no", Literal["no", "bf16"], "no"),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ([[1, 2]], list[tuple[int, int]], [(1, 2)]),
        (5, Any, 5),
    ],
)
def test_values_that_fit(value: Any, expected: Any, result: Any) -> None:
    assert check_value(value, expected, "key") == result


@pytest.mark.parametrize(
    ("value", "expected", "message"),
    [
        ("3", float, "key is '3', must be float"),
        (1.5, int, "key is 1.5, must be int"),
        (False, float, "must be float"),
        (1, bool, "must be bool"),
        (None, str, "must be str"),
        ("x", int | None, "must be int or null"),
        ([1, "x"], list[int], "must be a list of int"),
        ([1], tuple[float, float], "must be a list of float, float"),
        ("ab", list[str], "must be a list of str"),
        (False, Literal["no", "bf16"], "must be one of 'no', 'bf16'"),
        ([], dict[str, int], "must be"),
    ],
)
def test_values_that_do_not_fit(value: Any, expected: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_value(value, expected, "key")


def test_did_you_mean_lists_what_there_is() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", []) == ""


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(plain_data)
def test_plain_data_stays_as_it_is(value: Any) -> None:
    assert components.plain(value) == value


@given(plain_data, plain_data)
def test_hostile_specs_give_recipe_errors_only(class_path: Any, arguments: Any) -> None:
    with pytest.raises(RecipeError):
        components.build({"class_path": class_path, "init_args": arguments}, Encoder)
    if not isinstance(arguments, dict) or arguments:
        with pytest.raises(RecipeError):
            components.build({"class_path": MLP, "init_args": arguments or {"": 0}}, Encoder)


def test_memory_errors_are_recipe_errors() -> None:
    spec = {"class_path": MLP, "init_args": {"hidden_dim": 10**12}}
    with pytest.raises(RecipeError, match="cannot be built"):
        components.build(spec, Encoder, input_dim=3)
