"""Inverse transforms: exact where they can be, and no worse than librosa's where they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from seqlab import MFCC, LogMel, Spectrogram
from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.framing import preemphasize
from seqlab.frontend.griffin_lim import _Grid, deemphasize, waveform_from_spectrum
from seqlab.frontend.inverse import (
    invert,
    log_mel_from_mfcc,
    spectrum_from_log_mel,
    spectrum_from_spectrogram,
)
from seqlab.frontend.plp import PLP
from seqlab.frontend.presets import PRESETS
from seqlab.frontend.spectrum import expand
from tests.frontend.test_plp import voice
from tests.reference.frontend_oracle import restate

RATE = {"sample_rate": 16000}
ENDS = 5  # frames; where windows hardly cover the samples, librosa.griffinlim amplifies errors
PRESET_NAMES = ("kaldi", "whisper", "torchaudio", "librosa")
pytestmark = pytest.mark.filterwarnings("ignore:.*bands hold no bin")


def magnitude_of(frontend: FramedFrontend, preset: str, waveform: np.ndarray) -> torch.Tensor:
    """Magnitudes (T, bins) as the front end sees them, by the oracle and in double precision."""
    lengths = {key: getattr(frontend.layout, key) for key in ("win_length", "hop_length", "n_fft")}
    plain = {"compression": "none", "power": 1.0, "energy": "none", "dynamic_range": None}
    stated = {**PRESETS["LogMel"][preset], **lengths, **RATE, **plain}
    return torch.from_numpy(restate("Spectrogram", waveform, stated))


def convergence(
    frontend: FramedFrontend, preset: str, wave: Any, target: torch.Tensor, ends: int = 0
) -> float:
    """Distance of a waveform's magnitudes from the target, but for so many frames at the ends."""
    inside = slice(ends, len(target) - ends)
    found = magnitude_of(frontend, preset, np.asarray(wave))[inside]
    return float((found - target[inside]).norm() / target[inside].norm())


def librosa_waveform(
    frontend: FramedFrontend, preset: str, magnitude: torch.Tensor, length: int
) -> np.ndarray:
    """librosa's Griffin-Lim, made to frame as the front end does."""
    layout, given_in = frontend.layout, magnitude.float().T.numpy()
    common = {"n_iter": 32, "hop_length": layout.hop_length, "n_fft": layout.n_fft}
    if preset == "kaldi":
        window = np.zeros(layout.n_fft, np.float32)
        window[: layout.win_length] = frontend.window
        wave = librosa.griffinlim(given_in, window=window, center=False, random_state=0, **common)
        wave = lfilter([1], [1, -0.97], wave / 32768)
        wave = wave - wave.mean()
    else:
        mode = "constant" if layout.edges == "zero" else "reflect"
        wave = librosa.griffinlim(given_in, pad_mode=mode, random_state=0, **common)
    return np.pad(wave, (0, max(length - len(wave), 0)))[:length].astype(np.float32)


@pytest.fixture(scope="module")
def speech(corpora: Path) -> list[np.ndarray]:
    paths = sorted((corpora / "an4/audio").rglob("*.flac"))[100:1000:300]
    return [soundfile.read(path, dtype="float32")[0][8000:32000] for path in paths]


@pytest.mark.data
@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_griffin_lim_converges_no_worse_than_librosas(
    preset: str, speech: list[np.ndarray]
) -> None:
    frontend = LogMel.from_preset(preset, **RATE)
    ours, theirs = [], []
    for recording in speech:
        target = magnitude_of(frontend, preset, recording)
        size = len(recording)
        wave = waveform_from_spectrum(frontend, target.float(), length=size)
        ours.append(convergence(frontend, preset, wave, target, ENDS))
        peer = librosa_waveform(frontend, preset, target, size)
        theirs.append(convergence(frontend, preset, peer, target, ENDS))
    assert np.mean(ours) <= np.mean(theirs)


def librosa_magnitude(frontend: FramedFrontend, preset: str, power: np.ndarray) -> torch.Tensor:
    """Magnitudes (T, bins) that librosa finds for bands (T, n_mels) of power."""
    size = frontend.options.scale**2  # its search stops early on large numbers
    if preset == "librosa":
        found = librosa.feature.inverse.mel_to_stft(power.T, sr=16000)
    else:
        found = np.sqrt(librosa.util.nnls(frontend.mel.T.numpy(), power.T / size) * size)
    return torch.from_numpy(found.T)


@pytest.mark.data
@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_the_way_from_bands_to_sound_beats_librosas(preset: str, speech: list[np.ndarray]) -> None:
    """Bands to a spectrum, and on to a waveform: both nearer to the speech they came from."""
    frontend = LogMel.from_preset(preset, **RATE)
    spectra, waves = [], []
    for recording in speech:
        size = len(recording)
        target = magnitude_of(frontend, preset, recording)
        features = frontend.extract(torch.from_numpy(recording), 16000)
        power = expand(features, frontend.options.compression, 2.0).numpy()
        peer = librosa_magnitude(frontend, preset, power)
        found = spectrum_from_log_mel(frontend, features)
        spectra.append([float((one - target).norm() / target.norm()) for one in (found, peer)])
        wave = invert(frontend, features, length=size)
        assert wave.abs().max() <= 1
        both = (wave, librosa_waveform(frontend, preset, peer, size))
        waves.append([convergence(frontend, preset, one, target, ENDS) for one in both])
    for ours, theirs in (np.mean(spectra, 0), np.mean(waves, 0)):
        assert ours <= theirs


@pytest.mark.data
def test_cepstra_inverted_as_librosa_does(speech: list[np.ndarray]) -> None:
    frontend = MFCC.from_preset("librosa", **RATE)
    features = frontend.extract(torch.from_numpy(speech[0]), 16000)
    power = librosa.feature.inverse.mfcc_to_mel(features.T.numpy(), n_mels=128, ref=1.0)
    ours = log_mel_from_mfcc(frontend, features)
    np.testing.assert_allclose(ours.T, 10 * np.log10(power), atol=1e-3)


@pytest.mark.data
@pytest.mark.parametrize("energy", ["raw", "windowed"])
@pytest.mark.parametrize("compression", ["log", "log10", "db", "whisper"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_energy_stands_in_for_c0(
    energy: str, compression: str, power: float, speech: list[np.ndarray]
) -> None:
    options: dict[str, Any] = {"compression": compression, "power": power}
    unit = {"log": 1, "log10": 2.303, "db": 0.2303 * power / 2, "whisper": 9.21}[compression]
    waveform = torch.from_numpy(speech[0])
    bands = LogMel(n_mels=23, **options).extract(waveform, 16000)
    frontend = MFCC(n_mfcc=23, energy=energy, **options)
    found = log_mel_from_mfcc(frontend, frontend.extract(waveform, 16000))
    off = (found - bands) * unit
    assert off.std(1).max() < 1e-3  # one offset a frame
    assert off.mean(1).abs().median() < 0.5  # nats
    exact = MFCC(n_mfcc=23, energy="none", **options)
    found = log_mel_from_mfcc(exact, exact.extract(waveform, 16000))
    torch.testing.assert_close(found, bands, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dct_norm", ["ortho", "htk"])
@pytest.mark.parametrize("c0_position", ["first", "last"])
@pytest.mark.parametrize("lifter", [0.0, 22.0, 31.0])
def test_as_many_cepstra_as_bands_are_undone(
    dct_norm: str, c0_position: str, lifter: float
) -> None:
    shape = {"dct_norm": dct_norm, "c0_position": c0_position, "lifter": lifter}
    waveform = torch.from_numpy(voice())
    frontend = MFCC(n_mels=20, n_mfcc=20, energy="none", delta_order=2, **shape)
    bands = LogMel(n_mels=20).extract(waveform, 16000)
    features = frontend.extract(waveform, 16000)
    torch.testing.assert_close(log_mel_from_mfcc(frontend, features), bands, atol=1e-4, rtol=0)
    static = features[:, :20]
    assert torch.equal(log_mel_from_mfcc(frontend, static), log_mel_from_mfcc(frontend, features))


def test_few_cepstra_give_bands_that_have_them() -> None:
    waveform = torch.from_numpy(voice())
    frontend = MFCC(n_mfcc=13, energy="none")
    features = frontend.extract(waveform, 16000).requires_grad_()
    bands = log_mel_from_mfcc(frontend, features)
    torch.testing.assert_close(frontend.finish(bands[None])[0], features, atol=1e-3, rtol=0)
    bands.sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()


@pytest.mark.parametrize("compression", ["log", "log10", "db", "whisper", "none"])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_spectrograms_are_undone(compression: str, power: float) -> None:
    waveform = torch.from_numpy(voice())
    plain = Spectrogram(compression="none", power=1.0).extract(waveform, 16000)
    frontend = Spectrogram(compression=compression, power=power, delta_order=1)
    found = spectrum_from_spectrogram(frontend, frontend.extract(waveform, 16000))
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-2)
    raw = Spectrogram(compression=compression, power=power, energy="raw")
    without = spectrum_from_spectrogram(raw, raw.extract(waveform, 16000))
    assert without[:, 0].abs().max() == 0
    assert torch.equal(without[:, 1:], found[:, 1:])


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_spectra_have_the_bands_that_they_came_from(preset: str) -> None:
    frontend = LogMel.from_preset(preset, dynamic_range=None, **RATE)
    features = frontend.extract(torch.from_numpy(voice()), 16000)
    spectrum = spectrum_from_log_mel(frontend, features)
    assert (spectrum >= 0).all()
    again = frontend.compress(spectrum.pow(frontend.options.power) @ frontend.mel)
    served = frontend.mel.amax(0) > 0  # torchaudio's preset has bands without a bin
    unit = {"log": 1, "db": 10 / 2.303, "whisper": 1 / 9.21}[frontend.options.compression]
    assert (again - features)[:, served].abs().mean() < 0.03 * unit


def test_energy_columns_and_deltas_are_not_read() -> None:
    waveform = torch.from_numpy(voice())
    plain = LogMel()
    expected = spectrum_from_log_mel(plain, plain.extract(waveform, 16000))
    for position in ("first", "last"):
        frontend = LogMel(energy="raw", energy_position=position, delta_order=2)
        found = spectrum_from_log_mel(frontend, frontend.extract(waveform, 16000))
        torch.testing.assert_close(found, expected)


LAYOUTS: list[dict[str, Any]] = [
    {"edges": "snip", "window": "hamming"},
    {"edges": "mirror", "window": "hamming"},
    {"edges": "zero", "window": "hann", "periodic": True},
    {"edges": "reflect", "window": "hann", "drop_last": True, "n_fft": 400},
    {"edges": "reflect", "win_length": 331, "hop_length": 83, "n_fft": 333, "window": "hamming"},
    {"edges": "mirror", "win_length": 64, "hop_length": 64, "window": "rectangular"},
]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LAYOUTS), st.integers(700, 2500))
def test_the_way_back_from_a_transform_is_exact(layout: dict[str, Any], length: int) -> None:
    """Where every sample is well covered by windows: the transform holds it all."""
    frontend = Spectrogram(**layout)
    frames = frontend.layout.count(length)
    grid = _Grid(frontend, frames, length, torch.float64)
    waveform = torch.randn(length, dtype=torch.float64)
    found = grid.synthesise(grid.analyse(waveform))
    covered = grid.cover > 0.011 * grid.cover.max()
    torch.testing.assert_close(found[covered], waveform[covered], atol=1e-6, rtol=0)
    assert covered[200:-400].all()


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(LAYOUTS), st.integers(0, 12))
def test_without_a_length_it_is_the_least_that_has_the_frames(
    layout: dict[str, Any], frames: int
) -> None:
    frontend = Spectrogram(**layout)
    magnitude = torch.ones(frames, frontend.n_fft // 2 + 1)
    size = len(waveform_from_spectrum(frontend, magnitude, iterations=1))
    if frames and frontend.layout.count(size) == frames:
        assert size == 0 or frontend.layout.count(size - 1) < frames
    else:
        assert frames == 0 and size == 0


def test_pre_emphasis_is_undone() -> None:
    waveform = torch.randn(3, 1000, dtype=torch.float64)
    for coefficient in (0.0, 0.5, 0.97, 1.0):
        expected = lfilter([1], [1, -coefficient], waveform.numpy())
        found = deemphasize(waveform, coefficient)
        np.testing.assert_allclose(found, expected, atol=1e-9)
    padded = torch.nn.functional.pad(waveform, (1, 0))
    torch.testing.assert_close(deemphasize(preemphasize(padded, 0.97), 0.97), padded)
    assert deemphasize(torch.zeros(0), 0.97).shape == (0,)


def test_griffin_and_lims_own_method_never_moves_away() -> None:
    """Their theorem: without momentum the distance falls with every iteration."""
    frontend = LogMel.from_preset("librosa", **RATE)
    target = magnitude_of(frontend, "librosa", voice(0.5))
    distances = []
    for iterations in range(12):
        wave = waveform_from_spectrum(
            frontend, target, iterations=iterations, momentum=0.0, length=8000
        )
        distances.append(convergence(frontend, "librosa", wave, target))
    assert (np.diff(distances) < 1e-6).all()
    assert distances[-1] < 0.6 * distances[0]


def test_momentum_comes_closer() -> None:
    frontend = LogMel.from_preset("whisper")
    target = magnitude_of(frontend, "whisper", voice())
    plain, fast = (
        waveform_from_spectrum(frontend, target, momentum=momentum) for momentum in (0.0, 0.9)
    )
    assert convergence(frontend, "whisper", fast, target) < convergence(
        frontend, "whisper", plain, target
    )


def test_the_seed_decides() -> None:
    frontend = LogMel()
    features = frontend.extract(torch.from_numpy(voice()), 16000)
    first, again, other = (
        invert(frontend, features, iterations=3, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize("kind", [LogMel, MFCC, Spectrogram])
def test_silence_one_frame_and_none(kind: type[LogMel | Spectrogram]) -> None:
    frontend = kind()
    quiet = invert(frontend, frontend.extract(torch.zeros(4000), 16000), iterations=4)
    assert quiet.shape == (3920,)
    assert quiet.abs().max() < 1e-4
    one = frontend.extract(torch.from_numpy(voice(0.025)), 16000)
    assert one.shape[0] == 1
    assert invert(frontend, one).shape == (400,)
    assert invert(frontend, one[:0]).shape == (0,)


def test_loud_features_are_clipped_and_huge_ones_refused() -> None:
    frontend = LogMel()
    features = frontend.extract(torch.from_numpy(voice()), 16000)
    assert invert(frontend, features + 10, iterations=2).abs().max() == 1
    with pytest.raises(SeqlabError, match=r"features reach .* undo any normalisation"):
        invert(frontend, features * 100)


def test_what_cannot_be_inverted_says_so() -> None:
    features = torch.zeros(10, 80)
    log_mel, mfcc = LogMel(), MFCC()
    with pytest.raises(SeqlabError, match="frontend is PLP, must be a LogMel or MFCC"):
        invert(PLP(), torch.zeros(10, 13))
    with pytest.raises(SeqlabError, match="frontend is Linear, must be a Spectrogram"):
        invert(torch.nn.Linear(2, 2), features)  # type: ignore[arg-type]
    with pytest.raises(SeqlabError, match="frontend is LogMel, must be an MFCC"):
        log_mel_from_mfcc(log_mel, features)  # type: ignore[arg-type]
    with pytest.raises(SeqlabError, match=r"shape \(10, 80\), must be \(T, 13\) for this MFCC"):
        invert(mfcc, features)
    with pytest.raises(SeqlabError, match=r"must be \(T, 39 or 13\)"):
        invert(MFCC(delta_order=2), features)
    with pytest.raises(SeqlabError, match=r"shape \(1, 10, 80\), must be .*one recording"):
        invert(log_mel, features[None])
    with pytest.raises(SeqlabError, match=r"features are torch\.float16"):
        invert(log_mel, features.half())
    features[3, 7] = torch.nan
    with pytest.raises(SeqlabError, match="first in frame 3, must be finite"):
        invert(log_mel, features)
    with pytest.raises(SeqlabError, match="does not tell c0"):
        invert(MFCC(compression="none"), torch.zeros(10, 13))
    with pytest.raises(SeqlabError, match="iterations=0"):
        spectrum_from_log_mel(log_mel, torch.zeros(10, 80), iterations=0)


def test_what_is_no_magnitude_says_so() -> None:
    frontend, good = LogMel(), torch.ones(10, 257)
    with pytest.raises(SeqlabError, match="negative"):
        waveform_from_spectrum(frontend, -good)
    with pytest.raises(SeqlabError, match="holds NaN"):
        waveform_from_spectrum(frontend, good * torch.nan)
    with pytest.raises(SeqlabError, match=r"must be \(T, n_fft // 2 \+ 1 = 257\)"):
        waveform_from_spectrum(frontend, torch.ones(10, 256))
    with pytest.raises(SeqlabError, match=r"torch\.complex64"):
        waveform_from_spectrum(frontend, good.cfloat())
    with pytest.raises(SeqlabError, match="length=100 samples have 0 frames, must have the 10"):
        waveform_from_spectrum(frontend, good, length=100)
    with pytest.raises(SeqlabError, match="momentum=2"):
        waveform_from_spectrum(frontend, good, momentum=2)
    with pytest.raises(SeqlabError, match="iterations=-1"):
        waveform_from_spectrum(frontend, good, iterations=-1)


def test_a_long_recording_is_solved_in_blocks() -> None:
    frontend = LogMel(n_mels=20)
    features = torch.randn(9000, 20, generator=torch.Generator().manual_seed(0))
    whole = spectrum_from_log_mel(frontend, features, iterations=2)
    apart = spectrum_from_log_mel(frontend, features[4000:4200], iterations=2)
    torch.testing.assert_close(whole[4000:4200], apart)
