"""Voice activity: on real speech at known places, and on sounds whose answer is plain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import AudioError, SeqlabError
from seqlab.frontend.channel import colored_noise
from seqlab.frontend.noise_floor import noise_floor
from seqlab.frontend.pitch import pitch
from seqlab.frontend.speech_bands import band_edges, speech_bands
from seqlab.frontend.voice_activity import speech_segments, voice_activity
from tests.reference.pitch import harmonics, real_speech

RATE = 16000


def noise(seconds: float, size: float = 0.01, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(round(seconds * RATE), generator=generator)


def vowel(seconds: float) -> torch.Tensor:
    rise = np.linspace(110, 160, round(seconds * RATE))
    return torch.from_numpy(harmonics(rise, 1 / np.arange(1.0, 20))).float()


def scene(*, speech_s: list[tuple[float, float]], seconds: float = 6.0) -> torch.Tensor:
    sound = noise(seconds)
    for start, end in speech_s:
        place = slice(round(start * RATE), round(end * RATE))
        sound[place] += vowel(end - start)
    return sound


# Real speech


@dataclass
class Rates:
    """Shares of frames without speech taken for it, and of frames with it passed over."""

    false_alarm: float
    miss: float


def loud(samples: np.ndarray, hop: int) -> np.ndarray:
    """Frames of a clean recording within 30 dB of its loudest: the known place of its speech."""
    padded = np.pad(samples.astype(np.float64), (2 * hop, 3 * hop))
    power = np.array(
        [np.mean(padded[t * hop : (t + 4) * hop] ** 2) for t in range(len(samples) // hop + 1)]
    )
    return power > power.max() * 1e-3


def bridged(active: np.ndarray, gap: int = 30) -> np.ndarray:
    """Pauses of at most ``gap`` frames filled."""
    filled = active.copy()
    where = np.flatnonzero(active)
    for start, end in pairwise(where):
        if end - start <= gap:
            filled[start:end] = True
    return filled


def rates(speech, noise_db: int | None, *, segments: bool) -> Rates:
    """Over recordings with a second of silence put before and after, and noise over it all."""
    rng = np.random.default_rng(0)
    wrong, total = np.zeros(2), np.zeros(2)
    for samples, rate in speech:
        hop = rate // 100
        quiet = np.zeros(rate, dtype=np.float32)
        sound = np.concatenate([quiet, samples, quiet])
        known = np.zeros(len(sound) // hop + 1, dtype=bool)
        inside = loud(samples, hop)
        known[100 : 100 + len(inside)] = inside
        if noise_db is not None:
            power = np.mean(sound[np.repeat(known, hop)[: len(sound)]] ** 2)
            size = np.sqrt(power / 10 ** (noise_db / 10))
            sound = (sound + size * rng.standard_normal(len(sound))).astype(np.float32)
        if segments:
            known = bridged(known)
            found = np.zeros(len(known), dtype=bool)
            for start, end in speech_segments(sound, rate, padding_s=0.05):
                found[round(start * 100) : round(end * 100)] = True
        else:
            found = voice_activity(sound, rate).numpy()
        wrong += [(found & ~known).sum(), (~found & known).sum()]
        total += [(~known).sum(), known.sum()]
    return Rates(*(wrong / total))


@pytest.fixture(scope="module")
def speech(corpora: Path):
    return real_speech(corpora, 24, 30)


@pytest.mark.data
@pytest.mark.parametrize(
    ("noise_db", "false_alarm", "miss"),
    [(None, 0.04, 0.12), (20, 0.04, 0.04), (10, 0.005, 0.18), (5, 0.003, 0.30)],
)
def test_frames_of_real_speech(speech, noise_db, false_alarm, miss):
    """Misses in noise are frames that lie below it: 30 dB below the loudest, at 5 dB of noise."""
    found = rates(speech, noise_db, segments=False)
    assert found.false_alarm <= false_alarm
    assert found.miss <= miss


@pytest.mark.data
@pytest.mark.parametrize(
    ("noise_db", "false_alarm", "miss"),
    [(None, 0.09, 0.04), (20, 0.08, 0.03), (10, 0.05, 0.09), (5, 0.04, 0.14)],
)
def test_segments_of_real_speech(speech, noise_db, false_alarm, miss):
    found = rates(speech, noise_db, segments=True)
    assert found.false_alarm <= false_alarm
    assert found.miss <= miss


# Sounds whose answer is plain


def test_a_vowel_in_noise_is_found_where_it_is():
    active = voice_activity(scene(speech_s=[(2.0, 2.5), (4.0, 4.2)]), RATE)
    assert active[202:248].all() and active[402:418].all()
    assert not active[:196].any() and not active[255:396].any() and not active[425:].any()


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_steady_noise_of_any_colour_is_not_speech(exponent):
    sound = colored_noise(8 * RATE, exponent, np.random.default_rng(0))
    assert voice_activity(sound, RATE).float().mean() < 0.01


def test_a_hum_is_noise_and_does_not_hide_speech():
    t = torch.arange(6 * RATE, dtype=torch.float64) / RATE
    hum = 0.3 * torch.sin(2 * math.pi * 120 * t).float()
    assert voice_activity(hum + noise(6), RATE).float().mean() < 0.02
    active = voice_activity(hum + scene(speech_s=[(3.0, 3.5)]), RATE)
    assert active[303:347].all() and active.sum() < 70


def test_noise_that_grows_at_once_is_not_speech():
    sound = torch.cat([noise(6, 0.01), noise(6, 0.1, seed=1)])
    assert voice_activity(sound, RATE).float().mean() < 0.05


def test_what_carries_no_sound_is_not_speech():
    for sound in (torch.zeros(RATE), torch.ones(RATE), torch.full((RATE,), math.nan)):
        assert not voice_activity(sound, RATE).any()
        assert speech_segments(sound, RATE) == []
    assert voice_activity(torch.zeros(0), RATE).shape == (0,)
    assert speech_segments(torch.zeros(0), RATE) == []


def test_speech_between_digital_silence():
    sound = torch.cat([torch.zeros(RATE), vowel(0.5), torch.zeros(RATE)])
    active = voice_activity(sound, RATE)
    assert active[103:147].all()
    assert active.sum() < 56


@pytest.mark.parametrize("factor", [1e-35, 1e-3, 1e5, 1e37])
def test_gain_does_not_matter(factor):
    sound = scene(speech_s=[(2.0, 2.5)])
    assert torch.equal(voice_activity(factor * sound, RATE), voice_activity(sound, RATE))


@pytest.mark.parametrize("offset", [-0.5, 20.0])
def test_offset_does_not_matter(offset):
    sound = scene(speech_s=[(2.0, 2.5)])
    assert torch.equal(voice_activity(sound + offset, RATE), voice_activity(sound, RATE))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_stays_in_its_frames(bad):
    sound = scene(speech_s=[(2.0, 3.0)])
    clean = voice_activity(sound, RATE)
    sound[round(2.5 * RATE)] = bad
    active = voice_activity(sound, RATE)
    changed = (active != clean).nonzero().flatten().tolist()
    assert changed
    assert min(changed) >= 247 and max(changed) <= 253


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 4000), st.sampled_from([8000, 16000, 44100]), st.integers(0, 99))
def test_as_many_frames_as_pitch(samples, rate, seed):
    sound = noise(1, seed=seed)[:samples]
    assert len(voice_activity(sound, rate)) == len(pitch(sound, rate).times)


def test_hop_and_threshold_move_what_is_found():
    sound = scene(speech_s=[(2.0, 2.5)])
    assert len(voice_activity(sound, RATE, hop_length=320)) == 301
    assert len(voice_activity(sound, RATE, hop_length=5000)) == 20
    low, high = (voice_activity(sound, RATE, threshold_db=db).sum() for db in (0.0, 11.0))
    assert low > high
    faint = scene(speech_s=[(2.0, 2.5)]) + 0
    faint[4 * RATE : round(4.5 * RATE)] += 0.05 * vowel(0.5)
    assert voice_activity(faint, RATE)[405:445].all()
    assert not voice_activity(faint, RATE, range_db=10)[405:445].any()


# Stretches


def test_pauses_are_bridged_short_stretches_dropped_and_ends_padded():
    sound = scene(speech_s=[(1.0, 1.5), (1.7, 2.2), (4.0, 4.5)])
    plain = {"padding_s": 0.0, "min_speech_s": 0.0}
    near = {"abs": 0.04}  # half a window, and what neighbours decide together
    found = speech_segments(sound, RATE, min_silence_s=0.1, **plain)
    assert np.ravel(found).tolist() == pytest.approx([1, 1.5, 1.7, 2.2, 4, 4.5], **near)
    found = speech_segments(sound, RATE, min_silence_s=0.3, **plain)
    assert np.ravel(found).tolist() == pytest.approx([1, 2.2, 4, 4.5], **near)
    found = speech_segments(sound, RATE, min_speech_s=0.8, padding_s=0.0)
    assert np.ravel(found).tolist() == pytest.approx([1, 2.2], **near)
    found = speech_segments(sound, RATE, padding_s=0.2)
    assert np.ravel(found).tolist() == pytest.approx([0.8, 2.4, 3.8, 4.7], **near)
    assert speech_segments(sound, RATE, padding_s=10.0) == [(0.0, 6.0)]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_stretches_are_in_order_and_apart(seed, speech_s, silence_s, padding_s):
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.uniform(0, 2.5, 3))
    sound = scene(speech_s=[(a, a + 0.3) for a in starts], seconds=3.0)
    found = speech_segments(
        sound, RATE, min_speech_s=speech_s, min_silence_s=silence_s, padding_s=padding_s
    )
    flat = [0.0, *np.ravel(found).tolist(), 3.0]
    assert all(a <= b for a, b in pairwise(flat))
    assert all(a < b for a, b in found)
    assert all(b < c for (_, b), (c, _) in pairwise(found))


# Pieces


def test_noise_floor_finds_the_level_of_each_band():
    generator = torch.Generator().manual_seed(0)
    level = torch.tensor([1.0, 0.01])
    power = level * torch.rand(1000, 2, generator=generator).add(0.5)
    power[300:350] *= 100
    power[650:, 0] += 5
    floor = noise_floor(power, torch.ones(1000, dtype=torch.bool), 10, 0.01)
    torch.testing.assert_close(floor[:54], level.expand(54, 2), rtol=0.15, atol=0)
    torch.testing.assert_close(floor[80:, 0], torch.full((20,), 6.0), rtol=0.15, atol=0)


@pytest.mark.parametrize("rate", [2000, 8000, 16000, 48000])
def test_bands_are_filled_and_flat_noise_is_flat(rate):
    n_fft = 1 << (round(0.032 * rate) - 1).bit_length()
    edges = band_edges(rate, n_fft)
    assert edges == sorted(set(edges)) and edges[-1] <= n_fft // 2 + 1
    sound = noise(6)[: 2 * rate]
    bands = speech_bands(sound, rate, 201, rate // 100)
    flatness = bands.log_power - bands.power.mean(1).log()
    assert flatness.mean().item() == pytest.approx(-0.577 - 0.01, abs=0.15)  # Euler's constant


# What is refused


@pytest.mark.parametrize("function", [voice_activity, speech_segments])
@pytest.mark.parametrize(
    "waveform", [torch.zeros(2, 100), torch.zeros(9, dtype=torch.int64), [0.0], None]
)
def test_what_is_no_recording_is_refused(function, waveform):
    error = SeqlabError if isinstance(waveform, torch.Tensor) else AudioError
    with pytest.raises(error, match="waveform"):
        function(waveform, RATE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sample_rate": 1999}, "sample_rate=1999"),
        ({"sample_rate": 16000.0}, "sample_rate"),
        ({"hop_length": 0}, "hop_length"),
        ({"threshold_db": math.nan}, "threshold_db"),
        ({"range_db": 1}, "range_db"),
        ({"min_speech_s": -1}, "min_speech_s"),
        ({"min_silence_s": "0"}, "min_silence_s"),
        ({"padding_s": math.inf}, "padding_s"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, named):
    with pytest.raises(SeqlabError, match=named):
        speech_segments(torch.zeros(100), **{"sample_rate": RATE, **arguments})
