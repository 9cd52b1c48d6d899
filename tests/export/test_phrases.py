"""Typed phrases and sound events by exports, without torch, as torch finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.audio import save_audio
from seqlab.cli.main import main
from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import DataError, ModelError
from seqlab.frontend.logmel import LogMel
from seqlab.heads.ctc import CTCHead
from seqlab.inference.operating_point import OperatingPoint, PhrasePoint
from seqlab.inference.phrases import PhraseSpotter
from seqlab.inference.spotting import spot_blocks as torch_spot_blocks
from seqlab.model import SpeechModel
from seqlab.text.phones import PhoneTokenizer
from tests.contract.invariants import settled
from tests.inference.tones import RATE, Same, talk, tone_model

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.folder import read_tokenizer
from seqlab.deploy.model import ExportedModel
from seqlab.deploy.spotting import ExportPhraseSpotter, spot_blocks
from seqlab.export.export import export_model, made_recordings

PHRASES = ["abc", "ca b"]
TALK, TIMES = talk(["abc", "ca b", "abca", "ca b abc", "b"], [1.0, 2.0, 1.5, 1.0, 1.0])


class WholeOnly(Same):
    """As ``Same``, but hears whole utterances."""

    causal = False


MODELS = {"live": tone_model(), "windows": tone_model(WholeOnly(16))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, model in MODELS.items():
        found[name] = tmp_path_factory.mktemp("export") / name
        export_model(model, found[name], recordings=[TALK[: 3 * RATE]])
    return found


def assert_same(found: list[Detection], expected: list[Detection]) -> None:
    assert expected
    assert [(d.label, d.start_s, d.time_s) for d in found] == [
        (d.label, d.start_s, d.time_s) for d in expected
    ]
    np.testing.assert_allclose([d.score for d in found], [d.score for d in expected], atol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_phrases_are_those_of_torch_in_any_chunking(name: str, folders: dict[str, Path]) -> None:
    spotter = PhraseSpotter(MODELS[name], PHRASES, window_s=2.0, hop_s=1.0)
    expected = list(torch_spot_blocks(spotter, TALK.split(800)))
    exported = ExportPhraseSpotter(ExportedModel(folders[name]), PHRASES, window_s=2.0, hop_s=1.0)
    assert exported.warnings == spotter.warnings

    @settings(max_examples=6, deadline=None, database=None)
    @given(cuts=st.lists(st.integers(0, len(TALK)), max_size=9))
    def check(cuts: list[int]) -> None:
        assert_same(list(spot_blocks(exported, np.split(TALK.numpy(), sorted(cuts)))), expected)

    check()


def test_the_command_runs_without_torch(folders: dict[str, Path], tmp_path: Path) -> None:
    save_audio(tmp_path / "talk.wav", TALK, RATE)
    (tmp_path / "list.txt").write_text("abc\t0.3\n", encoding="utf-8")
    code = (
        "import sys\n"
        "from seqlab.cli.main import main\n"
        f"codes = [main(['spot', name, {str(tmp_path / 'talk.wav')!r}, '--phrase', 'ca b',\n"
        f"    '--phrases', {str(tmp_path / 'list.txt')!r}, '--format', 'json'])\n"
        f"    for name in {[str(f) for f in folders.values()]!r}]\n"
        "print(codes, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[0, 0] False", done.stderr
    labels = [json.loads(line)["label"] for line in lines[:-1]]
    assert labels == 2 * ["abc", "ca b", "ca b", "abc"]
    assert "phrase 'abc' has 3 letters" in done.stderr and "is a guess" in done.stderr
    assert "hears windows" in done.stderr


def test_thresholds_come_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point = OperatingPoint(
        DetectorSettings(thresholds={"ca b": 0.5}, smoothing_s=0.0), 10.0, 8.0, 0.4, 1.0,
        {"ca b": PhrasePoint(0.5, 0, 1, 0)},
    )  # fmt: skip
    export_model(MODELS["live"], tmp_path / "x", recordings=[TALK], operating_point=point)
    save_audio(tmp_path / "talk.wav", TALK, RATE)
    assert main(["spot", str(tmp_path / "x"), str(tmp_path / "talk.wav")]) == 0
    output = capsys.readouterr()
    assert [line.split("\t")[2] for line in output.out.splitlines()] == ["ca b", "ca b"]
    assert "guess" not in output.err


def test_phones_bring_their_lexicon(tmp_path: Path) -> None:
    lexicon = {"the": ["DH AH", "DH IY"], "tea": ["T IY"], "hat": ["HH AE T"]}
    tokenizer = PhoneTokenizer(lexicon=lexicon).fit(["the tea", "hat"])
    encoder = settled(SeparableConvEncoder(12, widths=6, repeats=1, output_dim=5), 12)
    torch.manual_seed(0)
    head = CTCHead(5, len(tokenizer))
    model = SpeechModel(LogMel(sample_rate=RATE, n_mels=12), encoder, head, tokenizer).eval()
    export_model(model, tmp_path / "x", recordings=made_recordings(RATE), offline=True)
    exported = ExportedModel(tmp_path / "x")
    read = read_tokenizer(exported.folder, exported.facts)
    assert isinstance(read, PhoneTokenizer) and read.tokens == tokenizer.tokens
    spotter = ExportPhraseSpotter(exported, ["the tea"])
    assert spotter.phrases == PhraseSpotter(model, ["the tea"]).phrases
    with pytest.raises(DataError, match="coffee"):
        ExportPhraseSpotter(exported, ["coffee"])


def test_what_is_missing_or_damaged_is_said(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav = tmp_path / "talk.wav"
    save_audio(wav, TALK, RATE)
    folder = folders["live"]
    assert main(["spot", str(folder), str(wav)]) == 2
    assert "can spot any phrase; name it" in capsys.readouterr().err
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.rglob("*"):
        target = copy / path.relative_to(folder)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    vocabulary = copy / "tokenizer" / "vocabulary.json"
    vocabulary.write_text(vocabulary.read_text().replace("a", "x"))
    facts = json.loads((copy / "export.json").read_text())
    with pytest.raises(ModelError, match="is not the file that export"):
        ExportPhraseSpotter(ExportedModel(copy), PHRASES)
    vocabulary.unlink()
    with pytest.raises(ModelError, match="is missing or too large"):
        ExportPhraseSpotter(ExportedModel(copy), PHRASES)
    for spec, message in [
        ({"class_path": "subprocess.Popen", "init_args": {"args": "x"}}, "not a seqlab class"),
        ({"class_path": "seqlab.text.tokenizers.WordTokenizer"}, "vocabulary.json is missing"),
        (None, "must hold a spec"),
    ]:
        facts["tokenizer"] = {"spec": spec, "files": {}}
        (copy / "export.json").write_text(json.dumps(facts))
        with pytest.raises(ModelError, match=message):
            ExportPhraseSpotter(ExportedModel(copy), PHRASES)
    facts["tokenizer"] = {"spec": {}, "files": {"../../etc/passwd": "0"}}
    (copy / "export.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="must be a plain file name"):
        ExportedModel(copy)
    del facts["tokenizer"]  # as an older seqlab wrote it
    (copy / "export.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="holds no tokenizer"):
        ExportPhraseSpotter(ExportedModel(copy), PHRASES)
    assert ExportedModel(copy).transcribe(TALK.numpy()).startswith("abc")


@pytest.mark.slow
@pytest.mark.data
def test_a_trained_model_spots_the_same(tmp_path: Path) -> None:
    """Set SEQLAB_MODEL to a run of AN4 to try it on real speech."""
    folder, data = os.environ.get("SEQLAB_MODEL"), os.environ.get("SEQLAB_DATA")
    if not folder or not data:
        pytest.skip("set SEQLAB_MODEL to a trained CTC model and SEQLAB_DATA to the corpora")
    from seqlab.audio import load_audio

    model = SpeechModel.load(folder)
    files = sorted(Path(data, "an4", "audio").rglob("*.flac"))[::20]
    speech = torch.cat([load_audio(f, sample_rate=model.sample_rate)[0] for f in files])
    export_model(model, tmp_path / "x", recordings=[speech])
    phrases = ["nineteen", "rubout", "enter", "twenty"]
    chosen = DetectorSettings(threshold=0.4, smoothing_s=0.0, refractory_s=0.3)
    expected = list(torch_spot_blocks(PhraseSpotter(model, phrases, chosen), speech.split(80000)))
    spotter = ExportPhraseSpotter(ExportedModel(tmp_path / "x"), phrases, chosen)
    assert_same(list(spot_blocks(spotter, np.split(speech.numpy(), [99, 123456]))), expected)
