"""``seqlab wakeword`` from typed words to detections, stopped and resumed on its way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from seqlab.audio import load_audio, save_audio
from seqlab.contracts import Encoder
from seqlab.data.manifest import read_manifest
from seqlab.encoders.cnn.mdtc import MDTCEncoder
from seqlab.encoders.mlp import MLPEncoder
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import GlobalCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel
from seqlab.recipe import load_recipe
from seqlab.text.lexicon import Lexicon
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer
from tests.cli.conftest import Call

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

SMALL = ("--voices", 2, "--copies", 1, "--hours", 0.01)
NETWORK = ("--encoder.init_args.hidden_dim", 8, "--encoder.init_args.stacks", 1)
WORDS = Lexicon(
    {
        "hey": ["HH EY1"],
        "he": ["HH IY1"],
        "sunflower": ["S AH1 N F L AW2 ER0"],
        "window": ["W IH1 N D OW0"],
        "go": ["G OW1"],
    }
)


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of cmudict takes seconds to read."""
    pytest.importorskip("espeakng_loader", reason="needs the extra synth")
    monkeypatch.setattr(Lexicon, "english", lambda stress=False: WORDS)


def test_prepare_only(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "hey"
    outcome = call("wakeword", "Hey  sunflower", "go", "-o", folder, *SMALL, "--prepare-only")
    assert outcome.code == 0 and "warning: 'go' has 2 phones: too short" in outcome.err
    assert {p.name for p in folder.iterdir()} == {
        "data", "recipe.yaml", "script.tsv", "wakeword.json"
    }  # fmt: skip
    assert "synthetic: true" in (folder / "recipe.yaml").read_text()
    recipe = load_recipe(folder / "recipe.yaml")
    masks = recipe.spec_augment
    assert recipe.training.result == "best"  # of the epochs that are judged by misses
    assert masks is not None and masks["num_time_masks"] == masks["num_frequency_masks"] == 0
    assert call("check", folder / "recipe.yaml").code == 0
    train, dev = (read_manifest(folder / "data" / f"{n}.jsonl.gz") for n in ("train", "dev"))
    assert {u.label for u in train} == {"hey sunflower", "go"}
    assert recipe.data.unknown.sources == ["near_train.jsonl.gz", "other_train.jsonl.gz"]
    assert not {u.speaker for u in train} & {u.speaker for u in dev}

    again = call("wakeword", "hey sunflower", "go", "-o", folder, *SMALL)
    assert again.code == 2 and "already holds a wake word; go on with --resume" in again.err
    other = call("wakeword", "hey window", "-o", folder, *SMALL, "--resume")
    assert other.code == 2 and "phrases is ['hey window'] but was" in other.err
    (folder / "wakeword.json").write_text("{")
    damaged = call("wakeword", "hey window", "-o", folder, *SMALL, "--resume")
    assert damaged.code == 2 and "is damaged" in damaged.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["", "-o", "new"], "is empty"),
        (["hey 5", "-o", "new"], "'5' cannot be said"),
        (["go", "Go", "-o", "new"], "'go' is there twice"),
        (["go", "-o", "new", "--voices", "1"], "voices=1"),
        (["go", "-o", "new", "--epochs", "0"], "--epochs 0"),
        (["go", "-o", "new", "--false-alarms-per-hour", "nan"], "--false-alarms-per-hour nan"),
        (["go", "-o", "new", "--noise", "nowhere"], "noise"),
        (["go", "-o", "full"], "full exists and is no wake word's folder"),
    ],
)
def test_bad_input(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("")
    outcome = call("wakeword", *arguments)
    assert outcome.code == 2 and says in outcome.lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def phone_model(folder: Path, encoder: Encoder) -> Path:
    tokenizer = CharacterTokenizer().fit(["sunflower"])
    head = CTCHead(encoder.output_dim, len(tokenizer))
    frontend = LogMel(sample_rate=16000, n_mels=12)
    normalizer = GlobalCMVN(12).fit([(torch.randn(1, 20, 12), torch.tensor([20]))])
    SpeechModel(frontend, encoder, head, tokenizer, normalizer).save(folder)
    return folder


def test_on_top_of_phones_that_rest(call: Call, tmp_path: Path) -> None:
    torch.manual_seed(0)
    phones = phone_model(
        tmp_path / "phones", MDTCEncoder(12, 8, stacks=2, stack_size=1, causal=True)
    )
    command = ("wakeword", "hey sunflower", "-o", tmp_path / "hey", *SMALL)
    outcome = call(*command, "--prepare-only", "--phones", phones)
    assert outcome.code == 0, outcome.err
    path = tmp_path / "hey" / "recipe.yaml"
    recipe = load_recipe(path)
    assert recipe.frontend["init_args"]["n_mels"] == 12
    assert call("check", path).code == 0
    trained = call("train", path, "-o", tmp_path / "run", "--training.max_steps", 2)
    assert trained.code == 0, trained.err
    before, after = (
        SpeechModel.load(folder).state_dict() for folder in (phones, tmp_path / "run" / "model")
    )
    kept = [name for name in before if name.startswith(("encoder.", "normalizer."))]
    for name in kept:
        assert torch.equal(before[name], after[name]), name
    new = {n.rpartition(".")[0] for n in after if n.startswith("encoder.") and n not in kept}
    assert new and all(name.startswith("encoder.layers.3.stacks.2.") for name in new)


@pytest.mark.parametrize(
    ("encoder", "says"),
    [
        (MLPEncoder(12), "MLPEncoder, must have seqlab.encoders.cnn.mdtc.MDTCEncoder, as recipes"),
        (MDTCEncoder(12, 8), "looks ahead, must be causal"),
        (None, "does not exist; name a model folder"),
    ],
)
def test_phones_of_another_kind(
    call: Call, tmp_path: Path, encoder: Encoder | None, says: str
) -> None:
    phones = phone_model(tmp_path / "phones", encoder) if encoder else tmp_path / "phones"
    outcome = call("wakeword", "go", "-o", tmp_path / "go", *SMALL, "--phones", phones)
    assert outcome.code == 2 and says in outcome.lines[-1]
    assert not (tmp_path / "go").exists()


def test_a_keyword_model_knows_no_phones(call: Call, tmp_path: Path) -> None:
    encoder = MDTCEncoder(12, 8, stacks=1, stack_size=1, causal=True)
    tokenizer = LabelTokenizer().fit(["go", "stop"])
    head = KeywordHead(encoder.output_dim, 2)
    SpeechModel(LogMel(sample_rate=16000, n_mels=12), encoder, head, tokenizer).save(
        tmp_path / "words"
    )
    outcome = call("wakeword", "go", "-o", tmp_path / "go", "--phones", tmp_path / "words")
    assert outcome.code == 2 and "KeywordHead, must have seqlab.heads.ctc" in outcome.lines[-1]


@pytest.mark.slow
def test_from_typed_words_to_detections(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    folder = tmp_path / "hey"
    options = ("--voices", 4, "--copies", 2, "--hours", 0.01, "--epochs", 1)
    rate = ("--false-alarms-per-hour", 1000)  # which a network of one epoch can hold
    command = ("wakeword", "hey sunflower", "-o", folder, *options, *rate)
    outcome = call(*command, *NETWORK, "--data.batch_size", 4, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    [row] = result["labels"]
    assert row["label"] == "hey sunflower" and row["missed"] <= row["keywords"] == 6
    assert "hours of negatives" in call(*command, "--resume").err

    # killed after the training: thresholds and export are made anew, to the same end
    for path in (folder / "result.json", folder / "run" / "model" / "spotting.json"):
        path.unlink()
    shutil.rmtree(folder / "onnx")
    weights = (folder / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    again = json.loads(call(*command, "--resume", "--json").out)
    assert again == result
    assert (folder / "run" / "model" / "model.safetensors").stat().st_mtime_ns == weights

    heard = next(
        u for u in read_manifest(folder / "data" / "train.jsonl.gz") if u.label == "hey sunflower"
    )
    waveform, rate = load_audio(heard.path, start_s=heard.start_s, duration_s=heard.duration_s)
    save_audio(tmp_path / "heard.wav", waveform, rate)
    for model in ("run", "onnx"):
        spotted = call("spot", folder / model, tmp_path / "heard.wav", "--threshold", 0.001)
        assert spotted.code == 0 and "hey sunflower" in spotted.out
