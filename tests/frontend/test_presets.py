"""Each preset against the toolkit it is named after, and what overrides do."""

from __future__ import annotations

import re
import warnings

import kaldi_native_fbank as knf
import librosa
import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from seqlab import MFCC, LogMel, Spectrogram
from seqlab.errors import SeqlabError
from seqlab.frontend.presets import PRESETS
from tests.reference.frontend import CASES, Case, Row, measure, settings_of, signals
from tests.reference.frontend_oracle import restate

EMPTY_BANDS = "ignore:.*hold no bin:UserWarning"
NOISE = signals(16000)["noise"]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.kind}-{case.preset}")
def rows(request: pytest.FixtureRequest) -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands, by the peers and by ours
        return list(measure(request.param))


def test_every_preset_is_held_against_a_peer() -> None:
    held = {(case.kind, case.preset) for case in CASES}
    # PLP has no peer that installs with pip; test_plp.py holds it against a restatement.
    peered = {kind: table for kind, table in PRESETS.items() if kind != "PLP"}
    assert held == {(kind, name) for kind, table in peered.items() for name in table}


def test_as_close_to_the_peers_as_they_are_to_each_other(rows: list[Row]) -> None:
    named, nearest, between = 0.0, 0.0, 0.0
    for row in rows:
        distances = list(row.ours_to_peers.values())
        named, nearest = max(named, distances[0]), max(nearest, min(distances))
        alone = next(iter(row.peers_to_exact.values()))
        between = max(between, alone if row.between_peers is None else row.between_peers)
    assert nearest <= between
    # Peers that share an error are closer to each other than to who does not make it.
    assert named <= 1.25 * between


def test_no_further_from_double_precision_than_the_peers(rows: list[Row]) -> None:
    ours = max(row.ours_to_exact for row in rows)
    assert ours <= max(max(row.peers_to_exact.values()) for row in rows)
    assert ours < 3e-4


def knf_features(waveform: np.ndarray, rate: int = 16000, **settings: object) -> np.ndarray:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = rate
    for name, value in settings.items():
        target = options
        *path, last = name.split("__")
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(rate, waveform.tolist())
    computer.input_finished()
    frames = [computer.get_frame(t) for t in range(computer.num_frames_ready)]
    return np.array(frames).reshape(len(frames), -1)


def test_scale_one_is_what_people_feed_knf() -> None:
    ours = LogMel.from_preset("kaldi", scale=1.0).extract(torch.from_numpy(NOISE), 16000)
    theirs = knf_features(NOISE, mel_opts__num_bins=80)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    int16 = LogMel.from_preset("kaldi").extract(torch.from_numpy(NOISE), 16000)
    np.testing.assert_allclose(int16 - ours, 2 * np.log(32768), atol=2e-4)


@pytest.mark.parametrize("length", [16000, 3333, 400, 399, 200, 161, 90, 80])
def test_mirrored_edges_equal_kaldi_without_snip_edges(length: int) -> None:
    waveform = NOISE[:length] * 32768
    ours = LogMel.from_preset("kaldi", edges="mirror", n_mels=23)
    ours = ours.extract(torch.from_numpy(NOISE[:length]), 16000)
    theirs = knf_features(waveform, frame_opts__snip_edges=False)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=3e-4)


@pytest.mark.parametrize(("rate", "bands"), [(8000, 40), (11025, 30), (22050, 64), (48000, 80)])
def test_kaldi_at_other_rates(rate: int, bands: int) -> None:
    ours = LogMel.from_preset("kaldi", sample_rate=rate, n_mels=bands)
    ours = ours.extract(torch.from_numpy(NOISE), rate)
    theirs = knf_features(NOISE * 32768, rate, mel_opts__num_bins=bands)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=3e-4)


def test_energy_of_kaldi_filter_banks() -> None:
    for raw in (True, False):
        theirs = knf_features(NOISE * 32768, use_energy=True, raw_energy=raw)
        energy = "raw" if raw else "windowed"
        ours = LogMel.from_preset("kaldi", n_mels=23, energy=energy)
        np.testing.assert_allclose(ours.extract(torch.from_numpy(NOISE), 16000), theirs, atol=2e-4)


def test_energy_floor_as_in_compliance() -> None:
    quiet = NOISE * 1e-6
    options = {"use_energy": True, "dither": 0.0, "energy_floor": 1.0}
    theirs = kaldi.mfcc(torch.from_numpy(quiet)[None] * 32768, **options)
    ours = MFCC.from_preset("kaldi", energy_floor=1.0).extract(torch.from_numpy(quiet), 16000)
    assert (ours[:, 0] == 0).all()
    np.testing.assert_allclose(ours, theirs, atol=3e-4)


@pytest.mark.parametrize("length", [0, 1, 399])
def test_under_one_frame_gives_no_frames(length: int) -> None:
    assert LogMel().extract(torch.zeros(length), 16000).shape == (0, 80)


def test_shifted_band_limits() -> None:
    settings = {"mel_opts__low_freq": 100, "mel_opts__high_freq": 7000}
    theirs = knf_features(NOISE * 32768, mel_opts__htk_mode=True, **settings)
    ours = LogMel.from_preset("kaldi", f_min=100.0, f_max=7000.0, n_mels=23, mel_triangles="htk")
    np.testing.assert_allclose(ours.extract(torch.from_numpy(NOISE), 16000), theirs, atol=2e-4)


def test_a_pure_tone_within_reach_of_its_peak() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32) * 0.5
    case = Case("kaldi", "LogMel", {}, {})
    exact = restate("LogMel", tone, settings_of(case.frontend(), case))
    ours = LogMel().extract(torch.from_numpy(tone), 16000).numpy()
    audible = exact > exact.max() - 12
    assert np.abs(ours - exact)[audible].max() < 1.5e-4
    assert np.isfinite(ours).all()


@pytest.mark.filterwarnings(EMPTY_BANDS)
@pytest.mark.parametrize("offset", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(
    ("preset", "tolerance"),
    # The rounded mean of a frame leaks into Kaldi's lowest band, which starts at 20 Hz.
    [("whisper", 1e-6), ("torchaudio", 3e-4), ("htk", 3e-5), ("kaldi", 1e-2)],
)
def test_a_large_dc_offset_hides_nothing(preset: str, tolerance: float, offset: float) -> None:
    wave = (offset + 0.01 * NOISE).astype(np.float32)
    case = Case(preset, "LogMel", {}, {})
    exact = restate("LogMel", wave, settings_of(case.frontend(), case))
    ours = case.frontend().extract(torch.from_numpy(wave), 16000).numpy()
    gap = np.abs(ours - exact)
    assert gap.max() < tolerance
    assert np.median(gap) < tolerance / 10


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
def test_librosa_on_short_recordings() -> None:
    for length in (1, 100, 1023, 2000):
        wave = NOISE[:length]
        theirs = librosa.power_to_db(librosa.feature.melspectrogram(y=wave, n_fft=2048)).T
        ours = LogMel.from_preset("librosa").extract(torch.from_numpy(wave), 22050)
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_torchaudio_warns_of_empty_bands_as_ours_does() -> None:
    with pytest.warns(UserWarning, match=r"\d+ of n_mels=128 bands hold no bin of n_fft=400"):
        LogMel.from_preset("torchaudio")


def test_overrides_win() -> None:
    frontend = LogMel.from_preset("librosa", sample_rate=16000, n_mels=40, dynamic_range=None)
    assert (frontend.sample_rate, frontend.output_dim) == (16000, 40)
    assert frontend.can_stream


@pytest.mark.parametrize(
    ("kind", "name", "overrides", "message"),
    [
        (LogMel, "kladi", {}, "LogMel preset='kladi' must be one of .*mean 'kaldi'"),
        (MFCC, "whisper", {}, "MFCC preset='whisper' must be one of 'kaldi', 'htk', "),
        (Spectrogram, "htk", {}, "must be one of 'kaldi', 'librosa', 'torchaudio'"),
        (LogMel, "kaldi", {"num_mels": 40}, "'num_mels' must be an argument .*mean 'n_mels'"),
    ],
)
def test_wrong_names_are_explained(
    kind: type, name: str, overrides: dict[str, int], message: str
) -> None:
    with pytest.raises(SeqlabError, match=message):
        kind.from_preset(name, **overrides)


BAD_SETTINGS = [
    ({"n_mels": 300}, "n_mels=300 must be at most n_fft // 2 + 1 = 257; raise n_fft or lower"),
    ({"n_mels": 0}, "n_mels=0 must be a whole number of at least 1"),
    ({"f_max": 9000.0}, "f_max=9000.0 must be a number within [0, 8000.0]"),
    ({"f_min": 8000.0}, "f_min=8000.0 must be within [0, f_max=8000)"),
    ({"n_fft": 256}, "n_fft=256 must be at least win_length=400; raise n_fft or shorten"),
    ({"hop_length": 0}, "hop_length=0 must be a whole number of at least 1"),
    ({"sample_rate": 16000.0}, "sample_rate=16000.0 must be a whole number"),
    ({"sample_rate": 30}, "win_length=0 must be a whole number"),
    ({"window": "hannn"}, "did you mean 'hann'?"),
    ({"edges": "centre"}, "edges='centre' must be one of 'snip', 'mirror', 'zero', 'reflect'"),
    ({"drop_last": True}, "drop_last=True needs centred frames, but edges='snip'"),
    ({"preemphasis": 97.0}, "preemphasis=97.0 must be a number within [0, 1]"),
    ({"dither": -1.0}, "dither=-1.0 must be a number within"),
    ({"floor": 0.0}, "floor=0.0 must be a number within"),
    ({"scale": float("nan")}, "scale=nan must be a number within"),
    ({"compression": "ln"}, "compression='ln' must be one of"),
    ({"mel_scale": "bark"}, "mel_scale='bark' must be one of 'htk', 'slaney'"),
    ({"mel_norm": "area"}, "mel_norm='area' must be one of None, 'slaney'"),
    ({"mel_triangles": "mels"}, "did you mean 'mel'?"),
    ({"energy": "c0"}, "energy='c0' must be one of"),
    ({"energy_position": "middle"}, "must be one of 'first', 'last'"),
    ({"delta_order": 4}, "delta_order=4 must be 0, 1, 2 or 3"),
    ({"dynamic_range": 80.0, "energy": "raw"}, "exclude each other"),
    ({"dynamic_range": 0.0}, "dynamic_range=0.0 must be a number within"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS, ids=lambda v: str(v)[:40])
def test_bad_settings_name_value_rule_and_remedy(settings: dict, message: str) -> None:
    with pytest.raises(SeqlabError, match=re.escape(message)):
        LogMel(**settings)


def test_bad_settings_of_mfcc() -> None:
    with pytest.raises(SeqlabError, match="n_mfcc=40 must be at most n_mels=23"):
        MFCC(n_mfcc=40)
    with pytest.raises(SeqlabError, match="lifter=-1"):
        MFCC(lifter=-1)
    with pytest.raises(SeqlabError, match="c0_position='middle'"):
        MFCC(c0_position="middle")


def test_int16_sized_samples_are_noticed() -> None:
    with pytest.raises(SeqlabError, match=r"reaches \d+\.?\d*, must be within \[-1, 1\]"):
        LogMel().extract(torch.from_numpy(NOISE * 32768 / 30), 16000)
    LogMel(scale=1.0).extract(torch.from_numpy(NOISE * 32768), 16000)


def test_dither_repeats_and_seeds_differ() -> None:
    silence = torch.zeros(4000)
    one, again = (LogMel(dither=1.0, dither_seed=1).extract(silence, 16000) for _ in range(2))
    other = LogMel(dither=1.0, dither_seed=2).extract(silence, 16000)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert one.min() > -12  # digital silence without dither lies at log(1.19e-7) = -15.9
