"""Pitch: against pitches known by construction, librosa.pyin, and hand-worked pieces of YIN."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import AudioError, SeqlabError
from seqlab.frontend.held import held_frames
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.pitch import PitchTrack, pitch
from seqlab.frontend.pitch_candidates import (
    PitchFrames,
    difference,
    normalised_difference,
    threshold_share,
)
from seqlab.frontend.pitch_tracking import best_path
from tests.reference import pitch as reference

RATE = 16000


def tone(frequency: float, rate: int = RATE, seconds: float = 0.4, harmonics: int = 1):
    t = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    parts = [
        torch.cos(2 * math.pi * k * frequency * t + k * k) / k
        for k in range(1, harmonics + 1)
        if k * frequency < 0.45 * rate
    ]
    return (0.3 * sum(parts)).float()


def same(one: PitchTrack, other: PitchTrack, tolerance: float = 1e-3) -> bool:
    torch.testing.assert_close(
        one.frequency, other.frequency, atol=0, rtol=tolerance, equal_nan=True
    )
    return torch.equal(one.voiced, other.voiced)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 48000])
@pytest.mark.parametrize("harmonics", [1, 5, 100])
def test_harmonic_tones_are_within_five_cents(rate, harmonics):
    for frequency in np.geomspace(66, 495, 12):
        track = pitch(tone(frequency, rate, harmonics=harmonics), rate)
        inner = slice(6, -6)
        assert track.voiced[inner].all()
        cents = 1200 * torch.log2(track.frequency[inner] / frequency)
        assert cents.abs().max() < 5


@pytest.mark.parametrize("noise_db", [None, 10])
def test_no_worse_than_pyin_on_known_voices(noise_db):
    scores = [
        (
            reference.score(reference.ours(v.samples), v),
            reference.score(reference.pyin(v.samples), v),
        )
        for v in reference.voices(noise_db, seconds=1.0)
    ]
    for figure in ("gross", "voicing"):
        mine, theirs = (np.mean([getattr(s[i], figure) for s in scores]) for i in (0, 1))
        assert mine <= theirs + 1e-9, figure
    assert np.nanmean([mine.cents for mine, _ in scores]) < 4


@pytest.mark.slow
def test_no_worse_than_pyin_in_any_noise():
    totals = np.zeros((2, 2))
    for noise_db in reference.NOISES:
        for voice in reference.voices(noise_db):
            for row, tracker in enumerate((reference.ours, reference.pyin)):
                found = reference.score(tracker(voice.samples), voice)
                totals[row] += [found.gross, found.voicing]
    assert (totals[0] <= totals[1]).all()


@pytest.mark.data
def test_agrees_with_pyin_on_real_speech(corpora):
    speech = reference.real_speech(corpora, an4=4, fsdd=10)
    found = reference.agreement([(reference.ours(*one), reference.pyin(*one)) for one in speech])
    assert found.cents < 12
    assert found.within_50 > 0.85
    assert found.voicing > 0.85


@pytest.mark.slow
def test_ten_times_as_fast_as_pyin():
    fast, slow = reference.speed(next(reference.voices(20)).samples, 3)
    assert fast > 10 * slow


def test_difference_is_the_sum_of_squares_written_out():
    layout = PitchFrames(RATE, 500, 2000, 40, 10, 0.1)
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((3, layout.frame_length))
    expected = [
        [np.sum((frame[:40] - frame[lag : lag + 40]) ** 2) for lag in range(layout.longest + 2)]
        for frame in frames
    ]
    found = difference(torch.from_numpy(frames).float(), layout)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4)
    np.testing.assert_allclose(
        normalised_difference(torch.tensor(expected))[:, 1:],
        [[d[k] * k / sum(d[1 : k + 1]) for k in range(1, len(d))] for d in expected],
    )


@pytest.mark.parametrize("mean", [0.1, 0.15, 0.2])
def test_threshold_prior_is_scipys_beta_distribution(mean):
    height = torch.linspace(-0.1, 1.2, 200, dtype=torch.float64)
    expected = scipy.stats.beta.cdf(height.numpy(), 2, 2 / mean - 2)
    np.testing.assert_allclose(threshold_share(height, mean), expected, atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_best_path_is_the_best_of_all_paths(seed, frames):
    rng = np.random.default_rng(seed)
    hertz = (100 * 2 ** rng.random((frames, 2))).astype(np.float32)
    likely = rng.dirichlet([1, 1, 1], frames)[:, :2].astype(np.float32)
    found = best_path(hertz, likely, reach=0.5, unvoiced_prior=0.3, switch_probability=0.1)

    def weight(path):
        total = 1.0
        for frame, state in enumerate(path):
            rest = max(1 - likely[frame].sum(dtype=np.float64), 1e-3)
            total *= 0.3 * rest if state == 2 else float(likely[frame, state])
            if not frame:
                continue
            before = path[frame - 1]
            total *= 0.1 if (before == 2) != (state == 2) else 0.9
            if before < 2 and state < 2:
                octaves = abs(np.log2(hertz[frame, state] / hertz[frame - 1, before]))
                total *= max(1 - octaves / 0.5, 0)
        return total

    paths = np.stack(np.meshgrid(*[range(3)] * frames, indexing="ij"), -1).reshape(-1, frames)
    assert weight(found) == pytest.approx(max(weight(path) for path in paths), rel=1e-5)


def test_frames_lie_where_centred_features_do():
    for samples in (1, 159, 160, 161, 1000, 5001):
        track = pitch(tone(200)[:samples], RATE)
        features = LogMel(edges="zero").extract(tone(200)[:samples], RATE)
        assert len(track.times) == len(features)
        assert track.times.tolist() == pytest.approx([0.01 * t for t in range(len(features))])
    step = torch.cat([tone(100), tone(300)])
    track = pitch(step, RATE)
    change = int((track.frequency > 200).nonzero()[0])
    assert abs(change - 40) <= 2


def test_empty_and_short_and_silent():
    for samples in (torch.zeros(0), torch.zeros(1), torch.ones(3), torch.full((8000,), -0.3)):
        track = pitch(samples, RATE)
        assert not track.voiced.any()
        assert track.frequency.isnan().all()
        assert (track.probability == 0).all()
        assert len(track.times) == (len(samples) // 160 + 1 if len(samples) else 0)


def test_noise_is_unvoiced():
    noise = torch.randn(5 * RATE, generator=torch.Generator().manual_seed(0))
    assert pitch(noise, RATE).voiced.float().mean() < 0.01


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 3000), st.integers(0, 99))
def test_track_is_well_formed(samples, seed):
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    track = pitch(noise + 2 * tone(140)[:samples], RATE)
    assert torch.equal(track.frequency.isnan(), ~track.voiced)
    inside = track.frequency[track.voiced]
    assert ((inside >= 65) & (inside <= 500)).all()
    assert ((track.probability >= 0) & (track.probability <= 1)).all()


@pytest.mark.parametrize("factor", [1e-37, 1e-6, 1e4, 1e38])
def test_scale_does_not_matter(factor):
    sound = tone(130, harmonics=4)
    assert same(pitch(sound * factor, RATE), pitch(sound, RATE))


@pytest.mark.parametrize("offset", [0.5, -100, 1000])
def test_offset_does_not_matter(offset):
    sound = tone(130, harmonics=4)
    assert same(pitch(sound + offset, RATE), pitch(sound, RATE))


def test_clipping_keeps_the_pitch():
    track = pitch((20 * tone(130, harmonics=4)).clamp(-1, 1), RATE)
    assert track.voiced.all()
    assert (1200 * torch.log2(track.frequency[3:-3] / 130)).abs().max() < 10


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_stays_in_its_frames(bad):
    sound = tone(130, seconds=1, harmonics=4)
    clean = pitch(sound, RATE)
    sound[8000] = bad
    track = pitch(sound, RATE)
    layout = PitchFrames(RATE, 65, 500, math.ceil(2.25 * RATE / 65), 160, 0.1)
    starts = torch.arange(len(track.times)) * 160 - layout.left
    reads = (starts <= 8000) & (starts + layout.frame_length > 8000)
    assert not track.voiced[reads].any()
    assert (track.probability[reads] == 0).all()
    assert track.voiced[~reads].all()
    assert torch.equal(track.frequency[~reads], clean.frequency[~reads])


def test_blocks_do_not_show(monkeypatch):
    sound = tone(130, seconds=2, harmonics=4) + 0.05 * torch.randn(
        2 * RATE, generator=torch.Generator().manual_seed(1)
    )
    whole = pitch(sound, RATE)
    monkeypatch.setattr("seqlab.frontend.pitch._BLOCK_POINTS", 7000)
    monkeypatch.setattr("seqlab.frontend.pitch_tracking._BLOCK", 3)
    assert same(pitch(sound, RATE), whole, tolerance=1e-5)


def test_arrays_views_and_precisions():
    sound = tone(200)
    expected = pitch(sound, RATE)
    array = np.repeat(sound.numpy(), 2)[::2]
    frozen = sound.numpy().copy()
    frozen.flags.writeable = False
    for form in (
        array,
        frozen,
        sound.double(),
        sound.numpy().astype(">f4"),
        sound.requires_grad_(),
    ):
        assert same(pitch(form, RATE), expected, tolerance=1e-5)
    assert pitch(sound.detach().half(), RATE).voiced.all()
    whole = (sound.detach() * 32768).round().short()
    assert same(pitch(whole, RATE), expected) and same(pitch(whole.numpy(), RATE), expected)


@pytest.mark.parametrize(
    "waveform",
    [
        torch.zeros(2, 100),
        torch.zeros(()),
        torch.zeros(100, dtype=torch.int32),
        np.zeros(100, dtype=np.int32),
        np.zeros((2, 100)),
        torch.zeros(100, dtype=torch.complex64),
        np.array(["a"]),
        [0.0, 0.1],
        None,
    ],
)
def test_what_is_no_recording_is_refused(waveform):
    with pytest.raises(SeqlabError, match=r"waveform.*;"):
        pitch(waveform, RATE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sample_rate": 16000.0}, "sample_rate"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": "16000"}, "sample_rate"),
        ({"f_max": 4001}, "f_max=4001"),
        ({"f_max": math.nan}, "f_max"),
        ({"f_min": 0}, "f_min"),
        ({"f_min": 500}, "f_min"),
        ({"f_min": 600}, "f_min"),
        ({"win_length": 100}, "win_length=100"),
        ({"hop_length": 0}, "hop_length=0"),
        ({"hop_length": 1.5}, "hop_length"),
        ({"threshold_mean": 0.9}, "threshold_mean"),
        ({"max_rate": -1}, "max_rate"),
        ({"unvoiced_prior": 0}, "unvoiced_prior"),
        ({"switch_probability": 1}, "switch_probability"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, named):
    with pytest.raises(SeqlabError, match=named):
        pitch(torch.zeros(100), **{"sample_rate": RATE, **arguments})


def test_errors_of_waveforms_are_audio_errors():
    with pytest.raises(AudioError):
        pitch(torch.zeros(2, 100), RATE)


def test_settings_move_what_is_found():
    high = tone(800, harmonics=3)
    assert pitch(high, RATE, f_max=1000).frequency[20] == pytest.approx(800, rel=1e-3)
    low = tone(40, harmonics=3, seconds=1)
    assert pitch(low, RATE, f_min=30).frequency[50] == pytest.approx(40, rel=1e-3)
    assert len(pitch(high, RATE, hop_length=80).times) == 81
    noisy = tone(130) + 0.2 * torch.randn(6400, generator=torch.Generator().manual_seed(0))
    few = pitch(noisy, RATE, unvoiced_prior=1.0).voiced.sum()
    assert few <= pitch(noisy, RATE, unvoiced_prior=1e-4).voiced.sum()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 20), st.integers(0, 29))
def test_held_frames_equal_a_padded_recording(samples, length, hop, left):
    left = min(left, length - 1)
    frames = samples // hop + 1
    sound = torch.arange(samples, dtype=torch.float32)
    reach = length + hop
    padded = np.pad(sound.numpy(), (left, reach), mode="edge")
    whole = np.stack([padded[t * hop : t * hop + length] for t in range(frames)])
    for first in range(frames):
        found = held_frames(sound, first, frames, left=left, length=length, hop_length=hop)
        np.testing.assert_array_equal(found, whole[first:])


@pytest.mark.slow
def test_an_hour_takes_bounded_memory():
    """Peak growth over the waveform itself, in a process of its own."""
    source = (
        "import resource, torch; from seqlab.frontend.pitch import pitch\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sound = torch.rand(3600 * 16000); pitch(sound[:16000], 16000); before = peak()\n"
        "pitch(sound, 16000); print((peak() - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, env=os.environ
    )
    assert int(done.stdout) < 120
