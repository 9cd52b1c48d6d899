"""Options that people rely on, on top of the presets, each with the peers that offer the same."""

from __future__ import annotations

import math
from functools import partial

import librosa
import numpy as np

from tests.reference.frontend_cases import (
    CLOSE,
    DECIBELS,
    EXACT,
    EXACT_CEPSTRA,
    EXACT_DECIBELS,
    Case,
    Peer,
    Settings,
)
from tests.reference.frontend_peers import (
    compliance,
    in_double,
    knf_features,
    librosa_db,
    torch_mel,
    transform_db,
    whisper_librosa,
    whisper_torch,
)

Array = np.ndarray


def _sizes(n_fft: int, hop_length: int) -> Settings:
    return {"n_fft": n_fft, "win_length": n_fft, "hop_length": hop_length}


def _kaldi(
    option: str,
    ours: Settings,
    knf: Settings | None = None,
    torchaudio: Settings | None = None,
    kind: str = "LogMel",
) -> Case:
    peers: dict[str, Peer] = {}
    if knf is not None:
        peers["knf"] = partial(knf_features, kind, **knf)
    if torchaudio is not None:
        peers["compliance"] = partial(compliance, kind, **torchaudio)
    exact = EXACT_CEPSTRA if kind == "MFCC" else EXACT
    return Case("kaldi", kind, peers, ours, option, exact=exact)


def _window(option: str, ours: Settings, blackman: float = 0.42) -> Case:
    name = option.split()[0]
    knf = {"frame_opts__window_type": name, "frame_opts__blackman_coeff": blackman}
    peer = None if name == "sine" else {"window_type": name, "blackman_coeff": blackman}
    return _kaldi(f"window {option}", ours, knf, peer)


KALDI_OPTIONS = [
    _kaldi(
        "snip_edges=false",
        {"edges": "mirror"},
        {"frame_opts__snip_edges": False},
        {"snip_edges": False},
    ),
    _kaldi(
        "round_to_power_of_two=false",
        {"n_fft": 400},
        {"frame_opts__round_to_power_of_two": False},
        {"round_to_power_of_two": False},
    ),
    _kaldi("use_energy", {"energy": "raw"}, {"use_energy": True}, {"use_energy": True}),
    _kaldi(
        "use_energy raw_energy=false",
        {"energy": "windowed"},
        {"use_energy": True, "raw_energy": False},
        {"use_energy": True, "raw_energy": False},
    ),
    _kaldi(
        "use_energy energy_floor=1e9",
        {"energy": "raw", "energy_floor": 1e9},
        {"use_energy": True, "energy_floor": 1e9},
        {"use_energy": True, "energy_floor": 1e9},
    ),
    _kaldi(
        "use_energy htk_compat",
        {"energy": "raw", "energy_position": "last"},
        {"use_energy": True, "htk_compat": True},
        {"use_energy": True, "htk_compat": True},
    ),
    _kaldi("use_power=false", {"power": 1.0}, {"use_power": False}, {"use_power": False}),
    _kaldi(
        "remove_dc_offset=false",
        {"remove_dc": False},
        {"frame_opts__remove_dc_offset": False},
        {"remove_dc_offset": False},
    ),
    _kaldi(
        "preemphasis_coefficient=0",
        {"preemphasis": 0.0},
        {"frame_opts__preemph_coeff": 0.0},
        {"preemphasis_coefficient": 0.0},
    ),
    _kaldi(
        "high_freq=-400",
        {"f_max": -400.0},
        {"mel_opts__high_freq": -400.0},
        {"high_freq": -400.0},
    ),
    _kaldi("high_freq=0", {"f_max": 0.0}, {"mel_opts__high_freq": 0.0}, {"high_freq": 0.0}),
    _kaldi(
        "htk_mode low_freq=125 high_freq=7000",
        {"f_min": 125.0, "f_max": 7000.0, "mel_triangles": "htk", "n_mels": 23},
        {
            "mel_opts__low_freq": 125,
            "mel_opts__high_freq": 7000,
            "mel_opts__htk_mode": True,
            "mel_opts__num_bins": 23,
        },
    ),
    _kaldi("vtln_warp=0.85", {"vtln_warp": 0.85}, None, {"vtln_warp": 0.85}),
    _kaldi("vtln_warp=1.2", {"vtln_warp": 1.2}, None, {"vtln_warp": 1.2}),
    _kaldi(
        "vtln_warp=1.1 vtln_low=60 vtln_high=7000",
        {"vtln_warp": 1.1, "vtln_low": 60.0, "vtln_high": 7000.0},
        None,
        {"vtln_warp": 1.1, "vtln_low": 60.0, "vtln_high": 7000.0},
    ),
    _kaldi(
        "vtln_warp=0.9",
        {"vtln_warp": 0.9},
        None,
        {"vtln_warp": 0.9},
        kind="MFCC",
    ),
    _window("hanning", {"window": "hann"}),
    _window("hamming", {"window": "hamming"}),
    _window("blackman", {"window": "blackman"}),
    _window(
        "blackman blackman_coeff=0.4266", {"window": "blackman", "blackman_coeff": 0.4266}, 0.4266
    ),
    _window("sine", {"window": "sine"}),
    _window("rectangular", {"window": "rectangular"}),
    _kaldi(
        "cepstral_lifter=0",
        {"lifter": 0.0},
        {"cepstral_lifter": 0.0},
        {"cepstral_lifter": 0.0},
        kind="MFCC",
    ),
    _kaldi(
        "num_ceps=20 num_mel_bins=40",
        {"n_mfcc": 20, "n_mels": 40},
        {"num_ceps": 20, "mel_opts__num_bins": 40},
        {"num_ceps": 20, "num_mel_bins": 40},
        kind="MFCC",
    ),
    _kaldi(
        "use_energy=false",
        {"energy": "none"},
        {"use_energy": False},
        {"use_energy": False},
        kind="MFCC",
    ),
    _kaldi(
        "use_energy=false htk_compat",
        {"energy": "none", "c0_position": "last", "dct_norm": "htk"},
        {"use_energy": False, "htk_compat": True},
        {"use_energy": False, "htk_compat": True},
        kind="MFCC",
    ),
    _kaldi(
        "htk_compat",
        {"c0_position": "last", "dct_norm": "htk"},
        {"htk_compat": True},
        {"htk_compat": True},
        kind="MFCC",
    ),
]


def _librosa(option: str, ours: Settings, top_db: float | None = 80.0, **theirs: object) -> Case:
    def peer(x: Array) -> Array:
        return librosa_db(librosa.feature.melspectrogram(y=x, sr=22050, **theirs), top_db)

    return Case(
        "librosa", "LogMel", {"librosa": peer}, ours, option, bound=CLOSE, exact=EXACT_DECIBELS
    )


LIBROSA_OPTIONS = [
    _librosa("top_db=None", {"dynamic_range": None}, None),
    _librosa("top_db=40", {"dynamic_range": 40.0}, 40.0),
    _librosa("pad_mode=reflect", {"edges": "reflect"}, pad_mode="reflect"),
    _librosa("pad_mode=edge", {"edges": "edge"}, pad_mode="edge"),
    _librosa("center=False", {"edges": "snip"}, center=False),
    _librosa("win_length=1200", {"win_length": 1200}, win_length=1200),
    _librosa("n_fft=1024 hop_length=256", _sizes(1024, 256), n_fft=1024, hop_length=256),
    _librosa("fmin=50 fmax=8000", {"f_min": 50.0, "f_max": 8000.0}, fmin=50, fmax=8000),
    _librosa("htk=True", {"mel_scale": "htk"}, htk=True),
    _librosa("norm=None", {"mel_norm": None}, norm=None),
    _librosa("norm=1", {"mel_norm": 1}, norm=1),
    _librosa("norm=inf", {"mel_norm": math.inf}, norm=np.inf),
    _librosa("window=hamming", {"window": "hamming"}, window="hamming"),
    _librosa("window=ones", {"window": "rectangular"}, window="ones"),
]


def _torchaudio(option: str, ours: Settings, top_db: float | None = None, **theirs: object) -> Case:
    def peer(x: Array) -> Array:
        return transform_db(torch_mel(x, 16000, **theirs), top_db)

    peers = {"transforms in double": in_double(peer), "transforms": peer}
    return Case("torchaudio", "LogMel", peers, ours, option, bound=DECIBELS, exact=EXACT_DECIBELS)


TORCHAUDIO_OPTIONS = [
    _torchaudio("top_db=80", {"dynamic_range": 80.0}, 80.0),
    _torchaudio("pad_mode=constant", {"edges": "zero"}, pad_mode="constant"),
    _torchaudio("pad_mode=replicate", {"edges": "edge"}, pad_mode="replicate"),
    _torchaudio("center=False", {"edges": "snip"}, center=False),
    _torchaudio(
        "n_fft=1024 win_length=400 n_mels=80",
        {**_sizes(1024, 200), "win_length": 400, "n_mels": 80},
        n_fft=1024,
        win_length=400,
        hop_length=200,
        n_mels=80,
    ),
    _torchaudio(
        "norm=slaney mel_scale=slaney",
        {"mel_norm": "slaney", "mel_scale": "slaney"},
        norm="slaney",
        mel_scale="slaney",
    ),
    _torchaudio("f_min=60 f_max=7600", {"f_min": 60.0, "f_max": 7600.0}, f_min=60.0, f_max=7600.0),
]


def _whisper(option: str, ours: Settings, **theirs: int) -> Case:
    peers: dict[str, Peer] = {
        "formula": partial(whisper_torch, **theirs),
        "librosa": partial(whisper_librosa, **theirs),
    }
    return Case("whisper", "LogMel", peers, ours, option, bound=CLOSE, exact=EXACT)


WHISPER_OPTIONS = [_whisper("n_mels=128 (large-v3)", {"n_mels": 128}, n_mels=128)]
OPTION_CASES = [*KALDI_OPTIONS, *LIBROSA_OPTIONS, *TORCHAUDIO_OPTIONS, *WHISPER_OPTIONS]
