"""Exactness of presets, options and pieces against the toolkits that they restate.

``python -m tests.reference.frontend`` prints a table of every preset and of the options on top of
them: the largest absolute difference from each peer, the peers' own difference, how far each stands
from the same features in double precision, and the bounds. Where SEQLAB_DATA names the folder of
corpora, real speech is among the signals. ``tests/frontend/test_exactness.py`` asserts all of it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import seqlab
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.presets import settings
from tests.reference.frontend_cases import CASES, Array, Case
from tests.reference.frontend_options import OPTION_CASES
from tests.reference.frontend_oracle import restate
from tests.reference.frontend_pieces import PIECES

REACH = 12.0  # nats below the loudest value in which peers are compared; below, theirs are noise
RECORDINGS = "an4/audio"  # under SEQLAB_DATA; the longest few seconds of speech in there


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


def speech(sample_rate: int) -> dict[str, Array]:
    """Real recordings (N,) float32 where SEQLAB_DATA names the folder of corpora, else none."""
    root = os.environ.get("SEQLAB_DATA")
    if not root:
        return {}
    files = sorted((Path(root) / RECORDINGS).rglob("*.flac"))[::200]
    loaded = [seqlab.load_audio(file, sample_rate=sample_rate)[0] for file in files[:3]]
    return {f"speech{i}": np.asarray(wave, np.float32) for i, wave in enumerate(loaded, 1)}


@dataclass(frozen=True)
class Row:
    """Largest absolute differences of one case on one signal, in the units of the features.

    ``bound`` is that of the difference from the first peer, and ``exact_bound`` that of ours from
    double precision, which holds for any value; the peers are compared within REACH.
    """

    preset: str
    kind: str
    option: str
    signal: str
    ours_to_peers: dict[str, float]
    between_peers: float | None
    bound: float
    ours_to_exact: float
    peers_to_exact: dict[str, float]
    exact_bound: float
    ok: bool


@dataclass(frozen=True)
class PieceRow:
    """Largest absolute difference of a matrix, window or normaliser from a peer's."""

    name: str
    peer: str
    error: float
    bound: float
    ok: bool


def settings_of(frontend: FramedFrontend, case: Case) -> dict[str, object]:
    """The preset's settings with every length a number."""
    lengths = {name: getattr(frontend, name) for name in ("win_length", "hop_length", "n_fft")}
    return {**settings(type(frontend), case.preset, case.overrides), **lengths}


def largest(first: Array, second: Array) -> float:
    """Largest absolute difference of any two values."""
    if first.shape != second.shape:
        return math.inf
    return float(np.abs(first.astype(np.float64) - second).max())


def difference(first: Array, second: Array, exact: Array, case: Case) -> float:
    """Largest absolute difference where the exact value is within REACH of the loudest."""
    if first.shape != second.shape or case.kind == "MFCC":
        return largest(first, second)
    gap = np.abs(first.astype(np.float64) - second)
    unit = {"log": 1.0, "db": 10 / math.log(10), "whisper": 0.25 / math.log(10)}
    reach = REACH * unit[case.frontend().options.compression]
    return float(gap[exact > exact.max() - reach].max())


def measure(case: Case, waveforms: dict[str, Array] | None = None) -> Iterator[Row]:
    """One row for each signal: those given, or the ones made on the spot."""
    frontend = case.frontend()
    given = signals(frontend.sample_rate) if waveforms is None else waveforms
    for name, waveform in given.items():
        exact = restate(case.kind, waveform, settings_of(frontend, case))
        ours = frontend.extract(torch.from_numpy(waveform), frontend.sample_rate).numpy()
        peers = {peer: function(waveform) for peer, function in case.peers.items()}
        values = list(peers.values())
        to_peers = {peer: difference(ours, value, exact, case) for peer, value in peers.items()}
        to_exact = largest(ours, exact)
        peers_to_exact = {
            peer: difference(value, exact, exact, case) for peer, value in peers.items()
        }
        allowed = case.bound
        if values:  # no peer can be matched more closely than it matches what it means
            allowed = max(allowed, 1.25 * next(iter(peers_to_exact.values())))
        first = next(iter(to_peers.values()), 0.0)
        yield Row(
            case.preset,
            case.kind,
            case.option,
            name,
            to_peers,
            difference(values[-2], values[-1], exact, case) if len(values) > 1 else None,
            allowed,
            to_exact,
            peers_to_exact,
            case.exact,
            first <= allowed and to_exact <= case.exact,
        )


def measure_piece(index: int) -> PieceRow:
    """One of the pieces."""
    piece = PIECES[index]
    error = piece.error()
    return PieceRow(piece.name, piece.peer, error, piece.bound, error <= piece.bound)


def measure_all() -> tuple[list[Row], list[PieceRow]]:
    """Every case on every signal, real speech included where there is some; and all pieces."""
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands, which ours and the peers all give
        for case in [*CASES, *OPTION_CASES]:
            rate = case.frontend().sample_rate
            rows += measure(case, {**signals(rate), **speech(rate)})
    return rows, [measure_piece(index) for index in range(len(PIECES))]


def _figures(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.1e}" for name, value in values.items())


def _print(rows: list[Row], pieces: list[PieceRow]) -> None:
    print(f"{'preset':11}{'kind':12}{'option':40}{'signal':8}{'ours to peers':64}", end="")
    print(f"{'peers':9}{'bound':9}{'ours to float64':17}{'bound':9}{'peers to float64':64}")
    for row in rows:
        between = "-" if row.between_peers is None else f"{row.between_peers:.1e}"
        print(
            f"{row.preset:11}{row.kind:12}{row.option:40.39}{row.signal:8}"
            f"{_figures(row.ours_to_peers):64}{between:9}{row.bound:<9.1e}"
            f"{row.ours_to_exact:<17.1e}{row.exact_bound:<9.1e}"
            f"{_figures(row.peers_to_exact):64}{'ok' if row.ok else 'NOT'}"
        )
    print(f"\n{'piece':64}{'peer':12}{'largest difference':20}{'bound':9}")
    for piece in pieces:
        print(
            f"{piece.name:64}{piece.peer:12}{piece.error:<20.1e}{piece.bound:<9.1e}"
            f"{'ok' if piece.ok else 'NOT'}"
        )


def main() -> None:
    """Print the table; exit with 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    as_json = parser.parse_args().json
    rows, pieces = measure_all()
    if as_json:
        found = {"features": rows, "pieces": pieces}
        print(json.dumps({name: [asdict(row) for row in part] for name, part in found.items()}))
    else:
        _print(rows, pieces)
    sys.exit(0 if all(row.ok for row in [*rows, *pieces]) else 1)


if __name__ == "__main__":
    main()
