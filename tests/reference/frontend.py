"""Exactness of each preset against the toolkit it is named after.

``python -m tests.reference.frontend`` prints a table: the largest absolute difference from each
peer, the peers' own difference, and how far each stands from the same features in double
precision. ``tests/frontend/test_presets.py`` asserts it.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import librosa
import numpy as np
import torch
from torchaudio.compliance import kaldi

import seqlab
from seqlab.frontend.base import FramedFrontend
from tests.reference.frontend_oracle import restate
from tests.reference.frontend_peers import (
    HTK,
    HTK_MEL,
    LIBROSA_MEL,
    SLANEY,
    TORCH_MEL,
    compliance,
    knf_fbank,
    knf_mfcc,
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
REACH = 12.0  # nats below the loudest value that are compared; below that float32 is noise
KINDS: dict[str, type[FramedFrontend]] = {
    "Spectrogram": seqlab.Spectrogram,
    "LogMel": seqlab.LogMel,
    "MFCC": seqlab.MFCC,
}


def signals(sample_rate: int, seconds: float = 2.0) -> dict[str, Array]:
    """Waveforms (N,) float32: noise, a voice-like buzz, and noise on a large DC offset."""
    draw = np.random.default_rng(0)
    time = np.arange(int(sample_rate * seconds)) / sample_rate
    pitch = 2 * math.pi * np.cumsum(120 + 30 * np.sin(3 * time)) / sample_rate
    buzz = sum(np.sin(k * pitch) / k for k in range(1, 30))
    noise = draw.standard_normal(len(time))
    made = {
        "noise": 0.1 * noise,
        "voice": 0.2 * buzz * (1 + np.sin(9 * time)) / 2 + 1e-3 * noise,
        "offset": 0.5 + 0.01 * noise,
    }
    return {name: wave.astype(np.float32) for name, wave in made.items()}


@dataclass(frozen=True)
class Case:
    """A preset of a front end and the peers that offer the same."""

    preset: str
    kind: str
    peers: dict[str, Peer]
    overrides: dict[str, object]

    def frontend(self) -> FramedFrontend:
        return KINDS[self.kind].from_preset(self.preset, **self.overrides)


CASES = [
    Case(
        "kaldi",
        "LogMel",
        {"knf": knf_fbank, "compliance": lambda x: compliance(kaldi.fbank, x, num_mel_bins=80)},
        {},
    ),
    Case(
        "kaldi",
        "MFCC",
        {"knf": knf_mfcc, "compliance": lambda x: compliance(kaldi.mfcc, x, use_energy=True)},
        {},
    ),
    Case("kaldi", "Spectrogram", {"compliance": lambda x: compliance(kaldi.spectrogram, x)}, {}),
    Case(
        "htk",
        "LogMel",
        {
            "knf": lambda x: knf_fbank(x, htk=True),
            "compliance": lambda x: compliance(kaldi.fbank, x, use_power=False, **HTK),
        },
        {},
    ),
    Case(  # the peers take cepstra of the power spectrum only
        "htk",
        "MFCC",
        {
            "knf": lambda x: knf_mfcc(x, htk=True),
            "compliance": lambda x: compliance(kaldi.mfcc, x, **HTK),
        },
        {"power": 2.0},
    ),
    Case(
        "librosa",
        "LogMel",
        {
            "librosa": lambda x: librosa_db(librosa.feature.melspectrogram(y=x, sr=22050), 80),
            "transforms": lambda x: transform_db(torch_mel(x, 22050, **LIBROSA_MEL, **SLANEY), 80),
        },
        {},
    ),
    Case(
        "librosa",
        "MFCC",
        {
            "librosa": lambda x: librosa.feature.mfcc(y=x, sr=22050).T,
            "transforms": lambda x: torch_mfcc(x, 20, 22050, **LIBROSA_MEL, **SLANEY),
        },
        {},
    ),
    Case(
        "librosa",
        "Spectrogram",
        {
            "librosa": lambda x: librosa_db(librosa_power(x, 2048, 512), 80),
            "transforms": lambda x: transform_db(
                torch_power(x, 2048, 512, pad_mode="constant"), 80
            ),
        },
        {},
    ),
    Case(
        "torchaudio",
        "LogMel",
        {
            "transforms": lambda x: transform_db(torch_mel(x, 16000), None),
            "librosa": lambda x: librosa_db(
                librosa.feature.melspectrogram(y=x, **TORCH_MEL, **HTK_MEL), None
            ),
        },
        {},
    ),
    Case(
        "torchaudio",
        "MFCC",
        {
            "transforms": lambda x: torch_mfcc(x, 40, 16000),
            "librosa": lambda x: librosa_mfcc(x, 40, 16000, **TORCH_MEL, **HTK_MEL),
        },
        {},
    ),
    Case(
        "torchaudio",
        "Spectrogram",
        {
            "transforms": lambda x: transform_db(torch_power(x, 400, 200), None),
            "librosa": lambda x: librosa_db(librosa_power(x, 400, 200, pad_mode="reflect"), None),
        },
        {},
    ),
    Case("whisper", "LogMel", {"formula": whisper_torch, "librosa": whisper_librosa}, {}),
]


@dataclass(frozen=True)
class Row:
    """Largest absolute differences of one case on one signal, in the units of the features."""

    preset: str
    kind: str
    signal: str
    ours_to_peers: dict[str, float]
    between_peers: float | None
    ours_to_exact: float
    peers_to_exact: dict[str, float]


def settings_of(frontend: FramedFrontend, case: Case) -> dict[str, object]:
    """The preset's settings with every length a number."""
    from seqlab.frontend.presets import settings

    lengths = {name: getattr(frontend, name) for name in ("win_length", "hop_length", "n_fft")}
    return {**settings(type(frontend), case.preset, case.overrides), **lengths}


def difference(first: Array, second: Array, exact: Array, case: Case) -> float:
    """Largest absolute difference where the exact value is within REACH of the loudest."""
    if first.shape != second.shape:
        return math.inf
    gap = np.abs(first.astype(np.float64) - second)
    if case.kind == "MFCC":
        return float(gap.max())
    unit = {"log": 1.0, "db": 10 / math.log(10), "whisper": 0.25 / math.log(10)}
    reach = REACH * unit[case.frontend().options.compression]
    return float(gap[exact > exact.max() - reach].max())


def measure(case: Case) -> Iterator[Row]:
    """One row for each signal."""
    frontend = case.frontend()
    for name, waveform in signals(frontend.sample_rate).items():
        exact = restate(case.kind, waveform, settings_of(frontend, case))
        ours = frontend.extract(torch.from_numpy(waveform), frontend.sample_rate).numpy()
        peers = {peer: function(waveform) for peer, function in case.peers.items()}
        pair = list(peers.values())
        yield Row(
            case.preset,
            case.kind,
            name,
            {peer: difference(ours, value, exact, case) for peer, value in peers.items()},
            difference(*pair, exact, case) if len(pair) == 2 else None,
            difference(ours, exact, exact, case),
            {peer: difference(value, exact, exact, case) for peer, value in peers.items()},
        )


def measure_all() -> list[Row]:
    """Every case on every signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands, which ours and the peers all give
        return [row for case in CASES for row in measure(case)]


def _figures(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.1e}" for name, value in values.items())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    as_json = parser.parse_args().json
    rows = measure_all()
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(f"{'preset':11}{'kind':12}{'signal':8}{'ours to peers':36}{'peers':10}", end="")
    print(f"{'ours to float64':17}peers to float64")
    for row in rows:
        between = "-" if row.between_peers is None else f"{row.between_peers:.1e}"
        print(
            f"{row.preset:11}{row.kind:12}{row.signal:8}{_figures(row.ours_to_peers):36}"
            f"{between:10}{row.ours_to_exact:<17.1e}{_figures(row.peers_to_exact)}"
        )


if __name__ == "__main__":
    main()
