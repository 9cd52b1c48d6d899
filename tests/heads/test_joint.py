"""Joint heads: the weighted sum, nested specs in recipes and model folders, refusals."""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqlab import components
from seqlab.contracts import Head
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import ModelError, RecipeError, SeqlabError
from seqlab.frontend.logmel import LogMel
from seqlab.heads.joint import JointHead
from seqlab.model import SpeechModel
from seqlab.recipe import build_model, build_tokenizer, check_recipe, load_recipe
from seqlab.text.tokenizers import CharacterTokenizer

CTC = "seqlab.heads.ctc.CTCHead"
ATTENTION = "seqlab.heads.attention_decoder.TransformerDecoderHead"
TRANSDUCER = "seqlab.heads.transducer.TransducerHead"


def specs(**attention: Any) -> dict[str, Any]:
    small = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    return {
        "attention": {"class_path": ATTENTION, "init_args": small | attention},
        "ctc": {"class_path": CTC},
    }


def model() -> SpeechModel:
    torch.manual_seed(0)
    encoder = SeparableConvEncoder(10, widths=8, kernel_sizes=[3], repeats=1, output_dim=6)
    tokenizer = CharacterTokenizer().fit(["no yes"])
    head = JointHead(6, len(tokenizer), specs(), {"ctc": 0.3, "attention": 0.7})
    return SpeechModel(LogMel(sample_rate=8000, n_mels=10), encoder, head, tokenizer).eval()


def batch() -> tuple[torch.Tensor, ...]:
    targets = torch.tensor([[1, 2, 3], [4, 1, 0]])
    return torch.randn(2, 9, 6), torch.tensor([9, 5]), targets, torch.tensor([3, 2])


def test_loss_is_the_weighted_sum() -> None:
    head = JointHead(6, 5, specs(), {"ctc": 0.2, "attention": 3.0}).eval()
    inputs = batch()
    parts = head.losses(*inputs)
    assert list(parts) == ["attention", "ctc"]
    for name, loss in parts.items():
        torch.testing.assert_close(loss, head.heads[name].loss(*inputs))
    torch.testing.assert_close(head.loss(*inputs), 0.2 * parts["ctc"] + 3 * parts["attention"])
    assert torch.equal(head(*inputs[:2]), head.heads["ctc"](*inputs[:2]))
    assert head.output == "frames" and head.blank == 0 and not head.length_normalized


def test_weights_by_default() -> None:
    assert JointHead(6, 5, specs()).weights == {"attention": 0.5, "ctc": 0.5}
    assert JointHead(6, 5).weights == {"ctc": 0.3, "attention": 0.7}


def test_text_too_long_for_ctc_is_infinite_and_harmless() -> None:
    head = JointHead(6, 5, specs())
    losses = head.loss(
        torch.randn(1, 2, 6), torch.tensor([2]), torch.tensor([[1, 1, 2]]), torch.tensor([3])
    )
    assert losses.tolist() == [math.inf]
    losses.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_described_with_all_defaults() -> None:
    head = JointHead(6, 5, specs())
    spec = components.describe(head, ["input_dim", "num_classes"])
    inner = spec["init_args"]["heads"]["attention"]["init_args"]
    assert inner["hidden_dim"] == 8 and inner["label_smoothing"] == 0.1
    assert "input_dim" not in inner
    again = components.build(json.loads(json.dumps(spec)), Head, input_dim=6, num_classes=5)
    again.load_state_dict(head.state_dict())
    inputs = batch()
    assert torch.equal(head.eval().loss(*inputs), again.eval().loss(*inputs))
    assert copy.deepcopy(head).heads["ctc"] is not head.heads["ctc"]


@pytest.mark.parametrize(
    ("heads", "weights", "message"),
    [
        ({"ctc": {"class_path": "subprocess.Popen"}}, None, "heads.ctc: .*Popen' is not a seqlab"),
        ({"ctc": {"class_path": "seqlab.model.SpeechModel"}}, None, "heads.ctc: .* not a Head"),
        ({"ctc": 3}, None, "heads.ctc is 3, must be a mapping"),
        ({"ctc": {"class": CTC}}, None, "heads.ctc: unknown key 'class'; did you mean"),
        ({"ctc": {"class_path": CTC, "init_args": {"dropuot": 0}}}, None, "mean 'dropout'"),
        ({"ctc": {"class_path": CTC, "init_args": {"input_dim": 9}}}, None, "filled in"),
        ({"ctc": {"class_path": CTC, "init_args": {"dropout": 2.0}}}, None, "dropout=2.0"),
        ({"a": {"class_path": ATTENTION}}, None, r"\['a'\] hold none that answers every frame"),
        ({}, None, "hold none that answers every frame"),
        (
            {"a": {"class_path": "seqlab.heads.classifier.ClassifierHead"}},
            None,
            "heads.a gives labels",
        ),
        ({"a": {"class_path": "seqlab.heads.joint.JointHead"}}, None, "a is itself joint"),
        ({"a b": {"class_path": CTC}}, None, "name 'a b' must be a plain word"),
        ({"keys": {"class_path": CTC}}, None, "name 'keys' must be a plain word"),
        (specs(blank=3), None, "blanks differ, {'attention': 3, 'ctc': 0}"),
        (specs(), {"ctc": 1.0}, "weights lack 'attention'"),
        (specs(), {"ctc": 1.0, "atention": 1.0}, "weights.atention has no head; did you mean"),
        (specs(), {"ctc": 0, "attention": 1.0}, "weights.ctc=0 must be a finite number above 0"),
        (specs(), {"ctc": "much", "attention": 1.0}, "weights.ctc='much' must be"),
    ],
)
def test_refused(heads: Any, weights: Any, message: str) -> None:
    with pytest.raises(SeqlabError, match=message) as caught:
        JointHead(6, 5, heads, weights)
    assert "\n" not in str(caught.value)


# -- model folders ----------------------------------------------------------------------------


def test_saved_and_loaded(tmp_path: Path) -> None:
    one = model()
    one.save(tmp_path / "model")
    other = SpeechModel.load(tmp_path / "model")
    waveform, lengths = torch.randn(2, 8000), torch.tensor([8000, 5000])
    assert torch.equal(one(waveform, lengths)[0], other(waveform, lengths)[0])
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["components"]["head"]["init_args"]["weights"] == {"attention": 0.7, "ctc": 0.3}


def deep(spec: dict[str, Any], times: int) -> dict[str, Any]:
    for _ in range(times):
        spec = {"class_path": "seqlab.heads.joint.JointHead", "init_args": {"heads": {"a": spec}}}
    return spec


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "Popen": (lambda h: h["ctc"].update(class_path="subprocess.Popen"), "not a seqlab class"),
    "tokenizer": (
        lambda h: h["ctc"].update(class_path="seqlab.text.tokenizers.WordTokenizer"),
        "not a Head",
    ),
    "no spec": (lambda h: h.update(ctc=3), "heads.ctc is 3"),
    "wired": (lambda h: h["ctc"]["init_args"].update(num_classes=3), "filled in"),
    "trusting itself": (lambda h: h["ctc"].update(allow_modules=["os"]), "unknown key"),
    "huge width": (
        lambda h: h["attention"]["init_args"].update(hidden_dim=2**40),
        "larger than the whole model",
    ),
    "great width": (
        lambda h: h["attention"]["init_args"].update(hidden_dim=2**12),
        "not of one model",
    ),
    "great depth": (
        lambda h: h["attention"]["init_args"].update(num_layers=10**4),
        "asks for a larger model",
    ),
    "one more": (
        lambda h: h.update(x={"class_path": CTC}),
        "lacks the tensor|larger model|weights lack",
    ),
    "joint": (lambda h: h.update(x=deep({"class_path": CTC}, 1)), "is itself joint"),
    "very joint": (lambda h: h.update(x=deep({"class_path": CTC}, 200)), "is itself joint"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_specs(name: str, tmp_path: Path) -> None:
    model().save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    change, message = HOSTILE[name]
    change(config["components"]["head"]["init_args"]["heads"])
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message) as caught:
        SpeechModel.load(tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_an_allowed_module_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_heads.py").write_text(
        "from seqlab.heads.ctc import CTCHead\nclass MyHead(CTCHead):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    one = model()
    heads = {"mine": {"class_path": "my_heads.MyHead"}}
    with pytest.raises(SeqlabError, match="is not a seqlab class"):
        JointHead(6, len(one.tokenizer), heads)
    assert "my_heads" not in sys.modules
    spec = {"class_path": "seqlab.heads.joint.JointHead", "init_args": {"heads": heads}}
    wired = {"input_dim": 6, "num_classes": len(one.tokenizer)}
    head = components.build(spec, Head, allow_modules=["my_heads"], **wired)
    parts = {"frontend": one.frontend, "encoder": one.encoder, "tokenizer": one.tokenizer}
    SpeechModel(head=head, **parts).save(tmp_path / "model")
    with pytest.raises(ModelError, match="is not a seqlab class"):
        SpeechModel.load(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model", allow_modules=["my_heads"])
    assert type(loaded.head.heads["mine"]).__name__ == "MyHead"
    del sys.modules["my_heads"]


# -- recipes ----------------------------------------------------------------------------------


def recipe(tmp_path: Path) -> Path:
    raw = {
        "title": "A test",
        "data": {"root": "nowhere", "batch_size": 4},
        "text": {"class_path": "seqlab.text.tokenizers.CharacterTokenizer"},
        "frontend": {
            "class_path": "seqlab.frontend.logmel.LogMel",
            "init_args": {"n_mels": 12, "sample_rate": 8000},
        },
        "encoder": {
            "class_path": "seqlab.encoders.separable.SeparableConvEncoder",
            "init_args": {"widths": 8, "kernel_sizes": [3, 3], "repeats": 1, "output_dim": 6},
        },
        "head": {
            "class_path": "seqlab.heads.joint.JointHead",
            "init_args": {"heads": specs(), "weights": {"ctc": 0.3, "attention": 0.7}},
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_recipe_with_overrides(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    loaded = load_recipe(
        path,
        [
            "--head.init_args.heads.attention.init_args.hidden_dim=4",
            "--head.init_args.weights.ctc=0.5",
        ],
    )
    summary = check_recipe(loaded)
    assert summary.task == "transcription"
    inner = loaded.head["init_args"]["heads"]["attention"]["init_args"]
    assert inner["hidden_dim"] == 4 and inner["label_smoothing"] == 0.1  # defaults written out
    built = build_model(loaded, build_tokenizer(loaded, ["abc"]))
    assert built.head.heads["attention"].hidden_dim == 4 and built.head.weights["ctc"] == 0.5
    (tmp_path / "resolved.yaml").write_text(loaded.to_yaml())
    assert load_recipe(tmp_path / "resolved.yaml") == loaded
    other = load_recipe(
        path,
        [
            "--head.init_args.heads.attention",
            f"{{class_path: {TRANSDUCER}, init_args: {{hidden_dim: 8}}}}",
        ],
    )
    assert other.head["init_args"]["heads"]["attention"]["init_args"]["context"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "attention.init_args.hidden_dmi=4",
            r"heads\.attention\.init_args\.hidden_dmi: .* no such",
        ),
        (
            "attention.init_args.hidden_dim=many",
            r"heads\.attention\.init_args\.hidden_dim is 'many'",
        ),
        ("attention.init_args.num_classes=4", r"attention\.init_args\.num_classes is filled in"),
        ("attention.init_args.hidden_dim=7", "hidden_dim=7"),
        ("ctc.class_path=os.system", r"heads\.ctc: class_path 'os.system' is not a seqlab class"),
        ("ctc.class_path=seqlab.heads.ctc.CTCHaed", "did you mean"),
        ("third.init_args.dropout=0.1", r"heads\.third names no class; add class_path"),
        ("third=3", r"heads\.third is 3, must be a mapping"),
    ],
)
def test_recipe_errors_name_the_full_key(override: str, message: str, tmp_path: Path) -> None:
    path = recipe(tmp_path)
    with pytest.raises(RecipeError, match=message) as caught:
        check_recipe(load_recipe(path, [f"--head.init_args.heads.{override}"]))
    text = str(caught.value)
    assert "\n" not in text and text.startswith(f"{path}: head")


def test_recipe_whose_heads_are_no_mapping(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"head\.init_args\.heads is 3"):
        load_recipe(path, ["--head.init_args.heads=3"])
