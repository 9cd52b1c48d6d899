"""Streaming exports of every front end and normaliser that can stream, found by discovery.

Each is held against torch's own answer for the whole recording, in any chunking, on real speech
where there is some.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqlab.contracts import Frontend
from seqlab.decoding.keyword import DetectorSettings
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import GlobalCMVN, Normalizer, PeakReference, UtteranceCMVN
from seqlab.frontend.pcen import PCEN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.spotting import KeywordSpotter
from seqlab.inference.spotting import spot_blocks as torch_spot_blocks
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer
from tests.contract.discovery import implementations
from tests.contract.invariants import settled
from tests.export.models import RATE, real_recordings

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from seqlab.deploy.model import ExportedModel
from seqlab.deploy.spotting import ExportSpotter, spot_blocks
from seqlab.deploy.streams import ExportStream
from seqlab.export.export import export_model, made_recordings
from seqlab.export.plan import plan_stream
from seqlab.export.running_gain import RunningGain
from seqlab.export.sliding import SlidingMean, WholeSlidingMean
from seqlab.export.whole import UtteranceMean, UtterancePeak

SUBSAMPLING = 2
FRONTENDS: dict[str, dict[str, Any]] = {  # settings that every framed front end is tried with
    "plain": {},
    "kaldi deltas": {"delta_order": 2},
    "htk deltas": {"delta_order": 2, "delta_method": "htk", "delta_window": 3},
    "mirrored deltas": {"delta_order": 1, "edges": "mirror"},
    "centred": {"edges": "zero", "energy": "raw"},
}
NORMALIZERS: dict[str, list[dict[str, Any]]] = {
    "GlobalCMVN": [{}],
    "PCEN": [{}, {"start": 1.0, "bias": 0.0}],
    "SlidingCMVN": [
        {"window": 60, "min_window": 20},
        {"window": 31, "min_window": 1, "variance": True},
        {"window": 24, "center": True, "variance": True},
    ],
}


def streaming_frontends() -> list[type[FramedFrontend]]:
    kinds = [kind for kind in implementations(Frontend) if issubclass(kind, FramedFrontend)]
    return [kind for kind in kinds if kind(sample_rate=RATE).can_stream]


def streaming_normalizers() -> list[type[Normalizer]]:
    found, queue = [], [Normalizer]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if child.can_stream and child.__module__.startswith("seqlab."):
                found.append(child)
    return sorted(found, key=lambda kind: kind.__name__)


def recordings() -> list[Tensor]:
    """Real speech, or else made sound; some shorter than what normalisers wait for."""
    if os.environ.get("SEQLAB_DATA"):
        found = real_recordings(3)
        return [torch.cat(found), found[0], found[1][:1500]]
    made = made_recordings(RATE)
    return [made[1], made[0][:3000], made[0][:1500]]


def model_of(frontend: Frontend, normalizer: Normalizer | None) -> SpeechModel:
    torch.manual_seed(0)
    if normalizer is not None and normalizer.needs_fit:
        pairs = [(frontend.extract(r, RATE)[None]) for r in recordings()]
        normalizer.fit([(p, torch.tensor([p.shape[1]])) for p in pairs])
    encoder = SeparableConvEncoder(
        frontend.output_dim, widths=6, kernel_sizes=(5,), repeats=1, strides=(SUBSAMPLING,),
        output_dim=5, causal=True,
    )  # fmt: skip
    encoder = settled(encoder, frontend.output_dim)
    tokenizer = CharacterTokenizer(characters=" abc")
    head = CTCHead(encoder.output_dim, len(tokenizer))
    return SpeechModel(frontend, encoder, head, tokenizer, normalizer).eval()


def frontend_cases() -> list[tuple[str, Frontend, Normalizer | None]]:
    return [
        (f"{kind.__name__}, {name}", kind(sample_rate=RATE, **given_), None)
        for kind in streaming_frontends()
        for name, given_ in FRONTENDS.items()
    ]


def normalizer_cases() -> list[tuple[str, Frontend, Normalizer | None]]:
    cases = []
    for kind in streaming_normalizers():
        for place, given_ in enumerate(NORMALIZERS[kind.__name__]):
            for deltas in (0, 2):
                linear = "none" if kind is PCEN else "log"
                if kind is PCEN and deltas:
                    continue  # slopes are no energies
                frontend = LogMel(
                    sample_rate=RATE, n_mels=12, delta_order=deltas, compression=linear
                )
                own = {"input_dim": frontend.output_dim} if kind is GlobalCMVN else {}
                name = f"{kind.__name__} {place}, deltas {deltas}"
                cases.append((name, frontend, kind(**own, **given_)))
    return cases


CASES = [*normalizer_cases(), *frontend_cases()]
FAST = {"SlidingCMVN 2, deltas 2"}


def test_discovery_knows_settings_for_each() -> None:
    assert {kind.__name__ for kind in streaming_normalizers()} == set(NORMALIZERS)
    assert {kind.__name__ for kind in streaming_frontends()} >= {"LogMel", "MFCC", "PLP"}


def parameters() -> list[Any]:
    marks = {True: (), False: (pytest.mark.slow,)}
    return [pytest.param(case, id=case[0], marks=marks[case[0] in FAST]) for case in CASES]


@pytest.mark.parametrize("case", parameters())
def test_streams_and_recordings_equal_torch(
    case: tuple[str, Frontend, Normalizer | None], tmp_path: Path
) -> None:
    _, frontend, normalizer = case
    model = model_of(frontend, normalizer)
    agreement = export_model(
        model, tmp_path / "x", recordings=recordings(), streaming=True, block_s=0.1
    )
    assert agreement.stream is not None and agreement.stream <= 1e-5
    assert agreement.offline is not None and agreement.offline <= 1e-5
    exported = ExportedModel.load(tmp_path / "x")
    for recording in recordings():
        check_chunks(model, exported, recording)


def check_chunks(model: SpeechModel, exported: ExportedModel, recording: Tensor) -> None:
    with torch.inference_mode():
        whole = model(recording[None], torch.tensor([len(recording)]))[0][0].exp().numpy()
    frontend = model.frontend
    assert isinstance(frontend, FramedFrontend)
    facts = exported.facts.stream
    assert facts is not None
    # What only the end completes: one encoded frame; with edges all that reads beyond the end.
    most = 1
    if frontend.layout.edges != "snip":
        most += (facts.ahead + frontend.win_length) // exported.facts.unit + 1

    @settings(max_examples=6, deadline=None, database=None)
    @given(cuts=st.lists(st.integers(0, len(recording)), max_size=8))
    def check(cuts: list[int]) -> None:
        stream, parts = ExportStream(exported), []
        state = stream.initial_state()
        for piece in np.split(recording.numpy(), sorted(cuts)):
            found, state = stream.step(piece, state)
            parts.append(found)
        found = np.exp(np.concatenate([*parts, stream.flush(state)]))
        assert len(whole) - most <= len(found) <= len(whole)
        np.testing.assert_allclose(found, whole[: len(found)], rtol=0, atol=1e-5)

    check()


@pytest.mark.slow
def test_keywords_by_a_front_end_that_waits(tmp_path: Path) -> None:
    """Deltas, a window that slides and hysteresis: the detections are those of torch."""
    sound = made_recordings(RATE, 8)[7]
    frontend = LogMel(sample_rate=RATE, n_mels=12, delta_order=1)
    made = model_of(frontend, SlidingCMVN(window=40, min_window=30))
    head = KeywordHead(made.encoder.output_dim, 3, window=10, background=[0])
    labels = LabelTokenizer(labels=["<unknown>", "go", "stop"])
    model = SpeechModel(frontend, made.encoder, head, labels, made.normalizer).eval()
    scores = torch.cat(list(KeywordSpotter(model).posteriors([sound])))
    half = len(scores) // 2  # between two scores, which rounding cannot bring to it
    ranked = scores.sort(0)[0]
    middle = {
        name: float(ranked[half : half + 2, i].mean()) for i, name in ((1, "go"), (2, "stop"))
    }
    chosen = DetectorSettings(0.5, middle, smoothing_s=0.0, release=1.0, refractory_s=0.1)
    expected = list(torch_spot_blocks(KeywordSpotter(model, chosen), [sound]))
    export_model(model, tmp_path / "x", recordings=[sound], offline=False, streaming=True)
    exported = ExportSpotter(ExportedModel(tmp_path / "x"), chosen)
    found = list(spot_blocks(exported, np.array_split(sound.numpy(), 7)))
    assert len(expected) > 3
    assert [(d.label, d.start_s, d.time_s) for d in found] == [
        (d.label, d.start_s, d.time_s) for d in expected
    ]
    np.testing.assert_allclose([d.score for d in found], [d.score for d in expected], atol=1e-5)


@pytest.mark.slow
def test_int8_of_a_front_end_that_waits(tmp_path: Path) -> None:
    frontend = LogMel(sample_rate=RATE, n_mels=12, delta_order=1)
    model = model_of(frontend, SlidingCMVN(window=40, min_window=30))
    heard = made_recordings(RATE, 4)
    agreement = export_model(model, tmp_path / "x", recordings=heard, int8=True)
    assert agreement.stream is not None and agreement.stream < 0.1


def fed_in_pieces(stage: Any, features: Tensor, first: int, size: int) -> Tensor:
    """Frames (1, T, F) through a stage: a first block, then others, zeros beyond the end."""
    tensors, parts, fed = stage.initial(), [], 0
    total, sizes = features.shape[1], [first]
    while sum(sizes) < total + stage.ahead:
        sizes.append(size)
    padded = torch.nn.functional.pad(features, (0, 0, 0, sum(sizes) - total))
    for count in sizes:
        block = padded[:, fed : fed + count]
        seen = torch.tensor([min(fed + count, total)])
        found, tensors = stage.follow(block, tensors, torch.tensor([fed]), seen)
        parts.append(found[:, stage.ahead :] if fed == 0 else found)
        fed += count
    return torch.cat(parts, 1)[:, :total]


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(1, 12),
    min_window=st.integers(1, 12),
    center=st.booleans(),
    variance=st.booleans(),
    total=st.integers(1, 40),
    size=st.integers(1, 9),
    broken=st.booleans(),
)
def test_sliding_means_of_any_window(
    window: int, min_window: int, center: bool, variance: bool, total: int, size: int, broken: bool
) -> None:
    normalizer = SlidingCMVN(window, min(window, min_window), center, variance)
    generator = torch.Generator().manual_seed(total)
    features = torch.randn(1, total, 3, generator=generator) + 5
    if broken:
        features[0, total // 2, 1] = torch.nan
    expected = normalizer(features, torch.tensor([total]))
    stage = SlidingMean(normalizer, 3)
    found = fed_in_pieces(stage, features, stage.least + stage.ahead, size)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5, equal_nan=True)
    padded = torch.nn.functional.pad(features, (0, 0, 0, 4), value=9.0)
    whole = WholeSlidingMean(normalizer)(padded, torch.tensor([total]))[:, :total]
    torch.testing.assert_close(whole, expected, rtol=0, atol=2e-5, equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(
    smoothing=st.sampled_from([0.025, 0.5, 1.0]),
    start=st.sampled_from([None, 0.0, 1.0]),
    bias=st.sampled_from([0.0, 2.0]),
    total=st.integers(1, 200),
    size=st.integers(1, 150),
    broken=st.lists(st.integers(0, 199), max_size=5),
)
def test_running_gain_of_any_length(
    smoothing: float, start: float | None, bias: float, total: int, size: int, broken: list[int]
) -> None:
    normalizer = PCEN(smoothing=smoothing, start=start, bias=bias)
    generator = torch.Generator().manual_seed(total)
    features = 100 * torch.rand(1, total, 3, generator=generator)
    for place in broken:
        features[0, place % total, 2] = torch.inf
    expected = normalizer(features, torch.tensor([total]))
    stage = RunningGain(normalizer, 3)
    for found in (stage(features, torch.tensor([total])), fed_in_pieces(stage, features, 1, size)):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(
    mean=st.booleans(),
    variance=st.booleans(),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    broken=st.booleans(),
)
def test_normalisers_of_whole_recordings(
    mean: bool, variance: bool, lengths: list[int], broken: bool
) -> None:
    generator = torch.Generator().manual_seed(sum(lengths))
    features = torch.randn(len(lengths), 33, 3, generator=generator) * 4 - 9
    if broken:
        features[0, lengths[0] // 2, 1] = -torch.inf
    frames = torch.tensor(lengths)
    for normalizer, traced in [
        (UtteranceCMVN(mean, variance), UtteranceMean(UtteranceCMVN(mean, variance))),
        (PeakReference(), UtterancePeak(PeakReference())),
    ]:
        expected, found = normalizer(features, frames), traced(features, frames)
        for row, length in enumerate(lengths):
            one, other = found[row, :length], expected[row, :length]
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-5, equal_nan=True)


def test_every_argument_of_a_normaliser_is_known() -> None:
    """A setting that comes to a normaliser must come to its traced form, too."""
    known = {"window", "min_window", "center", "variance"}
    assert set(inspect.signature(SlidingCMVN).parameters) == known
    known = {"smoothing", "gain", "bias", "power", "epsilon", "start"}
    assert set(inspect.signature(PCEN).parameters) == known


def test_front_ends_that_cannot_stream_say_so() -> None:
    for frontend, message in [
        (LogMel(sample_rate=RATE, n_mels=12, dither=1.0), "dither=1.0 of LogMel"),
        (LogMel(sample_rate=RATE, n_mels=12, dynamic_range=8.0), "LogMel needs the whole"),
    ]:
        with pytest.raises(SeqlabError, match=message):
            plan_stream(model_of(frontend, None), 0.1, 1.0)
