"""Exported models held against torch, and folders that are wrong."""

from __future__ import annotations

import copy
import io
import json
import shutil
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
from seqlab.decoding.keyword import DetectorSettings
from seqlab.deploy.audio import load_samples, read_sample_blocks
from seqlab.deploy.folder import read_facts
from seqlab.errors import AudioError, ModelError, SeqlabError
from seqlab.inference.operating_point import OperatingPoint, PhrasePoint
from seqlab.inference.posteriors import posterior_stream
from seqlab.inference.spotting import KeywordSpotter
from seqlab.inference.spotting import spot_blocks as torch_spot_blocks
from seqlab.model import SpeechModel
from tests.export.models import RATE, causal_encoder, classifier, real_recordings

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.model import ExportedModel
from seqlab.deploy.spotting import ExportSpotter, spot_blocks
from seqlab.deploy.streams import ExportStream, ExportWindows
from seqlab.export.export import export_model, made_recordings

SETTINGS = DetectorSettings(thresholds={"go": 0.4, "stop": 0.4}, smoothing_s=0.04, refractory_s=0.1)


def point() -> OperatingPoint:
    phrases = {name: PhrasePoint(0.4, 0, 1, 0) for name in SETTINGS.thresholds}
    return OperatingPoint(SETTINGS, 0.5, 0.1, 0.4, 1.0, phrases)


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return classifier(causal_encoder())


@pytest.fixture(scope="module")
def folder(model: SpeechModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of both graphs, made once: tracing takes seconds."""
    path = tmp_path_factory.mktemp("export") / "wake"
    agreement = export_model(model, path, recordings=made_recordings(RATE), operating_point=point())
    assert agreement.offline is not None and agreement.offline <= 1e-5
    assert agreement.stream is not None and agreement.stream <= 1e-5
    assert agreement.same == 1
    return path


@pytest.fixture(scope="module")
def exported(folder: Path) -> ExportedModel:
    return ExportedModel.load(folder)


def sound(seconds: float = 1.3) -> torch.Tensor:
    torch.manual_seed(5)
    level = torch.rand(round(seconds * 20)).repeat_interleave(RATE // 20)
    return 0.2 * level * torch.randn(len(level))


def in_pieces(stream: ExportStream | ExportWindows, samples: np.ndarray, cuts: list[int]):
    state, parts = stream.initial_state(), []
    for piece in np.split(samples, sorted(cut % (len(samples) + 1) for cut in cuts)):
        found, state = stream.step(piece, state)
        parts.append(found)
    return np.concatenate([*parts, stream.flush(state)])


def test_whole_recordings_of_any_length(model: SpeechModel, exported: ExportedModel) -> None:
    least = exported.facts.least_samples
    assert int(model.output_lengths(torch.tensor([least]))) == 1
    assert int(model.output_lengths(torch.tensor([least - 1]))) == 0
    for count in (least, least + 1, 1999, 8000, 30_001):
        waveform = sound(5)[:count]
        with torch.inference_mode():
            expected, _ = model(waveform[None], torch.tensor([count]))
        np.testing.assert_allclose(
            exported.log_probs(waveform.numpy()), expected[0], rtol=0, atol=1e-4
        )
    with pytest.raises(AudioError, match=f"{least - 1} samples are too short"):
        exported.classify(np.zeros(least - 1, np.float32))


def test_padding_in_a_batch_changes_nothing(exported: ExportedModel) -> None:
    assert exported.offline is not None
    waveform = np.stack([sound(1).numpy(), np.zeros(RATE, np.float32)])
    waveform[1, :3000] = waveform[0, :3000]
    waveform[1, 3000:] = 0.5
    found = exported.offline({"waveform": waveform, "lengths": np.array([RATE, 3000])})[0]
    for row, length in ((0, RATE), (1, 3000)):
        alone = exported.log_probs(waveform[row, :length])
        np.testing.assert_allclose(found[row], alone, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 10**6), max_size=8), seconds=st.floats(0.01, 1.3))
def test_stream_of_any_chunking_equals_torch(
    model: SpeechModel, exported: ExportedModel, cuts: list[int], seconds: float
) -> None:
    waveform = sound()[: round(seconds * RATE)]
    found = in_pieces(ExportStream(exported), waveform.numpy(), cuts)
    whole = in_pieces(ExportStream(exported), waveform.numpy(), [])
    np.testing.assert_array_equal(found, whole)
    lengths = torch.tensor([len(waveform)])
    with torch.inference_mode():
        encoded, counts = model.encode(waveform[None], lengths)
        expected = model.head.posteriors(encoded, counts)[0].numpy()  # type: ignore[operator]
    # Only the frame that zeros beyond the end complete is left out.
    assert len(expected) - 1 <= len(found) <= len(expected)
    np.testing.assert_allclose(found, expected[: len(found)], rtol=0, atol=1e-5)


def test_a_state_is_not_changed_by_a_step(exported: ExportedModel) -> None:
    stream, samples = ExportStream(exported), sound().numpy()
    _, state = stream.step(samples[:3000], stream.initial_state())
    first, _ = stream.step(samples[3000:6000], state)
    again, _ = stream.step(samples[3000:6000], state)
    np.testing.assert_array_equal(first, again)


def test_windows_equal_those_of_torch(model: SpeechModel, exported: ExportedModel) -> None:
    """A network that looks ahead is heard in windows; here the causal one stands for it."""
    windowed = copy.deepcopy(model)
    windowed.encoder.causal = False
    frames = posterior_stream(windowed, window_s=0.5, hop_s=0.1)
    waveform = sound()
    for samples in (waveform, waveform[:3000], waveform[:100]):
        values, state = frames.step(samples, frames.initial_state())
        expected = torch.cat([values, frames.flush(state)]).numpy()
        stream = ExportWindows(exported, 0.5, 0.1)
        found = in_pieces(stream, samples.numpy(), [2345, 5432])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_spotting_equals_torch(model: SpeechModel, exported: ExportedModel) -> None:
    waveform = sound(6)
    reference = KeywordSpotter(model, SETTINGS)
    expected = list(torch_spot_blocks(reference, waveform.split(1000)))
    found = list(spot_blocks(ExportSpotter(exported), np.split(waveform.numpy(), [7, 9999])))
    assert expected
    assert [(d.label, d.start_s, d.time_s) for d in found] == [
        (d.label, d.start_s, d.time_s) for d in expected
    ]
    np.testing.assert_allclose([d.score for d in found], [d.score for d in expected], atol=1e-5)


@pytest.mark.data
def test_real_speech_equals_torch(model: SpeechModel, exported: ExportedModel) -> None:
    for recording in real_recordings(40):
        with torch.inference_mode():
            expected, _ = model(recording[None], torch.tensor([len(recording)]))
            encoded, counts = model.encode(recording[None], torch.tensor([len(recording)]))
            frames = model.head.posteriors(encoded, counts)[0].numpy()  # type: ignore[operator]
        np.testing.assert_allclose(
            exported.log_probs(recording.numpy()), expected[0], rtol=0, atol=1e-4
        )
        found = in_pieces(ExportStream(exported), recording.numpy(), [17, 1000, 1001])
        np.testing.assert_allclose(found, frames[: len(found)], rtol=0, atol=1e-5)


def test_commands_run_without_torch(folder: Path, tmp_path: Path) -> None:
    wav = tmp_path / "a.wav"
    save_audio(wav, sound(6), RATE)
    code = (
        "import sys\n"
        "from seqlab.cli.main import main\n"
        f"codes = [main(['classify', {str(folder)!r}, {str(wav)!r}, '--top', '2']),\n"
        f"         main(['spot', {str(folder)!r}, {str(wav)!r}, '--format', 'json'])]\n"
        "print(codes, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[0, 0] False", done.stderr
    labels = [line.split()[1] for line in lines[1:3]]
    model = ExportedModel.load(folder)
    assert labels == [c.label for c in model.classify(load_samples(wav, RATE), 2)]
    blocks = read_sample_blocks(wav, 5.0, RATE)
    expected = [d.label for d in spot_blocks(ExportSpotter(model), blocks)]
    assert [json.loads(line)["label"] for line in lines[3:-1]] == expected
    assert "guess" not in done.stderr  # the operating point came along


def test_spot_standard_input_and_refused_options(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wav = tmp_path / "a.wav"
    save_audio(wav, sound(3), RATE)

    class Pipe(io.BytesIO):
        @property
        def buffer(self) -> io.BytesIO:
            return self

    raw = (load_samples(wav, RATE) * 32768).astype("<i2").tobytes()
    assert main(["spot", str(folder), str(wav)]) == 0
    of_file = [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]
    for content in (wav.read_bytes(), raw):
        monkeypatch.setattr(sys, "stdin", Pipe(content))
        assert main(["spot", str(folder), "-"]) == 0
        assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == of_file
    assert of_file
    for options, message in [
        (["spot", str(folder), str(wav), "--gate"], "--gate is not for exports"),
        (["spot", str(folder), "--microphone"], "--microphone is not for exports"),
        (["transcribe", str(folder), str(wav)], "classifies recordings; use seqlab classify"),
        (["transcribe", str(folder), str(wav), "--times"], "--times is not for exports"),
        (["classify", str(folder), str(tmp_path / "none.wav")], "no such file"),
    ]:
        assert main(options) == 2, options
        assert message in capsys.readouterr().err


def test_resampled_files_are_those_of_torch(tmp_path: Path) -> None:
    from seqlab.audio import load_audio

    save_audio(tmp_path / "a.flac", sound(), RATE)
    expected, _ = load_audio(tmp_path / "a.flac", sample_rate=11025)
    np.testing.assert_array_equal(load_samples(tmp_path / "a.flac", 11025), expected)
    blocks = list(read_sample_blocks(tmp_path / "a.flac", 0.1, 11025))
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-6)


def change(folder: Path, tmp_path: Path, **values: object) -> Path:
    target = tmp_path / "copy"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    content = json.loads((target / "export.json").read_text())
    for name, value in values.items():
        *sections, last = name.split("__")
        place = content
        for section in sections:
            place = place[section]
        if value is None:
            del place[last]
        else:
            place[last] = value
    (target / "export.json").write_text(json.dumps(content))
    return target


def test_damaged_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    for values, message in [
        ({"format": "x"}, '"format" must be'),
        ({"format_version": 99}, "a newer seqlab"),
        ({"tokens": []}, "tokens must be a list"),
        ({"tokens": None}, "'tokens' is missing"),
        ({"unit": 10**9}, "unit=1000000000 must be a whole number"),
        ({"sample_rate": True}, "sample_rate=True"),
        ({"stream__block": 1}, "block=1 must be a multiple"),
        ({"stream__lead": -1}, "lead=-1"),
        ({"stream__states": [{"input": "a", "output": "b", "shape": [2**20, 2**20],
                              "type": "float32"}]}, "must hold at most"),
        ({"stream__states": []}, "stream.onnx takes"),
        ({"digests__model.onnx": "0"}, "is not the graph that export.json names"),
        ({"digests": {"../../etc/passwd": "0"}}, "digests must be of"),
        ({"stream": 5}, "is damaged"),
    ]:  # fmt: skip
        with pytest.raises(ModelError, match=message):
            ExportedModel.load(change(folder, tmp_path, **values))
    damaged = change(folder, tmp_path)
    (damaged / "spotting.json").write_text('{"settings": {"threshold": 7}}')
    with pytest.raises(ModelError, match=r"spotting\.json cannot be used"):
        ExportedModel.load(damaged)
    (damaged / "export.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match=r"export\.json"):
        read_facts(damaged)
    (damaged / "model.onnx").unlink()
    with pytest.raises(ModelError, match="name a folder that seqlab export wrote"):
        ExportedModel.load(tmp_path)


def hashed(damaged: Path, content: bytes) -> Path:
    import hashlib

    (damaged / "model.onnx").write_bytes(content)
    facts = json.loads((damaged / "export.json").read_text())
    facts["digests"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    (damaged / "export.json").write_text(json.dumps(facts))
    return damaged


def test_hostile_graphs_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    damaged = change(folder, tmp_path)
    with pytest.raises(ModelError, match="cannot be run"):
        ExportedModel.load(hashed(damaged, b"no graph"))
    graph = onnx.load(folder / "model.onnx")
    graph.graph.node[0].op_type, graph.graph.node[0].domain = "Evil", "of.others"
    with pytest.raises(ModelError, match="cannot be run"):
        ExportedModel.load(hashed(damaged, graph.SerializeToString()))
    graph = onnx.load(folder / "model.onnx")
    tensor = next(t for t in graph.graph.initializer if t.data_type == 1 and len(t.raw_data) > 64)
    (tmp_path / "secret").write_bytes(bytes(len(tensor.raw_data)))
    monkeypatch.chdir(tmp_path)
    onnx.external_data_helper.set_external_data(tensor, "secret")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(ModelError, match="outside of its file"):
        ExportedModel.load(hashed(damaged, graph.SerializeToString()))


def test_a_graph_that_says_something_else(folder: Path, tmp_path: Path) -> None:
    damaged = change(folder, tmp_path, tokens=["a", "b"])
    with pytest.raises(ModelError, match="must be float32 of shape"):
        ExportedModel.load(damaged).classify(sound().numpy())


def test_a_folder_of_others_is_left_alone(model: SpeechModel, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("x")
    with pytest.raises(ModelError, match="exists and is no export"):
        export_model(model, tmp_path, recordings=made_recordings(RATE))
    with pytest.raises(SeqlabError, match="tolerance=2"):
        export_model(model, tmp_path / "new", recordings=made_recordings(RATE), tolerance=2)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


@pytest.mark.parametrize(
    ("samples", "message"), [(np.zeros((2, 9), np.float32), "shape"), (np.zeros(9, int), "int")]
)
def test_bad_samples(exported: ExportedModel, samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        exported.classify(samples)
