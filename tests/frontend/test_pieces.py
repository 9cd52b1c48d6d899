"""Windows, frames, mel filters, cosine transform, deltas: against other libraries and by hand."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.compliance import kaldi

from seqlab.errors import SeqlabError
from seqlab.frontend.cepstrum import add_deltas, dct_matrix, lifter_weights
from seqlab.frontend.framing import EDGES, FrameLayout, cut_frames, dither_noise, preemphasize
from seqlab.frontend.hashing import seed_tensor, uniform
from seqlab.frontend.mel import hz_to_mel, mel_matrix, mel_to_hz
from seqlab.frontend.spectrum import (
    compress,
    limit_range,
    log_energy,
    power_spectrum,
    row_product,
)
from seqlab.frontend.window import WINDOWS, make_window


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
def test_windows_equal_scipy(name: str, periodic: bool) -> None:
    theirs = scipy.signal.get_window(name, 400, fftbins=periodic)
    np.testing.assert_allclose(make_window(name, 400, periodic=periodic), theirs, atol=1e-15)


@pytest.mark.parametrize("coefficient", [0.42, 0.4265907])
@pytest.mark.parametrize("name", sorted({*WINDOWS} - {"sine"}))
def test_windows_equal_kaldi(name: str, coefficient: float) -> None:
    kind = {"hann": "hanning"}.get(name, name)
    theirs = kaldi._feature_window_function(
        kind, 400, coefficient, torch.device("cpu"), torch.float64
    )
    ours = make_window(name, 400, blackman_coeff=coefficient)
    torch.testing.assert_close(ours, theirs.double(), atol=1e-7, rtol=0)


def test_kaldis_hanning_is_hann() -> None:
    with pytest.raises(SeqlabError, match="did you mean 'hann'"):
        make_window("hanning", 400)


@given(st.sampled_from(WINDOWS), st.integers(1, 600), st.booleans())
def test_windows_lie_within_0_and_1(name: str, size: int, periodic: bool) -> None:
    window = make_window(name, size, periodic=periodic)
    assert window.shape == (size,)
    assert window.isfinite().all()
    assert -1e-16 <= window.min() <= window.max() <= 1 + 1e-15


LAYOUTS = st.builds(
    lambda win, hop, more, edges: FrameLayout(win, hop, win + more, edges),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 30),
    st.sampled_from(EDGES),
)


@settings(max_examples=200, deadline=None)
@given(LAYOUTS, st.integers(0, 300))
def test_frame_counts_agree_for_numbers_and_tensors(layout: FrameLayout, samples: int) -> None:
    count = layout.count(samples)
    assert layout.count(torch.tensor([samples])).tolist() == [count]
    assert 0 <= layout.ready(samples) <= count
    waveform = torch.arange(1.0, samples + 1).unsqueeze(0)
    frames = cut_frames(waveform, torch.tensor([samples]), layout, 0, count)
    assert frames.shape == (1, count, layout.win_length)
    values = set(frames.flatten().tolist())
    assert values <= set(waveform.flatten().tolist()) | ({0.0} if layout.edges == "zero" else set())


@settings(max_examples=100, deadline=None)
@given(LAYOUTS, st.integers(1, 200), st.integers(0, 100))
def test_what_is_ready_never_changes(layout: FrameLayout, samples: int, later: int) -> None:
    waveform = torch.arange(1.0, samples + later + 1).unsqueeze(0)
    ready = layout.ready(samples)
    early, late = (
        cut_frames(waveform[:, :n], torch.tensor([n]), layout, 0, ready)
        for n in (samples, samples + later)
    )
    assert torch.equal(early, late)


@pytest.mark.parametrize(
    ("edges", "mode"), [("zero", "constant"), ("reflect", "reflect"), ("edge", "edge")]
)
@pytest.mark.parametrize("length", [1, 3, 9, 30])
def test_centred_edges_equal_numpy_padding(edges: str, mode: str, length: int) -> None:
    waveform = np.arange(1.0, length + 1)
    padded = np.pad(waveform, 8, mode=mode)
    layout = FrameLayout(16, 5, 16, edges)
    count = layout.count(length)
    expected = np.stack([padded[t * 5 : t * 5 + 16] for t in range(count)])
    frames = cut_frames(torch.tensor(waveform)[None], torch.tensor([length]), layout, 0, count)
    np.testing.assert_array_equal(frames[0], expected)


def test_whisper_drops_the_last_frame() -> None:
    layout = FrameLayout(400, 160, 400, "reflect", drop_last=True)
    assert [layout.count(n) for n in (0, 1, 159, 160, 480000)] == [0, 0, 0, 1, 3000]


def test_preemphasis_reads_one_frame_only() -> None:
    frames = torch.tensor([[1.0, 2.0, 4.0], [10.0, 10.0, 10.0]])
    expected = torch.tensor([[0.5, 1.5, 3.0], [5.0, 5.0, 5.0]])
    assert torch.equal(preemphasize(frames, 0.5), expected)


def test_dither_is_white_gaussian_noise() -> None:
    noise = dither_noise(0, 200_000, seed=3).double()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert abs((noise**4).mean() - 3) < 0.1
    for lag in (1, 2, 160):
        assert abs((noise[lag:] * noise[:-lag]).mean()) < 0.01
    assert abs((noise * dither_noise(0, 200_000, seed=4)).mean()) < 0.01


@given(st.integers(0, 10**9), st.integers(0, 50), st.integers(-(2**70), 2**70))
def test_dither_depends_on_the_sample_number_alone(first: int, skip: int, seed: int) -> None:
    assert torch.equal(
        dither_noise(first, 60, seed)[skip:], dither_noise(first + skip, 60 - skip, seed)
    )


def test_uniform_numbers_are_uniform() -> None:
    draws = uniform(seed_tensor(5), torch.arange(100_000))
    assert 0 < draws.min() < 1e-3
    assert 1 - 1e-3 < draws.max() < 1
    counts = torch.histc(draws, bins=20, min=0, max=1)
    assert ((counts - 5000).abs() < 5 * math.sqrt(5000)).all()
    keys = uniform(torch.arange(100_000), torch.tensor(0))
    assert abs(keys.mean() - 0.5) < 0.01
    assert abs(torch.corrcoef(torch.stack([draws, keys]))[0, 1]) < 0.01


@pytest.mark.parametrize("norm", [None, "slaney", 1, 2.0, math.inf])
@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "f_min", "f_max"),
    [
        (16000, 512, 80, 0, None),
        (16000, 400, 40, 20, 7600),
        (22050, 2048, 128, 0, None),
        (8000, 256, 23, 20, 3800),
        (44100, 4096, 229, 30, 16000),
    ],
)
def test_mel_matrices_equal_librosa(
    norm: str | float | None,
    scale: str,
    rate: int,
    n_fft: int,
    n_mels: int,
    f_min: int,
    f_max: int | None,
) -> None:
    theirs = librosa.filters.mel(
        sr=rate,
        n_fft=n_fft,
        n_mels=n_mels,
        fmin=f_min,
        fmax=f_max,
        htk=scale == "htk",
        norm=norm,
        dtype=np.float64,
    )
    options = {"f_min": f_min, "f_max": f_max, "scale": scale, "norm": norm}
    ours = mel_matrix(rate, n_fft, n_mels, triangles="hz", **options)
    np.testing.assert_allclose(ours.T, theirs, atol=1e-12)


def test_mel_matrices_equal_torchaudio_and_kaldi() -> None:
    theirs = torchaudio.functional.melscale_fbanks(257, 0.0, 8000.0, 40, 16000)
    torch.testing.assert_close(
        mel_matrix(16000, 512, 40, triangles="hz").float(), theirs, atol=1e-4, rtol=0
    )
    theirs, _ = kaldi.get_mel_banks(40, 512, 16000.0, 20.0, 0.0, 100.0, -500.0, 1.0)
    ours = mel_matrix(16000, 512, 40, f_min=20)
    torch.testing.assert_close(ours[:-1].T.float(), theirs, atol=1e-4, rtol=0)
    assert (ours[-1] == 0).all()


@given(st.floats(0, 24000), st.sampled_from(["htk", "slaney"]))
def test_mel_scales_invert(hz: float, scale: str) -> None:
    frequency = torch.tensor(hz, dtype=torch.float64)
    back = mel_to_hz(hz_to_mel(frequency, scale), scale)
    torch.testing.assert_close(back, frequency, atol=1e-8, rtol=1e-10)


def test_published_points_of_the_mel_scales() -> None:
    # The HTK Book, section 5.4: 2595 log10(1 + f / 700); Slaney 1998: 200/3 Hz steps, 6.4 ** (1/27)
    hz = torch.tensor([700.0, 6300.0])
    assert hz_to_mel(hz).tolist() == pytest.approx([2595 * math.log10(2), 2595], rel=1e-4)
    assert hz_to_mel(torch.tensor([500.0, 6400.0]), "slaney").tolist() == pytest.approx([7.5, 42])


def test_cosine_transform_equals_scipy() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 23))
    theirs = scipy.fft.dct(rows, norm="ortho")
    np.testing.assert_allclose(rows @ dct_matrix(23, 23).numpy(), theirs, atol=1e-12)
    theirs[:, 0] *= math.sqrt(2)
    np.testing.assert_allclose(rows @ dct_matrix(23, 13, "htk").numpy(), theirs[:, :13], atol=1e-12)


def test_lifter_equals_the_htk_book() -> None:
    expected = [1 + 11 * math.sin(math.pi * n / 22) for n in range(13)]
    assert lifter_weights(13, 22).tolist() == pytest.approx(expected)


def test_htk_deltas_equal_torchaudio() -> None:
    features = torch.randn(1, 30, 4, generator=torch.Generator().manual_seed(0))
    once = torchaudio.functional.compute_deltas(features.mT, win_length=5)
    twice = torchaudio.functional.compute_deltas(once, win_length=5)
    ours = add_deltas(features, torch.tensor([30]), order=2, method="htk")
    torch.testing.assert_close(ours, torch.cat([features, once.mT, twice.mT], 2))


def test_kaldi_deltas_are_one_filter_an_order() -> None:
    features = torch.zeros(1, 21, 1, dtype=torch.float64)
    features[0, 10] = 1
    ours = add_deltas(features, torch.tensor([21]), order=2)[0]
    assert ours[8:13, 1].tolist() == pytest.approx([0.2, 0.1, 0, -0.1, -0.2])
    second = [0.04, 0.04, 0.01, -0.04, -0.1, -0.04, 0.01, 0.04, 0.04]
    assert ours[6:15, 2].tolist() == pytest.approx(second)


@pytest.mark.parametrize("method", ["kaldi", "htk"])
def test_deltas_never_read_padding(method: str) -> None:
    features = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(0))
    features[0, 5:] = torch.nan
    ours = add_deltas(features, torch.tensor([5, 12]), order=2, method=method)
    alone = add_deltas(features[:1, :5], torch.tensor([5]), order=2, method=method)
    assert torch.equal(ours[0, :5], alone[0])


def test_delta_methods_agree_away_from_the_ends() -> None:
    features = torch.randn(1, 20, 2, generator=torch.Generator().manual_seed(0))
    kaldi_, htk = (add_deltas(features, torch.tensor([20]), 2, 2, m) for m in ("kaldi", "htk"))
    torch.testing.assert_close(kaldi_[:, 4:-4], htk[:, 4:-4])
    assert not torch.allclose(kaldi_[:, :2], htk[:, :2])


def test_compressions_by_hand() -> None:
    values = torch.tensor([0.0, 1.0, 100.0])
    assert compress(values, "none").tolist() == [0, 1, 100]
    assert compress(values, "log", 1e-3).tolist() == pytest.approx(
        [math.log(1e-3), 0, math.log(100)]
    )
    assert compress(values, "log10", 1e-3).tolist() == pytest.approx([-3, 0, 2])
    assert compress(values, "db", 1e-3, power=2.0).tolist() == pytest.approx([-30, 0, 20])
    assert compress(values, "db", 1e-3, power=1.0).tolist() == pytest.approx([-60, 0, 40])
    assert compress(values, "whisper", 1e-10).tolist() == pytest.approx([-1.5, 1, 1.5])


def test_dynamic_range_is_that_of_each_utterance() -> None:
    features = torch.tensor([[[0.0, -90.0], [50.0, 0.0]], [[-200.0, -300.0], [-250.0, torch.nan]]])
    limited = limit_range(features, torch.tensor([1, 2]), 80.0)
    assert limited[0, 0].tolist() == [0, -80]
    assert limited[1].nan_to_num(7).tolist() == [[-200, -280], [-250, 7]]


def test_magnitude_of_silence_has_a_finite_slope() -> None:
    silence = torch.zeros(2, 3, dtype=torch.complex64, requires_grad=True)
    power_spectrum(silence, power=1.0).sum().backward()
    assert silence.grad.isfinite().all()


def test_log_energy_by_hand() -> None:
    energies = torch.tensor([25.0, 0.0])
    assert log_energy(energies).flatten().tolist() == pytest.approx([math.log(25), -15.9424], 1e-5)
    assert log_energy(energies, floor=100.0).flatten().tolist() == pytest.approx(
        [math.log(100)] * 2
    )


def test_products_do_not_depend_on_the_number_of_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, matrix = torch.rand(200, 257, generator=generator), torch.rand(257, 80)
    together = row_product(rows, matrix)
    for few in (1, 2, 3, 5, 17):
        torch.testing.assert_close(row_product(rows[:few], matrix), together[:few])
        if torch.backends.mkl.is_available():
            assert torch.equal(row_product(rows[:few], matrix), together[:few])


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "400"])
def test_lengths_must_be_whole_numbers(value: object) -> None:
    with pytest.raises(SeqlabError, match=r"win_length=.* must be a whole number of at least 1"):
        make_window("hann", value)
