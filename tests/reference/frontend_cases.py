"""The presets, each with the peers that offer the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import librosa
import numpy as np

import seqlab
from seqlab.frontend.base import FramedFrontend
from tests.reference.frontend_peers import (
    HTK,
    HTK_MEL,
    KNF_HTK,
    LIBROSA_MEL,
    SLANEY,
    TORCH_MEL,
    compliance,
    in_double,
    knf_features,
    librosa_db,
    librosa_mfcc,
    librosa_power,
    torch_mel,
    torch_mfcc,
    torch_power,
    transform_db,
    whisper_librosa,
    whisper_torch,
)

Array = np.ndarray
Peer = Callable[[Array], Array]
Settings = dict[str, object]
KINDS: dict[str, type[FramedFrontend]] = {
    "Spectrogram": seqlab.Spectrogram,
    "LogMel": seqlab.LogMel,
    "MFCC": seqlab.MFCC,
}
KALDI = 4.5e-4  # nats
CLOSE = 1e-4  # torchaudio, librosa and Whisper, in the units of the features
DECIBELS = 4.4e-4  # 1e-4 nats, for spectra without bands
BAND_SUM = 1e-3  # decibels; cepstra sum 128 bands, in float32 a number of 1000
# From double precision, of all values however far below the loudest. Bands are float32 numbers of
# up to 30 nats or 100 decibels; cepstra are sums of them in float32.
EXACT = 4e-6
EXACT_DECIBELS = 3e-5
EXACT_CEPSTRA = 1e-4


@dataclass(frozen=True)
class Case:
    """A preset of a front end, options on top of it, and the peers that offer the same.

    Args:
        preset: name of the preset.
        kind: name of the front end.
        peers: functions from a waveform to features; the first is the one the bound is for.
        overrides: arguments of ours on top of the preset.
        option: what the peers call it; "" for the preset alone.
        bound: of the largest absolute difference from the first peer; or 1.25 times that peer's
            own distance from double precision, where it is further off than that.
        exact: of that of any value from double precision.
    """

    preset: str
    kind: str
    peers: dict[str, Peer]
    overrides: Settings = field(default_factory=dict)
    option: str = ""
    bound: float = KALDI
    exact: float = EXACT

    def frontend(self) -> FramedFrontend:
        """Our front end."""
        return KINDS[self.kind].from_preset(self.preset, **self.overrides)


def _librosa(kind: str, peer: Peer, other: Peer, bound: float, **overrides: object) -> Case:
    peers = {"librosa": peer, "transforms": other}
    exact = BAND_SUM if kind == "MFCC" else EXACT_DECIBELS
    return Case("librosa", kind, peers, overrides, bound=bound, exact=exact)


def _torchaudio(kind: str, peer: Peer, other: Peer, bound: float) -> Case:
    peers = {"transforms in double": in_double(peer), "transforms": peer, "librosa": other}
    exact = BAND_SUM if kind == "MFCC" else EXACT_DECIBELS
    return Case("torchaudio", kind, peers, {}, bound=bound, exact=exact)


CASES = [
    Case(
        "kaldi",
        "LogMel",
        {"knf": partial(knf_features, "LogMel"), "compliance": partial(compliance, "LogMel")},
    ),
    Case(
        "kaldi",
        "MFCC",
        {"knf": partial(knf_features, "MFCC"), "compliance": partial(compliance, "MFCC")},
        exact=EXACT_CEPSTRA,
    ),
    Case("kaldi", "Spectrogram", {"compliance": partial(compliance, "Spectrogram")}),
    Case(
        "htk",
        "LogMel",
        {
            "knf": partial(knf_features, "LogMel", use_power=False, **KNF_HTK),
            "compliance": partial(compliance, "LogMel", use_power=False, **HTK),
        },
        bound=5e-5,
    ),
    Case(  # the peers take cepstra of the power spectrum only
        "htk",
        "MFCC",
        {
            "knf": partial(knf_features, "MFCC", use_energy=False, **KNF_HTK),
            "compliance": partial(compliance, "MFCC", **HTK),
        },
        {"power": 2.0},
        bound=2e-4,
        exact=EXACT_CEPSTRA,
    ),
    Case("htk", "MFCC", {}, {"delta_order": 2}, option="MFCC_0_D_A", exact=EXACT_CEPSTRA),
    _librosa(
        "LogMel",
        lambda x: librosa_db(librosa.feature.melspectrogram(y=x, sr=22050), 80),
        lambda x: transform_db(torch_mel(x, 22050, **LIBROSA_MEL, **SLANEY), 80),
        CLOSE,
    ),
    _librosa(
        "MFCC",
        lambda x: librosa.feature.mfcc(y=x, sr=22050).T,
        lambda x: torch_mfcc(x, 20, 22050, **LIBROSA_MEL, **SLANEY),
        BAND_SUM,
    ),
    _librosa(
        "Spectrogram",
        lambda x: librosa_db(librosa_power(x, 2048, 512), 80),
        lambda x: transform_db(torch_power(x, 2048, 512, pad_mode="constant"), 80),
        DECIBELS,
    ),
    _torchaudio(
        "LogMel",
        lambda x: transform_db(torch_mel(x, 16000), None),
        lambda x: librosa_db(librosa.feature.melspectrogram(y=x, **TORCH_MEL, **HTK_MEL), None),
        CLOSE,
    ),
    _torchaudio(
        "MFCC",
        lambda x: torch_mfcc(x, 40, 16000),
        lambda x: librosa_mfcc(x, 40, 16000, **TORCH_MEL, **HTK_MEL),
        DECIBELS,
    ),
    _torchaudio(
        "Spectrogram",
        lambda x: transform_db(torch_power(x, 400, 200), None),
        lambda x: librosa_db(librosa_power(x, 400, 200, pad_mode="reflect"), None),
        DECIBELS,
    ),
    Case(
        "whisper",
        "LogMel",
        {"formula": whisper_torch, "librosa": whisper_librosa},
        bound=CLOSE,
        exact=EXACT,
    ),
]
