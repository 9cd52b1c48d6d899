"""Each preset against the toolkit it is named after, and what overrides do."""

from __future__ import annotations

import re
import warnings

import librosa
import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from seqlab import MFCC, LogMel, Spectrogram
from seqlab.errors import SeqlabError
from seqlab.frontend.presets import PRESETS
from tests.reference import frontend_peers as peers
from tests.reference.frontend import CASES, Row, measure, signals

EMPTY_BANDS = "ignore:.*hold no bin:UserWarning"
NOISE = signals(16000)["noise"]


PEERED = [case for case in CASES if case.peers]


@pytest.fixture(scope="module", params=PEERED, ids=lambda case: f"{case.kind}-{case.preset}")
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
    """Filter banks, 23 bands unless asked otherwise, of samples as they are."""
    settings = {"mel_opts__num_bins": 23, **settings}
    return peers.knf_features("LogMel", waveform / 32768, rate, **settings)


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
    ({"f_max": 9000.0}, "f_max=9000.0 must be a number within [-8000.0, 8000.0]"),
    ({"f_max": -8000.0}, "f_min=20.0 must be within [0, f_max=0)"),
    ({"vtln_warp": 0.0}, "vtln_warp=0.0 must be a number within [0.1, 10]"),
    ({"vtln_warp": 1.1, "vtln_low": 10.0}, "f_min=20 < vtln_low=10 <"),
    ({"vtln_warp": 1.1, "f_max": 7000.0}, "vtln_high=7500 < f_max=7000"),
    ({"vtln_warp": 9.0, "vtln_low": 1000.0}, "the bends in order; move vtln_low and vtln_high"),
    ({"blackman_coeff": 0.6}, "blackman_coeff=0.6 must be a number within [0, 0.5]"),
    ({"mel_norm": 0}, "mel_norm=0 must be above 0; 1 makes"),
    ({"mel_norm": float("nan")}, "mel_norm=nan must be above 0"),
    ({"mel_norm": True}, "mel_norm=True must be one of None, 'slaney'"),
    ({"f_min": 8000.0}, "f_min=8000.0 must be within [0, f_max=8000)"),
    ({"n_fft": 256}, "n_fft=256 must be at least win_length=400; raise n_fft or shorten"),
    ({"hop_length": 0}, "hop_length=0 must be a whole number of at least 1"),
    ({"sample_rate": 16000.0}, "sample_rate=16000.0 must be a whole number"),
    ({"sample_rate": 30}, "win_length=0 must be a whole number"),
    ({"window": "hannn"}, "did you mean 'hann'?"),
    (
        {"edges": "centre"},
        "edges='centre' must be one of 'snip', 'mirror', 'zero', 'reflect', 'edge'",
    ),
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


@pytest.mark.parametrize("win_length", [400, 301])
def test_uncentred_frames_of_a_short_window_start_later(win_length: int) -> None:
    theirs = librosa.feature.melspectrogram(
        y=NOISE, sr=16000, n_fft=512, win_length=win_length, hop_length=160, center=False
    )
    ours = LogMel.from_preset(
        "librosa",
        sample_rate=16000,
        n_fft=512,
        win_length=win_length,
        hop_length=160,
        edges="snip",
        compression="none",
        dynamic_range=None,
    ).extract(torch.from_numpy(NOISE[(512 - win_length) // 2 :]), 16000)
    np.testing.assert_allclose(ours[: theirs.shape[1]], theirs.T, rtol=1e-4, atol=1e-6)


def test_whisper_takes_thirty_seconds() -> None:
    wave = torch.from_numpy(NOISE)
    padded = torch.nn.functional.pad(wave, (0, 480000 - len(wave)))
    frontend = LogMel.from_preset("whisper")
    features, short = frontend.extract(padded, 16000), frontend.extract(wave, 16000)
    assert features.shape == (3000, 80)
    whole = len(wave) // 160 - 2
    torch.testing.assert_close(features[:whole], short[:whole])
    assert (features[whole + 4 :] == features.min()).all()
