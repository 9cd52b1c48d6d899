"""Exported front ends, run by onnxruntime, equal the front ends themselves."""

from __future__ import annotations

import copy
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import load_audio
from seqlab.contracts import Frontend
from seqlab.errors import MissingDependencyError, SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.framing import EDGES
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.onnx.export import OPSETS, export_onnx, onnx_model
from seqlab.frontend.onnx.radix import columns_of
from seqlab.frontend.onnx.rows import KNOWN_EDGES
from seqlab.frontend.plp import PLP
from seqlab.frontend.presets import PRESETS
from seqlab.frontend.spectrogram import Spectrogram
from seqlab.lengths import pad_stack

onnxruntime = pytest.importorskip("onnxruntime", reason='needs pip install "seqlab[onnx]"')
onnx = pytest.importorskip("onnx", reason='needs pip install "seqlab[onnx]"')
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*bands hold no bin"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

KINDS: dict[str, type[FramedFrontend]] = {
    kind.__name__: kind for kind in (LogMel, MFCC, PLP, Spectrogram)
}
# Allowed difference from torch in float64. What follows the spectrum is float32; decibels are 4.3
# times as large as natural logarithms, and cepstra are sums of up to 128 of them.
EQUAL = 1e-4  # between a model and the front end it was made of
CLOSE = {"LogMel": 3e-5, "Spectrogram": 3e-5, "PLP": 3e-5, "MFCC": 3e-4}
WIDER = {("MFCC", "torchaudio"): 2e-3}  # c0 reaches 714
# With a spectrum in float32, bins and narrow bands far below the rest of it lose digits.
SINGLE_CLOSE = 2e-4
SINGLE_WIDER = {
    ("LogMel", "torchaudio"): 1e-2,
    ("MFCC", "librosa"): 5e-4,
    ("MFCC", "torchaudio"): 2e-3,
    ("Spectrogram", "kaldi"): 1e-3,
    ("Spectrogram", "librosa"): 2e-2,
    ("Spectrogram", "torchaudio"): 2e-2,
}
PRESET_CASES = [(kind, name) for kind in KINDS for name in PRESETS[kind]]
OPTIONS: dict[str, dict[str, Any]] = {
    "mirror, deltas": {"edges": "mirror", "delta_order": 2},
    "zero, magnitude": {"edges": "zero", "power": 1.0, "periodic": True, "window": "hann"},
    "reflect, decibels": {"edges": "reflect", "compression": "db", "energy": "none"},
    "reflect, drop_last": {"edges": "reflect", "drop_last": True, "n_fft": 640},
    "windowed energy": {"energy": "windowed", "remove_dc": False, "energy_floor": 3.0},
    "raw energy": {"energy": "raw", "remove_dc": False, "preemphasis": 0.0},
    "htk deltas": {"delta_order": 2, "delta_method": "htk", "delta_window": 3},
    "range": {"dynamic_range": 5.0, "compression": "log10", "energy": "none"},
    "odd lengths": {"win_length": 331, "hop_length": 173, "n_fft": 333, "edges": "reflect"},
    "odd power": {"power": 1.5, "scale": 100.0},
    "gaps": {"win_length": 160, "hop_length": 400, "edges": "mirror"},
    "whisper scale": {"compression": "whisper", "scale": 1.0, "floor": 1e-10, "energy": "none"},
    "edge": {"edges": "edge", "window": "sine"},
    "tiny": {"win_length": 2, "hop_length": 1, "n_fft": 64},
}
LENGTHS = [9000, 2500, 399, 400, 1, 0]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def options_of(kind: str, name: str) -> dict[str, Any]:
    options = dict(OPTIONS[name])
    if kind != "Spectrogram":
        options["n_mels"] = 15
    if kind == "PLP":
        options |= {"lpc_order": 8, "n_plp": 9}
    return options


def run(path: Path, waveform: Tensor, lengths: Tensor | None) -> list[NDArray[Any]]:
    settings_ = onnxruntime.SessionOptions()
    settings_.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, settings_)
    inputs = {"waveform": waveform.numpy()}
    if lengths is not None:
        inputs["lengths"] = lengths.numpy()
    results: list[NDArray[Any]] = session.run(None, inputs)
    return results


def assert_same(
    path: Path, frontend: FramedFrontend, batch: Tensor, lengths: Tensor, close: float
) -> None:
    """Features within ``close`` of torch in float64, relative to their size where it is above 1."""
    features, counts = run(path, batch, lengths)
    exact, expected_counts = copy.deepcopy(frontend).double()(batch.double(), lengths)
    assert features.dtype == np.float32
    assert counts.tolist() == expected_counts.tolist()
    assert features.shape == tuple(exact.shape)
    scale = 1.0
    if frontend.options.compression == "none" and not isinstance(frontend, PLP):
        scale = float(exact.abs().max())
    assert np.abs(features - exact.numpy()).max(initial=0) <= close * scale


@pytest.mark.parametrize(("kind", "name"), PRESET_CASES)
def test_presets(kind: str, name: str, tmp_path: Path) -> None:
    frontend = KINDS[kind].from_preset(name)
    export_onnx(frontend, tmp_path / "model.onnx")
    batch, lengths = pad_stack([noise(n, seed=n) for n in LENGTHS], value=torch.nan)
    close = WIDER.get((kind, name), CLOSE[kind])
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, close)


@pytest.mark.parametrize(("kind", "name"), PRESET_CASES)
def test_presets_by_runtimes_without_float64(kind: str, name: str, tmp_path: Path) -> None:
    frontend = KINDS[kind].from_preset(name)
    export_onnx(frontend, tmp_path / "model.onnx", double=False)
    model = onnx.load(tmp_path / "model.onnx")
    assert {each.data_type for each in model.graph.initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }
    assert not [node for node in model.graph.node if node.op_type == "Cast" and to_double(node)]
    batch, lengths = pad_stack([noise(n, seed=n) for n in LENGTHS], value=torch.nan)
    close = SINGLE_WIDER.get((kind, name), SINGLE_CLOSE)
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, close)


def to_double(node: Any) -> bool:
    return any(each.i == onnx.TensorProto.DOUBLE for each in node.attribute if each.name == "to")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPTIONS)
def test_options(kind: str, name: str, tmp_path: Path) -> None:
    options = options_of(kind, name)
    frontend = KINDS[kind](**options)
    export_onnx(frontend, tmp_path / "model.onnx")
    batch, lengths = pad_stack([noise(n, seed=n) for n in LENGTHS], value=torch.nan)
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, CLOSE[kind])


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_by_fourier_transforms_and_in_float32(
    name: str, double: bool, tmp_path: Path
) -> None:
    frontend = LogMel(**options_of("LogMel", name))
    export_onnx(frontend, tmp_path / "model.onnx", fft=double, double=double)
    # One sample, mirrored, is a constant: in float32 its spectrum is all rounding errors.
    sizes = [n for n in LENGTHS if double or n != 1]
    batch, lengths = pad_stack([noise(n, seed=n) for n in sizes], value=torch.nan)
    close = CLOSE["LogMel"] if double else 1e-3
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, close)


@pytest.mark.parametrize("kind", ["LogMel", "MFCC"])
def test_ten_seconds_of_noise_are_equal(kind: str, tmp_path: Path) -> None:
    frontend, lengths = KINDS[kind](), torch.tensor([160000])
    export_onnx(frontend, tmp_path / "model.onnx")
    for seed in range(5):
        waveform = noise(1, 160000, seed=seed)
        features = torch.from_numpy(run(tmp_path / "model.onnx", waveform, lengths)[0])
        torch.testing.assert_close(features, frontend(waveform, lengths)[0], rtol=0, atol=EQUAL)


@pytest.mark.data
@pytest.mark.parametrize("kind", ["LogMel", "MFCC", "PLP"])
def test_speech_is_equal(kind: str, tmp_path: Path, corpora: Path) -> None:
    paths = sorted((corpora / "an4").rglob("*.flac"))[:12]
    assert paths
    clips = [load_audio(path)[0] for path in paths]
    frontend = KINDS[kind]()
    export_onnx(frontend, tmp_path / "model.onnx")
    batch, lengths = pad_stack(clips, value=torch.nan)
    features = torch.from_numpy(run(tmp_path / "model.onnx", batch, lengths)[0])
    torch.testing.assert_close(features, frontend(batch, lengths)[0], rtol=0, atol=EQUAL)
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, EQUAL)


@pytest.mark.data
def test_float32_costs_digits_where_speech_is_silent(tmp_path: Path, corpora: Path) -> None:
    paths = sorted((corpora / "an4").rglob("*.flac"))[:12]
    frontend = LogMel()
    export_onnx(frontend, tmp_path / "model.onnx", double=False)
    batch, lengths = pad_stack([load_audio(path)[0] for path in paths], value=torch.nan)
    features = torch.from_numpy(run(tmp_path / "model.onnx", batch, lengths)[0])
    difference = (features - frontend(batch, lengths)[0]).abs()
    assert float((difference > 1e-4).float().mean()) < 3e-3
    assert 1e-4 < float(difference.max()) < 2e-3


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({}, 16),
        ({"window": "hamming"}, None),  # whose first sample counts
        ({"window": "hamming", "preemphasis": 0.0}, 16),
        ({"win_length": 640, "hop_length": 320, "n_fft": 1024}, 16),
        ({"energy": "raw"}, None),
        ({"power": 1.0}, None),
        ({"win_length": 331, "hop_length": 173, "n_fft": 333}, None),
    ],
)
def test_short_transforms_are_taken_where_they_fit(
    options: dict[str, Any], columns: int | None
) -> None:
    frontend = LogMel(n_mels=40, **options)
    assert columns_of(frontend) == columns
    for double in (False, True):
        kinds = [node.op_type for node in onnx_model(frontend, double=double).graph.node]
        assert ("Conv" in kinds) == (columns is not None and not double)


def test_short_transforms_of_quiet_bands_are_close() -> None:
    """A loud tone beside noise a million times weaker in power, and an offset."""
    time = torch.arange(16000) / 16000
    waveform = 0.3 * torch.sin(2 * torch.pi * 1000 * time)[None] + noise(1, 16000) * 3e-3 + 0.05
    lengths = torch.tensor([16000])
    for frontend in (LogMel(n_mels=40), LogMel(n_mels=40, remove_dc=False, preemphasis=0.0)):
        model = onnx_model(frontend, double=False).SerializeToString()
        session = onnxruntime.InferenceSession(model)
        feed = {"waveform": waveform.numpy(), "lengths": lengths.numpy()}
        features = torch.from_numpy(session.run(None, feed)[0])
        torch.testing.assert_close(features, frontend(waveform, lengths)[0], rtol=0, atol=1e-3)


@cache
def exported(kind: str) -> tuple[FramedFrontend, Any]:
    frontend = KINDS[kind](delta_order=1, edges="mirror" if kind == "MFCC" else "snip")
    model = onnx_model(frontend).SerializeToString()
    return frontend, onnxruntime.InferenceSession(model)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(
        st.one_of(st.sampled_from([0, 1, 399, 400, 560]), st.integers(0, 4000)),
        min_size=1,
        max_size=4,
    ),
    extra=st.integers(0, 700),
)
@pytest.mark.parametrize("kind", ["LogMel", "MFCC"])
def test_any_lengths_and_padding(kind: str, sizes: list[int], extra: int) -> None:
    frontend, session = exported(kind)
    batch, lengths = pad_stack([noise(n, seed=i) for i, n in enumerate(sizes)], value=torch.nan)
    padded = torch.nn.functional.pad(batch, (0, extra), value=torch.nan)
    features, counts = session.run(None, {"waveform": padded.numpy(), "lengths": lengths.numpy()})
    expected, expected_counts = frontend(batch, lengths)
    assert counts.tolist() == expected_counts.tolist()
    torch.testing.assert_close(torch.from_numpy(features), expected, rtol=0, atol=EQUAL)
    for row, count, n, waveform in zip(features, counts, sizes, batch, strict=True):
        alone = {"waveform": waveform[None, :n].numpy(), "lengths": np.array([n])}
        np.testing.assert_allclose(row[:count], session.run(None, alone)[0][0], rtol=0, atol=EQUAL)
        assert not row[count:].any()


def test_half_a_minute(tmp_path: Path) -> None:
    export_onnx(LogMel(), tmp_path / "model.onnx")
    waveform, lengths = noise(1, 480000), torch.tensor([480000])
    assert_same(tmp_path / "model.onnx", LogMel(), waveform, lengths, 1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0, 300.0])
def test_silence_quiet_loud_and_offset(level: float, tmp_path: Path) -> None:
    for number, frontend in enumerate((LogMel(), MFCC(remove_dc=False), PLP(energy="none"))):
        path = tmp_path / f"{number}.onnx"
        export_onnx(frontend, path)
        for offset in (0.0, 0.5):
            waveform = noise(1, 4000) * level + offset * level
            lengths = torch.tensor([4000])
            features, _ = run(path, waveform, lengths)
            assert np.isfinite(features).all()
            expected, _ = frontend(waveform, lengths)
            torch.testing.assert_close(torch.from_numpy(features), expected, rtol=0, atol=EQUAL)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_sample_spoils_only_its_frames(bad: float, tmp_path: Path) -> None:
    frontend = LogMel(dynamic_range=3.0)
    export_onnx(frontend, tmp_path / "model.onnx")
    waveform, lengths = noise(2, 4000), torch.tensor([4000, 4000])
    clean, _ = run(tmp_path / "model.onnx", waveform, lengths)
    waveform[0, 2000] = bad
    spoilt, _ = run(tmp_path / "model.onnx", waveform, lengths)
    assert np.array_equal(spoilt[1], clean[1])
    assert np.isnan(spoilt[0, 11]).all()
    assert np.isfinite(spoilt[0, :9]).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.float64, torch.int16])
def test_other_types_of_samples(kind: torch.dtype, tmp_path: Path) -> None:
    waveform = noise(2, 3000)
    if kind == torch.int16:
        waveform = waveform * 32768
    waveform = waveform.to(kind)
    lengths = torch.tensor([3000, 1200])
    export_onnx(MFCC(), tmp_path / "model.onnx", waveform_type=kind)
    features, _ = run(tmp_path / "model.onnx", waveform, lengths)
    expected, _ = MFCC()(waveform, lengths)
    torch.testing.assert_close(torch.from_numpy(features), expected, rtol=0, atol=EQUAL)


def test_bfloat16_samples_are_declared() -> None:
    model = onnx_model(LogMel(), waveform_type=torch.bfloat16)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16


def test_without_lengths_every_sample_counts(tmp_path: Path) -> None:
    export_onnx(LogMel(), tmp_path / "model.onnx", lengths=False)
    features, counts = run(tmp_path / "model.onnx", noise(3, 2000), None)
    expected, expected_counts = LogMel()(noise(3, 2000), torch.full((3,), 2000))
    assert counts.tolist() == expected_counts.tolist()
    torch.testing.assert_close(torch.from_numpy(features), expected, rtol=0, atol=EQUAL)


def test_no_operator_of_fourier_transforms_unless_asked_for(tmp_path: Path) -> None:
    kinds = [{node.op_type for node in onnx_model(LogMel(), fft=f).graph.node} for f in (0, 1)]
    assert kinds[1] - kinds[0] >= {"DFT"}
    assert not {"DFT", "STFT"} & kinds[0]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("fft", [False, True])
def test_versions_of_operators(opset: int, fft: bool, tmp_path: Path) -> None:
    frontend = LogMel(edges="mirror", delta_order=1, remove_dc=False, dynamic_range=9.0)
    export_onnx(frontend, tmp_path / "model.onnx", opset=opset, fft=fft)
    batch, lengths = pad_stack([noise(n, seed=n) for n in LENGTHS], value=torch.nan)
    assert_same(tmp_path / "model.onnx", frontend, batch, lengths, CLOSE["LogMel"])
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == opset


def test_models_say_what_they_are(tmp_path: Path) -> None:
    export_onnx(MFCC(delta_order=2), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts["frontend"] == "seqlab.frontend.mfcc.MFCC"
    assert (facts["sample_rate"], facts["output_dim"]) == ("16000", "39")
    assert [each.name for each in model.graph.input] == ["waveform", "lengths"]
    assert [each.name for each in model.graph.output] == ["features", "feature_lengths"]


def test_every_kind_of_edges_is_known() -> None:
    assert set(KNOWN_EDGES) == set(EDGES)
    assert set(EDGES) - {"snip"} <= {options.get("edges") for options in OPTIONS.values()}


def test_lengths_beyond_the_waveform_are_cut(tmp_path: Path) -> None:
    export_onnx(LogMel(), tmp_path / "model.onnx")
    far, near = (
        run(tmp_path / "model.onnx", noise(1, 2000), torch.tensor([n])) for n in (9999, 2000)
    )
    assert np.array_equal(far[0], near[0])
    none = run(tmp_path / "model.onnx", noise(1, 2000), torch.tensor([-5]))
    assert none[0].shape == (1, 0, 80)
    assert none[1].tolist() == [0]


class Squared(LogMel):
    """Changes what LogMel computes, and where the exporter does not look."""

    def compress(self, values: Tensor) -> Tensor:
        """Squares."""
        result = super().compress(values)
        return result.square()


class Finished(LogMel):
    """Changes the last step."""

    def finish(self, features: Tensor) -> Tensor:
        """Twice as much."""
        return 2 * features


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("an older model")
    with pytest.raises(SeqlabError, match=r"dither=1\.0 of LogMel cannot .* set dither=0"):
        export_onnx(LogMel(dither=1.0), path)
    with pytest.raises(SeqlabError, match="Finished overrides finish"):
        export_onnx(Finished(), path)
    with pytest.raises(SeqlabError, match="differs from Squared by"):
        export_onnx(Squared(), path)
    with pytest.raises(SeqlabError, match="opset=7 must be one of 18"):
        export_onnx(LogMel(), path, opset=7)
    with pytest.raises(SeqlabError, match=r"waveform_type=torch\.int32 must be one of"):
        export_onnx(LogMel(), path, waveform_type=torch.int32)
    with pytest.raises(SeqlabError, match="str cannot be exported"):
        export_onnx("LogMel", path)  # type: ignore[arg-type]
    with pytest.raises(SeqlabError, match="no such folder"):
        export_onnx(LogMel(), tmp_path / "nowhere" / "model.onnx")
    assert path.read_text() == "an older model"
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=rf'{name} is .* pip install "seqlab\[onnx\]"'):
        export_onnx(LogMel(), tmp_path / "model.onnx")


def test_a_front_end_on_another_device_or_in_double_is_left_alone(tmp_path: Path) -> None:
    frontend: Frontend = LogMel().double()
    export_onnx(frontend, tmp_path / "model.onnx")
    assert next(frontend.buffers()).dtype == torch.float64
    waveform, lengths = noise(1, 2000), torch.tensor([2000])
    assert_same(tmp_path / "model.onnx", LogMel(), waveform, lengths, CLOSE["LogMel"])


@pytest.mark.gpu
def test_a_front_end_on_a_graphics_card(tmp_path: Path) -> None:
    frontend = LogMel().cuda()
    export_onnx(frontend, tmp_path / "model.onnx")
    assert next(frontend.buffers()).is_cuda
    waveform, lengths = noise(1, 2000), torch.tensor([2000])
    assert_same(tmp_path / "model.onnx", LogMel(), waveform, lengths, CLOSE["LogMel"])
