"""Every Frontend in the package is found by walking it, and keeps the contract."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlab
from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend.presets import PRESETS
from seqlab.lengths import pad_stack

TOLERANCE = {"rtol": 1e-6, "atol": 1e-5}


def found_frontends() -> list[type[Frontend]]:
    """All concrete Frontend classes of the package."""
    for module in pkgutil.walk_packages(seqlab.__path__, "seqlab."):
        if module.name.startswith("seqlab.frontend"):
            importlib.import_module(module.name)
    found, queue = set(), [Frontend]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if child.__module__.startswith("seqlab.") and not inspect.isabstract(child):
                found.add(child)
    return sorted(found, key=lambda kind: kind.__name__)


VARIANTS = {
    "plain": {},
    "mirrored": {"edges": "mirror", "delta_order": 2},
    "centred": {"edges": "zero", "window": "hann", "periodic": True, "power": 1.0, "scale": 1.0},
    "reflected": {"edges": "reflect", "drop_last": True, "n_fft": 400, "compression": "db"},
    "dithered": {"dither": 1.0, "energy": "raw", "delta_order": 1, "delta_method": "htk"},
    "odd lengths": {"win_length": 331, "hop_length": 173, "n_fft": 333, "edges": "reflect"},
    "held": {"edges": "edge", "window": "sine", "n_fft": 400, "energy": "windowed"},
    "warped": {"vtln_warp": 1.15, "f_max": -200.0, "window": "blackman", "blackman_coeff": 0.426},
    "gaps": {"win_length": 160, "hop_length": 400, "edges": "mirror"},
}
CASES = [
    (kind, name)
    for kind in found_frontends()
    for name, options in VARIANTS.items()
    if not options or options.keys() & inspect.signature(kind).parameters.keys()
]
DYNAMIC = [
    kind for kind in found_frontends() if "dynamic_range" in inspect.signature(kind).parameters
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}", scope="module")
def frontend(request: pytest.FixtureRequest) -> Frontend:
    kind, name = request.param
    known = inspect.signature(kind).parameters
    options = {key: value for key, value in VARIANTS[name].items() if key in known}
    if "n_mels" in known:
        options["n_mels"] = 23
    return kind(**options)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def whole(frontend: Frontend, waveform: torch.Tensor) -> torch.Tensor:
    return frontend(waveform, torch.full((len(waveform),), waveform.shape[1]))[0]


def test_the_walk_finds_the_known_frontends() -> None:
    assert {"LogMel", "MFCC", "Spectrogram"} <= {kind.__name__ for kind in found_frontends()}


def test_shapes_and_lengths(frontend: Frontend) -> None:
    lengths = torch.tensor([4000, 1, 0, 2777])
    features, counts = frontend(noise(4, 4000), lengths)
    assert counts.dtype == torch.int64
    assert features.dtype == torch.float32
    assert features.shape == (4, int(counts.max()), frontend.output_dim)
    assert torch.equal(counts, frontend.output_lengths(lengths))
    for row, count in zip(features, counts.tolist(), strict=True):
        assert row[count:].abs().sum() == 0
    assert features.isfinite().all()


def test_a_padded_batch_equals_each_item_alone(frontend: Frontend) -> None:
    items = [noise(length, seed=length) for length in (5000, 400, 399, 1200, 1, 161)]
    batch, lengths = pad_stack(items, value=torch.nan)
    features, counts = frontend(batch, lengths)
    for row, count, item in zip(features, counts.tolist(), items, strict=True):
        torch.testing.assert_close(row[:count], whole(frontend, item[None])[0], **TOLERANCE)


def test_torch_and_the_compiled_kernel_agree_within_rounding(
    frontend: Frontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, lengths = pad_stack([noise(9000), noise(2000, seed=1)], value=torch.nan)
    compiled, _ = frontend(batch, lengths)
    exact, _ = copy.deepcopy(frontend).double()(batch, lengths)
    monkeypatch.setattr(frontend, "block_frames", 0, raising=False)
    torch_error = (frontend(batch, lengths)[0] - exact).abs().max()
    assert (compiled - exact).abs().max() <= 3 * torch_error + 1e-5
    assert torch_error < 0.02  # the lowest bins of log spectra, in digits lost


@pytest.mark.parametrize("missing", [0, 1])
def test_very_short_recordings(frontend: Frontend, missing: int) -> None:
    length = missing and frontend.win_length - 1
    lengths = torch.tensor([length])
    features, counts = frontend(noise(1, length), lengths)
    assert torch.equal(counts, frontend.output_lengths(lengths))
    assert features.shape == (1, int(counts[0]), frontend.output_dim)
    assert length or counts.tolist() == [0]


def test_an_empty_batch(frontend: Frontend) -> None:
    features, counts = frontend(noise(0, 4000), torch.zeros(0, dtype=torch.int64))
    assert features.shape[0] == 0
    assert counts.shape == (0,)


@pytest.mark.parametrize("silent", [False, True])
def test_gradients_to_the_waveform_are_finite(frontend: Frontend, silent: bool) -> None:
    waveform, lengths = pad_stack([noise(3000), noise(1500, seed=1)], value=torch.nan)
    waveform = (waveform * 0 if silent else waveform).requires_grad_()
    features, counts = frontend(waveform, lengths)
    features.sum().backward()
    assert counts.tolist() == frontend.output_lengths(lengths).tolist()
    for gradient, length in zip(waveform.grad, lengths.tolist(), strict=True):
        assert gradient[:length].isfinite().all()
        assert silent or gradient[:length].abs().sum() > 0
        assert gradient[length:].abs().sum() == 0


@settings(max_examples=15, deadline=None)
@given(
    length=st.one_of(st.integers(0, 900), st.integers(900, 5000)),
    chunks=st.lists(st.integers(0, 1500), max_size=12),
    streams=st.integers(1, 2),
)
def test_streaming_equals_forward(
    frontend: Frontend, length: int, chunks: list[int], streams: int
) -> None:
    waveform = noise(streams, length, seed=length)
    state = frontend.initial_state(streams)
    pieces, begin = [], 0
    for chunk in [*chunks, length]:
        features, state = frontend.step(waveform[:, begin : begin + chunk], state)
        pieces.append(features)
        begin = min(begin + chunk, length)
    pieces.append(frontend.flush(state))
    streamed, at_once = torch.cat(pieces, 1), whole(frontend, waveform)
    assert streamed.shape == at_once.shape
    torch.testing.assert_close(streamed, at_once, **TOLERANCE)
    assert not torch.backends.mkl.is_available() or torch.equal(streamed, at_once)


def test_a_stream_keeps_little_and_leaves_its_state_alone(frontend: Frontend) -> None:
    state = frontend.initial_state()
    for seed in range(20):
        state = frontend.step(noise(1, 1600, seed=seed), state)[1]
    assert state.samples.shape[1] < 2 * (frontend.win_length + frontend.hop_length)
    assert torch.equal(frontend.flush(state), frontend.flush(state))
    again = [frontend.step(noise(1, 999), state)[0] for _ in range(2)]
    assert torch.equal(*again)


def test_state_dict_round_trip(frontend: Frontend) -> None:
    before = whole(frontend, noise(1, 2000))
    assert frontend.state_dict() == {}  # all settings are arguments, nothing is trained
    frontend.load_state_dict(frontend.state_dict())
    assert torch.equal(whole(frontend, noise(1, 2000)), before)
    assert torch.equal(whole(copy.deepcopy(frontend), noise(1, 2000)), before)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_bad_sample_spoils_only_its_frames(frontend: Frontend, bad: float) -> None:
    waveform = noise(2, 8000)
    clean = whole(frontend, waveform)
    waveform[0, 4000] = bad
    spoilt = whole(frontend, waveform)
    assert torch.equal(spoilt[1], clean[1])
    reach = 2 * 2 * frontend.hop_length + frontend.win_length
    frames = torch.arange(len(clean[0])) * frontend.hop_length
    far = (frames < 4000 - reach) | (frames > 4000 + reach)
    assert far.any()
    assert torch.equal(spoilt[0, far], clean[0, far])
    if frontend.hop_length <= frontend.win_length:  # else the sample may fall between frames
        near = (frames - 4000).abs() < reach
        assert not torch.equal(spoilt[0, near], clean[0, near])


def test_half_precision_around_it_changes_nothing(frontend: Frontend) -> None:
    waveform = noise(1, 3000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(whole(frontend, waveform), whole(frontend, waveform).float())
        inside = whole(frontend, waveform)
    assert torch.equal(inside, whole(frontend, waveform))


@pytest.mark.gpu
def test_another_device_gives_the_same(frontend: Frontend) -> None:
    batch, lengths = pad_stack([noise(5000), noise(1200, seed=1)], value=torch.nan)
    expected, counts = frontend(batch, lengths)
    there = copy.deepcopy(frontend).cuda()
    features, there_counts = there(batch.cuda(), lengths.cuda())
    assert torch.equal(there_counts.cpu(), counts)
    torch.testing.assert_close(features.cpu(), expected, rtol=1e-4, atol=1e-3)


def test_extract_equals_forward(frontend: Frontend) -> None:
    waveform = noise(3000)
    features = frontend.extract(waveform, frontend.sample_rate)
    assert torch.equal(features, whole(frontend, waveform[None])[0])
    assert torch.equal(features, frontend.extract(waveform.numpy(), frontend.sample_rate))


def test_int16_is_the_same_recording(frontend: Frontend) -> None:
    samples = (noise(2, 5000) * 32768).to(torch.int16)
    assert torch.equal(whole(frontend, samples), whole(frontend, samples / 32768))


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_computed_in_float32(frontend: Frontend, kind: torch.dtype) -> None:
    waveform = noise(2, 5000).to(kind)
    features = whole(frontend, waveform)
    assert torch.equal(features, whole(frontend, waveform.float()))
    assert torch.equal(features, whole(copy.deepcopy(frontend).to(torch.bfloat16), waveform))


def test_gradients_are_as_exact_as_those_of_torch(frontend: Frontend) -> None:
    batch, lengths = pad_stack([noise(9000), noise(2000, seed=1)], value=torch.nan)
    exact = copy.deepcopy(frontend).double()
    by_torch = copy.deepcopy(frontend)
    by_torch.block_frames = 0
    weights = torch.randn_like(frontend(batch, lengths)[0])
    gradients = []
    for kind in (frontend, by_torch, exact):
        waveform = batch.clone().requires_grad_()
        (kind(waveform, lengths)[0] * weights).sum().backward()
        gradients.append(waveform.grad)
    size = gradients[2].abs().max()
    compiled, torch_error = ((found - gradients[2]).abs().max() / size for found in gradients[:2])
    assert compiled <= 10 * torch_error + 1e-5  # bins near zero make a log ill-conditioned
    assert compiled < 0.01


def test_a_gradient_has_a_gradient(frontend: Frontend) -> None:
    waveform = noise(1, 1200).double().requires_grad_()
    features, _ = frontend(waveform, torch.tensor([1200]))
    (first,) = torch.autograd.grad(features.square().sum(), waveform, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), waveform)
    assert second.isfinite().all()
    assert second.abs().sum() > 0


def test_wrong_input_names_rule_and_remedy(frontend: Frontend) -> None:
    rate = frontend.sample_rate
    with pytest.raises(
        SeqlabError, match=rf"sample_rate=44100 .*load_audio\(path, sample_rate={rate}\)"
    ):
        frontend.extract(noise(3000), 44100)
    with pytest.raises(SeqlabError, match=r"shape \(2, 3000\), must be \(N,\)"):
        frontend.extract(noise(2, 3000), rate)
    with pytest.raises(SeqlabError, match=r"int32, must be floating point .* or int16"):
        frontend.extract(torch.zeros(3000, dtype=torch.int32), rate)
    with pytest.raises(SeqlabError, match=r"must be \(B, N\)"):
        frontend(noise(3000), torch.tensor([3000]))
    with pytest.raises(SeqlabError, match="relative lengths are not accepted"):
        frontend(noise(1, 3000), torch.tensor([3001]))
    with pytest.raises(SeqlabError, match="int64"):
        frontend(noise(1, 3000), torch.tensor([1.0]))
    with pytest.raises(SeqlabError, match="1 lengths for 2 waveforms"):
        frontend(noise(2, 3000), torch.tensor([3000]))
    with pytest.raises(SeqlabError, match="2 streams, must have 1"):
        frontend.step(noise(2, 3000), frontend.initial_state(1))
    with pytest.raises(SeqlabError, match="batch_size=0"):
        frontend.initial_state(0)


@pytest.mark.parametrize("kind", DYNAMIC, ids=lambda kind: kind.__name__)
def test_what_needs_the_whole_utterance_refuses_to_stream(kind: type[Frontend]) -> None:
    frontend = kind(compression="db", dynamic_range=80.0, energy="none")
    assert not frontend.can_stream
    state = kind().initial_state()
    for refused in (
        frontend.initial_state,
        lambda: frontend.step(noise(1, 800), state),
        lambda: frontend.flush(state),
    ):
        with pytest.raises(SeqlabError, match=r"dynamic_range=80\.0 .*set dynamic_range=None"):
            refused()


@pytest.mark.filterwarnings("ignore:.*bands hold no bin")
@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in found_frontends() for name in PRESETS.get(kind.__name__, ())],
)
def test_presets_pad_and_stream_as_they_promise(kind: type[Frontend], name: str) -> None:
    frontend = kind.from_preset(name)
    items = [noise(length, seed=length) for length in (9000, 2500, 30)]
    batch, lengths = pad_stack(items, value=torch.nan)
    features, counts = frontend(batch, lengths)
    assert torch.equal(counts, frontend.output_lengths(lengths))
    assert features.shape[2] == frontend.output_dim
    for row, count, item in zip(features, counts.tolist(), items, strict=True):
        torch.testing.assert_close(row[:count], whole(frontend, item[None])[0], **TOLERANCE)
    if frontend.can_stream:
        first, state = frontend.step(items[0][None, :5000], frontend.initial_state())
        second, state = frontend.step(items[0][None, 5000:], state)
        streamed = torch.cat([first, second, frontend.flush(state)], 1)
        torch.testing.assert_close(streamed, whole(frontend, items[0][None]), **TOLERANCE)
