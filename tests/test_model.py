from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqlab import assembly, components
from seqlab.audio import save_audio
from seqlab.contracts import Encoder, Frontend, Head, Hypothesis
from seqlab.data.batch import Batch
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.encoders.residual import ResidualCNNEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.transformer import TransformerEncoder
from seqlab.errors import AudioError, ModelError, SeqlabError
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import Normalizer, UtteranceCMVN
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.ctc import CTCHead
from seqlab.model import Classification, SpeechModel
from seqlab.text.events import EventTokenizer
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer, Tokenizer

RATE = 8000


def recogniser(encoder: Any = None, **facts: Any) -> SpeechModel:
    torch.manual_seed(0)
    frontend = LogMel(sample_rate=RATE, n_mels=10)
    encoder = encoder or SeparableConvEncoder(
        10, widths=8, kernel_sizes=[3], repeats=1, output_dim=6
    )
    tokenizer = CharacterTokenizer().fit(["no yes"])
    head = CTCHead(encoder.output_dim, len(tokenizer))
    return SpeechModel(
        frontend, encoder, head, tokenizer, UtteranceCMVN(), SpecAugment(), facts=facts
    ).eval()


def classifier() -> SpeechModel:
    torch.manual_seed(0)
    encoder = ResidualCNNEncoder(10, widths=[4], time_strides=[2], frequency_strides=[2])
    tokenizer = LabelTokenizer().fit(["yes", "no", "stop"])
    head = ClassifierHead(encoder.output_dim, len(tokenizer))
    return SpeechModel(LogMel(sample_rate=RATE, n_mels=10), encoder, head, tokenizer).eval()


def noise(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, generator=generator) * 0.1 for n in lengths]


def texts(answers: Any) -> list[str]:
    return [answer.text for answer in answers]


# -- parts ------------------------------------------------------------------------------------


def test_parts_must_fit_each_other() -> None:
    model = recogniser()
    args = {
        "frontend": model.frontend,
        "encoder": model.encoder,
        "head": model.head,
        "tokenizer": model.tokenizer,
    }
    with pytest.raises(ModelError, match=r"encoder.input_dim=10 must equal .*=20"):
        SpeechModel(**{**args, "frontend": LogMel(sample_rate=RATE, n_mels=20)})
    with pytest.raises(ModelError, match=r"head.input_dim=9 must equal encoder.output_dim=6"):
        SpeechModel(**{**args, "head": CTCHead(9, len(model.tokenizer))})
    with pytest.raises(ModelError, match=r"num_classes=3 must equal len\(tokenizer\)"):
        SpeechModel(**{**args, "head": CTCHead(6, 3)})
    with pytest.raises(ModelError, match="blank=1 must be the tokenizer's blank 0"):
        SpeechModel(**{**args, "head": CTCHead(6, len(model.tokenizer), blank=1)})
    with pytest.raises(ModelError, match="LabelTokenizer is not"):
        SpeechModel(**{**args, "tokenizer": LabelTokenizer(labels=list("abcdef"))})
    with pytest.raises(ModelError, match=r"ClassifierHead needs .* labels"):
        SpeechModel(**{**args, "head": ClassifierHead(6, len(model.tokenizer))})


@pytest.mark.parametrize(
    ("encoder", "frame_s"),
    [
        (RecurrentEncoder(10, hidden_dim=4), 0.01),
        (RecurrentEncoder(10, hidden_dim=4, subsampling=3), 0.03),
        (SeparableConvEncoder(10, 4, kernel_sizes=[3], strides=[2, 2, 2]), 0.08),
        (TransformerEncoder(10, hidden_dim=8, num_layers=1, subsampling=4), 0.04),
    ],
)
def test_frame_s_follows_from_the_output_lengths(encoder: Any, frame_s: float) -> None:
    assert recogniser(encoder).frame_s == pytest.approx(frame_s, abs=1e-12)


def test_output_lengths_are_what_forward_gives() -> None:
    model = recogniser()
    lengths = torch.tensor([8000, 4001, 300, 0])
    log_probs, encoded_lengths = model(torch.zeros(4, 8000), lengths)
    assert encoded_lengths.tolist() == model.output_lengths(lengths).tolist()
    assert log_probs.shape[1] == encoded_lengths.max()
    assert model.task == "transcription" and classifier().task == "classification"


def test_masks_only_in_training_with_seeds() -> None:
    model = recogniser()
    waveform, lengths = torch.stack(noise(8000, 8000)), torch.tensor([8000, 8000])
    seeds = torch.tensor([1, 2])
    plain = model.encode(waveform, lengths)[0]
    assert torch.equal(model.encode(waveform, lengths, seeds)[0], plain)
    model.spec_augment.train()
    model.training = True  # batch norm stays in evaluation mode
    masked = model.encode(waveform, lengths, seeds)[0]
    assert not torch.equal(masked, plain)
    assert torch.equal(model.encode(waveform, lengths, seeds)[0], masked)
    assert torch.equal(model.encode(waveform, lengths)[0], plain)


def test_loss_of_each_utterance() -> None:
    model = recogniser()
    waveform = torch.zeros(2, 8000)
    batch = Batch(
        waveform=waveform,
        lengths=torch.tensor([8000, 4000]),
        targets=torch.tensor([[1, 2, 3], [2, 0, 0]]),
        target_lengths=torch.tensor([3, 1]),
        seeds=torch.tensor([0, 1]),
        utterances=(),
    )
    losses = model.loss(batch)
    assert losses.shape == (2,) and bool((losses > 0).all())


# -- use --------------------------------------------------------------------------------------


def test_answers_keep_the_order_and_do_not_depend_on_the_batch() -> None:
    model = recogniser()
    waveforms = noise(6000, 100, 9000, 0, 2500, 9000)
    alone = [model.transcribe([waveform], RATE)[0] for waveform in waveforms]
    for batch_size in (1, 2, 16):
        together = model.transcribe(waveforms, RATE, batch_size=batch_size)
        assert texts(together) == texts(alone)
        for one, other in zip(together, alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.token_times == other.token_times
    assert alone[1].text == "" and alone[3].text == ""  # too short for a frame


def test_transcribe_takes_one_or_many_paths_and_arrays(tmp_path: Path) -> None:
    model = recogniser()
    (waveform,) = noise(8000)
    path = tmp_path / "a.wav"
    save_audio(path, waveform, RATE)
    expected = texts(model.transcribe(str(path)))
    assert len(expected) == 1
    assert texts(model.transcribe(path)) == expected
    assert texts(model.transcribe([path, str(path)])) == expected * 2
    assert texts(model.transcribe(waveform, RATE)) == texts(model.transcribe([waveform], RATE))
    assert texts(model.transcribe(waveform.double().numpy(), RATE)) == texts(
        model.transcribe(waveform, RATE)
    )
    assert len(model.transcribe(torch.stack([waveform, waveform]), RATE)) == 2
    assert model.transcribe([]) == []


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    model = recogniser()
    time = torch.arange(16000) / 16000
    tone = 0.3 * torch.sin(2 * torch.pi * 500 * time)
    save_audio(tmp_path / "t.wav", tone, 16000, encoding="float32")
    from_file = model.transcribe(tmp_path / "t.wav")[0]
    from_waveform = model.transcribe(tone, 16000)[0]
    assert from_file.text == from_waveform.text
    assert from_file.score == pytest.approx(from_waveform.score, rel=1e-3)


def test_classify() -> None:
    model = classifier()
    waveforms = noise(4000, 8000)
    answers = model.classify(waveforms, RATE, top_k=3)
    assert [len(answer) for answer in answers] == [3, 3]
    for answer, waveform in zip(answers, waveforms, strict=True):
        assert {c.label for c in answer} == {"yes", "no", "stop"}
        assert sum(c.probability for c in answer) == pytest.approx(1, abs=1e-5)
        assert answer == sorted(answer, key=lambda c: -c.probability)
        (best,) = model.classify(waveform, RATE)
        assert best[0].label == answer[0].label
        log_probs, lengths = model(waveform[None], torch.tensor([len(waveform)]))
        (hypothesis,) = model.decode(log_probs, lengths)
        assert hypothesis.text == answer[0].label
        assert hypothesis.confidence == pytest.approx(answer[0].probability, rel=1e-4)
    assert isinstance(answers[0][0], Classification)


def test_a_decoder_of_ones_own() -> None:
    """It reads what the head gives, or the encoded frames if it says so; the best answer counts."""
    model = recogniser()
    seen = []

    class Own:
        def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
            seen.append((tuple(log_probs.shape), lengths.tolist()))
            nothing: list[list[Hypothesis]] = [[] for _ in lengths]
            return [[Hypothesis((1,), "own", -1.0), Hypothesis((), "", -2.0)], *nothing[1:]]

    class Searching(Own):
        reads = "encoded"

    waveforms = noise(4000, 8000)
    for own, width in ((Own(), len(model.tokenizer)), (Searching(), 6)):
        answers = model.transcribe(waveforms, RATE, decoder=own)
        lengths = model.output_lengths(torch.tensor([4000, 8000])).tolist()
        assert texts(answers) == ["own", ""] and answers[1].confidence == 0
        assert seen.pop() == ((2, max(lengths), width), lengths)
    with pytest.raises(ModelError, match="leave the decoder out"):
        classifier().decode(torch.zeros(1, 3), torch.tensor([4]), Own())


def test_modes_and_gradients_are_left_alone() -> None:
    model = recogniser()
    model.train()
    model.encoder.eval()
    before = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.transcribe(noise(4000), RATE)
    assert [module.training for module in model.modules()] == before
    assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())
    with pytest.raises(AudioError):
        model.transcribe("missing.wav")
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.transcribe(noise(100)), AudioError, "recording 0 .* pass sample_rate"),
        (lambda m: m.transcribe([torch.zeros(2, 100)], RATE), AudioError, r"\(2, 100\)"),
        (lambda m: m.transcribe([3], RATE), AudioError, "recording 0 is int"),
        (lambda m: m.transcribe(3, RATE), AudioError, "int is not a recording"),
        (lambda m: m.transcribe(None), AudioError, "NoneType is not a recording"),
        (lambda m: m.transcribe(torch.zeros(9, dtype=torch.int16), RATE), AudioError, "32768"),
        (lambda m: m.transcribe(np.array([0.0, np.nan]), RATE), AudioError, "not finite"),
        (lambda m: m.transcribe("no/such.wav"), AudioError, "such.wav"),
        (lambda m: m.transcribe(noise(99), RATE, batch_size=0), ModelError, "batch_size=0"),
        (lambda m: m.classify(noise(99), RATE), ModelError, "call transcribe"),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[SeqlabError], message: str) -> None:
    with pytest.raises(error, match=message):
        call(recogniser())


def test_bad_input_of_a_classifier() -> None:
    model = classifier()
    with pytest.raises(ModelError, match="call classify"):
        model.transcribe(noise(99), RATE)
    for top_k in (0, 4):
        with pytest.raises(ModelError, match="from 1 to 3 labels"):
            model.classify(noise(4000), RATE, top_k=top_k)
    with pytest.raises(AudioError, match="recording 1: 50 samples are too short"):
        model.classify(noise(4000, 50), RATE)


# -- save and load ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [recogniser, classifier])
def test_round_trip(make: Callable[[], SpeechModel], tmp_path: Path) -> None:
    model = make()
    model.facts["synthetic"] = True
    model.save(tmp_path / "model")
    state = torch.random.get_rng_state()
    loaded = SpeechModel.load(tmp_path / "model")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not loaded.training and loaded.facts == {"synthetic": True}
    assert loaded.tokenizer.tokens == model.tokenizer.tokens
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    waveform, lengths = torch.stack(noise(5000)), torch.tensor([5000])
    assert torch.equal(loaded(waveform, lengths)[0], model(waveform, lengths)[0])
    loaded.save(tmp_path / "again")
    for name in os.listdir(tmp_path / "model"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_saving_over_an_older_model(tmp_path: Path) -> None:
    recogniser(title="old").save(tmp_path / "model")
    recogniser(title="new").save(tmp_path / "model")
    assert SpeechModel.load(tmp_path / "model").facts == {"title": "new"}
    assert os.listdir(tmp_path) == ["model"]


def test_saving_spares_foreign_folders(tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("papers", "file"):
        with pytest.raises(ModelError, match="not a model folder"):
            recogniser().save(tmp_path / name)
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    recogniser().save(tmp_path / "empty")
    recogniser().save(tmp_path / "new" / "parents" / "model")
    assert SpeechModel.load(tmp_path / "new" / "parents" / "model").task == "transcription"


@pytest.mark.parametrize("renamed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_killed_while_saving_over_an_older_model(tmp_path: Path, renamed: int) -> None:
    """SIGKILL after no, one or both renames: the old model, or the new one, and nothing lost."""
    recogniser(title="old").save(tmp_path / "model")
    code = f"""
import os, signal, sys
from pathlib import Path
from tests.test_model import recogniser
rename, left = Path.rename, [{renamed}]
def counted(self, target):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return rename(self, target)
Path.rename = counted
import shutil
shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
recogniser(title="new").save(sys.argv[1])
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], cwd=Path(__file__).parents[1]
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "model").exists() == (renamed != 1)
    title = "old" if renamed == 0 else "new"
    assert SpeechModel.load(tmp_path / "model").facts == {"title": title}
    recogniser(title="next").save(tmp_path / "model")
    assert SpeechModel.load(tmp_path / "model").facts == {"title": "next"}
    left = {path.name.rsplit(".", 1)[-1] for path in tmp_path.iterdir()} - {"model"}
    assert left == ({"new"} if renamed == 0 else set())  # its writer might still be at work


def test_a_failed_save_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recogniser(title="old").save(tmp_path / "model")

    def fail(*_args: Any, **_keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqlab.saving.save_file", fail)
    with pytest.raises(ModelError, match="No space left"):
        recogniser(title="new").save(tmp_path / "model")
    assert SpeechModel.load(tmp_path / "model").facts == {"title": "old"}
    assert os.listdir(tmp_path) == ["model"]


def test_facts_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not plain data"):
        recogniser(when=object()).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_an_allowed_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_encoders.py").write_text(
        "from seqlab.encoders.separable import SeparableConvEncoder\n\n"
        "class Own(SeparableConvEncoder):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import own_encoders  # type: ignore[import-not-found]

    own = own_encoders.Own(10, widths=8, kernel_sizes=[3], repeats=1, output_dim=6)
    recogniser(own).save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"own_encoders\.Own' is not a seqlab class"):
        SpeechModel.load(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model", allow_modules=["own_encoders"])
    assert type(loaded.encoder).__name__ == "Own"


def every(contract: type, room: str) -> list[str]:
    return components.available(contract, near=f"seqlab.{room}")


@pytest.mark.parametrize(
    ("part", "class_path"),
    [("frontend", name) for name in every(Frontend, "frontend")]
    + [("normalizer", name) for name in every(Normalizer, "frontend")]
    + [("encoder", name) for name in every(Encoder, "encoders")]
    + [("head", name) for name in every(Head, "heads")],
)
def test_every_component_is_saved_and_loaded(part: str, class_path: str, tmp_path: Path) -> None:
    """Those whose tensors cannot be rehearsed without memory would fail here."""
    specs = {
        "frontend": {"class_path": "seqlab.frontend.logmel.LogMel"},
        "normalizer": {"class_path": "seqlab.frontend.normalize.UtteranceCMVN"},
        "encoder": {
            "class_path": "seqlab.encoders.recurrent.RecurrentEncoder",
            "init_args": {"hidden_dim": 4},
        },
        "head": {"class_path": "seqlab.heads.ctc.CTCHead"},
        part: {"class_path": class_path},
    }
    frontend = components.build(specs["frontend"], Frontend)  # type: ignore[type-abstract]
    dim = frontend.output_dim
    normalizer = components.build(specs["normalizer"], Normalizer, input_dim=dim)
    encoder = components.build(specs["encoder"], Encoder, input_dim=dim)
    wired = {"input_dim": encoder.output_dim, "num_classes": 4}
    wired["frame_s"] = assembly.frame_seconds(frontend, encoder)
    head = components.build(specs["head"], Head, **wired)
    labels = ["a", "b", "c"]
    tokenizer: Tokenizer = LabelTokenizer() if head.output == "label" else CharacterTokenizer()
    tokenizer.fit([*labels, "d"] if head.output == "label" else labels)
    if head.output == "events":
        tokenizer = EventTokenizer(labels=[*labels, "d"])
    SpeechModel(frontend, encoder, head, tokenizer, normalizer).save(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model")
    found = components.describe(getattr(loaded, part), ["input_dim", "num_classes"])
    assert found["class_path"] == class_path


# -- hostile folders --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    recogniser().save(folder)
    return folder


def edit_config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def set_argument(part: str, **arguments: Any) -> Callable[[Path], None]:
    return edit_config(lambda c: c["components"][part]["init_args"].update(arguments))


def set_class(part: str, path: Any) -> Callable[[Path], None]:
    return edit_config(lambda c: c["components"][part].update(class_path=path))


def edit_tensors(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return edit


def write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def truncate(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (shutil.rmtree, "does not exist"),
    "no config": (remove("config.json"), "config.json is missing"),
    "no weights": (remove("model.safetensors"), "model.safetensors is missing"),
    "no vocabulary": (remove("vocabulary.json"), "vocabulary.json is missing"),
    "empty config": (write("config.json", b""), "not JSON"),
    "binary config": (write("config.json", b"\xff\xfe\x00"), "not JSON"),
    "deep config": (write("config.json", b"[" * 100_000), "not JSON"),
    "list config": (write("config.json", b"[]"), "not the configuration of a seqlab model"),
    "other config": (write("config.json", b'{"model_type": "bert"}'), "not the configuration"),
    "newer format": (edit_config(lambda c: c.update(format_version=99)), "newer seqlab"),
    "odd format": (edit_config(lambda c: c.update(format_version="1")), "format_version '1'"),
    "Popen": (set_class("encoder", "subprocess.Popen"), "'subprocess.Popen' is not a seqlab"),
    "os.system": (set_class("tokenizer", "os.system"), "'os.system' is not a seqlab class"),
    "wrong contract": (set_class("head", "seqlab.text.tokenizers.WordTokenizer"), "not a Head"),
    "class of wrong type": (set_class("frontend", {"a": 1}), "must be text"),
    "no class": (edit_config(lambda c: c["components"].update(encoder=None)), "mapping"),
    "no components": (edit_config(lambda c: c.pop("components")), "components is None"),
    "odd components": (edit_config(lambda c: c.update(components=[1])), "must be a mapping"),
    "more components": (edit_config(lambda c: c["components"].update(x=1)), "unknown key 'x'"),
    "odd facts": (edit_config(lambda c: c.update(facts=3)), "facts is 3"),
    "odd names": (edit_config(lambda c: c.update(tokenizer_files=3)), "list of file names"),
    "escaping name": (
        edit_config(lambda c: c.update(tokenizer_files=["../../etc/passwd"])),
        "plain file name",
    ),
    "absolute name": (
        edit_config(lambda c: c.update(tokenizer_files=["/etc/passwd"])),
        "plain file name",
    ),
    "unknown argument": (set_argument("encoder", depth=3), "no such argument"),
    "wired argument": (set_argument("encoder", input_dim=3), "filled in"),
    "argument of wrong type": (set_argument("encoder", output_dim="many"), "must be int"),
    "argument out of range": (set_argument("encoder", dropout=7), "dropout"),
    "other width": (set_argument("encoder", output_dim=7), "not of one model"),
    "huge width": (set_argument("encoder", output_dim=10**9), "larger than the whole model"),
    "great width": (set_argument("encoder", output_dim=60_000), "not of one model"),
    "huge list": (set_argument("encoder", widths=[10**9]), "not of one model"),
    "absurd width": (set_argument("encoder", output_dim=10**30), "encoder"),
    "huge depth": (set_argument("encoder", repeats=10**9), "larger than the whole model"),
    "great depth": (set_argument("encoder", repeats=10**4), "asks for a larger model"),
    "huge front end": (set_argument("frontend", n_mels=10**9), "larger than the whole model"),
    "huge transform": (set_argument("frontend", n_fft=2**40), "larger than the whole model"),
    "great table": (
        set_argument("frontend", n_fft=2**15, n_mels=2**14),
        "table of more than",
    ),
    "other bands": (set_argument("frontend", n_mels=12), "not of one model"),
    "empty vocabulary": (write("vocabulary.json", b"[]"), "vocabulary"),
    "odd vocabulary": (write("vocabulary.json", b'{"a": 1}'), "vocabulary"),
    "binary vocabulary": (write("vocabulary.json", b"\xff\x00"), "vocabulary"),
    "larger vocabulary": (write("vocabulary.json", b'["<blank>", "a", "b"]'), "vocabulary"),
    "empty weights": (write("model.safetensors", b""), "damaged"),
    "text weights": (write("model.safetensors", b"weights"), "damaged"),
    "pickle weights": (write("model.safetensors", pickle.dumps(Bomb())), "damaged"),
    "endless header": (write("model.safetensors", b"\xff" * 64), "damaged"),
    "cut weights": (truncate("model.safetensors", 900), "damaged"),
    "missing tensor": (edit_tensors(lambda t: t.pop("head.linear.bias")), "lacks .*linear.bias"),
    "extra tensor": (edit_tensors(lambda t: t.update(x=torch.zeros(1))), "holds x"),
    "extra in encoder": (
        edit_tensors(lambda t: t.update({"encoder.x": torch.zeros(1)})),
        "holds encoder.x",
    ),
    "integer tensor": (
        edit_tensors(lambda t: t.update({"head.linear.bias": t["head.linear.bias"].long()})),
        "torch.int64",
    ),
    "NaN": (edit_tensors(lambda t: t["head.linear.bias"].fill_(torch.nan)), "not finite"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_folders(
    name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage, message = HOSTILE[name]
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        SpeechModel.load(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_loading_a_file(saved: Path) -> None:
    with pytest.raises(ModelError, match="is a file; name a model folder"):
        SpeechModel.load(saved / "config.json")


@pytest.mark.parametrize("position", range(0, 400, 23))
def test_flipped_bytes_never_escape_as_other_errors(
    position: int, saved: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors", "vocabulary.json"):
        folder = tmp_path / name
        shutil.copytree(saved, folder)
        content = bytearray((folder / name).read_bytes())
        content[position % len(content)] ^= 0x55
        (folder / name).write_bytes(content)
        try:
            SpeechModel.load(folder)
        except ModelError as error:
            assert "\n" not in str(error)
