"""Offsets, tones, silence, clipped, quiet and damaged recordings: as ``LogMel`` documents."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from seqlab import MFCC, LogMel, Spectrogram
from seqlab.errors import SeqlabError
from seqlab.frontend.presets import PRESETS
from tests.reference.frontend import Case, settings_of
from tests.reference.frontend_oracle import restate

pytestmark = pytest.mark.filterwarnings("ignore:.*hold no bin:UserWarning")
TIME = np.arange(16000) / 16000
NOISE = np.random.default_rng(0).standard_normal(16000)
SOUNDS = {
    "offset 100 times the signal": 0.5 + 5e-3 * NOISE,
    "offset 1000 times the signal": 0.9 + 9e-4 * NOISE,
    "tone at 1000 Hz": 0.5 * np.sin(2 * np.pi * 1000 * TIME),
    "tone at 440 Hz": 0.5 * np.sin(2 * np.pi * 440 * TIME),
    "silence": 0 * TIME,
    "clipped": np.clip(3 * np.sin(2 * np.pi * 300 * TIME), -1, 1),
    "quiet": 1e-6 * NOISE,
    "clicks": (np.arange(16000) % 5000 == 4000) * 1.0,
}
UNITS = {"log": 1.0, "db": 4.3429, "whisper": 0.10857}  # of a nat
BOUND = 5e-6  # nats, however far below the loudest


def both(preset: str, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Ours, the same in double precision, and the size of a nat."""
    case = Case(preset, "LogMel", {})
    frontend = case.frontend()
    wave = wave.astype(np.float32)
    exact = restate("LogMel", wave, settings_of(frontend, case))
    ours = frontend.extract(torch.from_numpy(wave), frontend.sample_rate).numpy()
    return ours, exact, UNITS[frontend.options.compression]


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("preset", PRESETS["LogMel"])
def test_exact_to_the_floor(preset: str, sound: str) -> None:
    ours, exact, nat = both(preset, SOUNDS[sound])
    assert np.isfinite(ours).all()
    assert np.abs(ours - exact).max() <= BOUND * nat


def test_offsets_are_orders_nearer_than_kaldi_native_fbank() -> None:
    from tests.reference.frontend_peers import knf_features

    wave = SOUNDS["offset 1000 times the signal"].astype(np.float32)
    ours, exact, _ = both("kaldi", wave)
    theirs = knf_features("LogMel", wave)
    assert np.abs(ours - exact).max() < 1e-3 * np.abs(theirs - exact).max()


@pytest.mark.parametrize("kind", [LogMel, MFCC, Spectrogram])
def test_silence_is_the_floor(kind: type[LogMel]) -> None:
    features = kind(energy="none").extract(torch.zeros(1600), 16000)
    assert features.isfinite().all()
    assert torch.equal(features, features[:1].expand_as(features))
    if kind is not MFCC:
        np.testing.assert_allclose(features, np.log(np.finfo(np.float32).eps), atol=1e-5)


def test_below_the_floor_quiet_sounds_are_lost_and_a_larger_scale_keeps_them() -> None:
    quiet = torch.from_numpy((1e-6 * NOISE).astype(np.float32))
    lost = LogMel(scale=1.0).extract(quiet, 16000)
    assert (lost == lost.min()).float().mean() > 0.9
    kept = LogMel().extract(quiet, 16000)
    loud = LogMel().extract(quiet * 2**13, 16000)
    torch.testing.assert_close(loud - kept, torch.full_like(kept, 26 * np.log(2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_damaged_sample_stays_in_its_frames(bad: float) -> None:
    wave = torch.from_numpy((0.1 * NOISE).astype(np.float32))
    frontend = MFCC(delta_order=2)
    clean = frontend.extract(wave, 16000)
    wave[8000] = bad
    spoilt = frontend.extract(wave, 16000)
    hit = (spoilt != clean).any(1).nonzero().flatten().tolist()
    # Frames 48 to 50 hold sample 8000, and deltas of deltas reach four frames further.
    assert hit == list(range(48 - 4, 50 + 4 + 1))
    assert not spoilt[48:51].isfinite().all(1).any()


def test_huge_samples_stay_finite() -> None:
    wave = torch.from_numpy((1e10 * NOISE).astype(np.float32))
    features, _ = LogMel(scale=1.0)(wave[None], torch.tensor([16000]))
    assert features.isfinite().all()


def test_int16_sized_samples_are_noticed() -> None:
    wave = torch.from_numpy(NOISE.astype(np.float32))
    with pytest.raises(SeqlabError, match=r"reaches \d+\.?\d*, must be within \[-1, 1\]"):
        LogMel().extract(wave * 1000, 16000)
    LogMel(scale=1.0).extract(wave * 1000, 16000)


def test_another_sample_rate_is_refused() -> None:
    message = "sample_rate=8000 of the waveform must equal sample_rate=16000 of LogMel; load it"
    with pytest.raises(SeqlabError, match=re.escape(message)):
        LogMel().extract(torch.zeros(8000), 8000)


@pytest.mark.filterwarnings("error")
def test_bands_without_a_bin_warn_and_stay_at_the_floor() -> None:
    with pytest.warns(UserWarning, match="1 of n_mels=128 bands hold no bin of n_fft=512"):
        frontend = LogMel(n_mels=128)
    features = frontend.extract(torch.from_numpy((0.1 * NOISE).astype(np.float32)), 16000)
    assert ((features == features.min()).all(0)).sum() == 1
    LogMel(n_mels=128, n_fft=1024)


def test_dither_repeats_and_seeds_differ() -> None:
    silence = torch.zeros(4000)
    one, again = (LogMel(dither=1.0, dither_seed=1).extract(silence, 16000) for _ in range(2))
    other = LogMel(dither=1.0, dither_seed=2).extract(silence, 16000)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert one.min() > -12  # digital silence without dither lies at log(1.19e-7) = -15.9


def test_dithered_silence_has_the_statistics_of_kaldis() -> None:
    ours = LogMel(dither=1.0, n_mels=23).extract(torch.zeros(160000), 16000)
    torch.manual_seed(0)
    theirs = kaldi.fbank(torch.zeros(1, 160000), dither=1.0, energy_floor=0.0, num_mel_bins=23)
    # Means of about 1000 frames; wide bands scatter less.
    torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.12, rtol=0)
    torch.testing.assert_close(ours.std(0), theirs.std(0), atol=0.12, rtol=0)
