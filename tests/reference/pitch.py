"""Pitch against librosa.pyin: on synthetic voices whose pitch is known, and on real speech.

``python -m tests.reference.pitch`` prints a table; with SEQLAB_DATA set, real speech as well.
``tests/frontend/test_pitch.py`` asserts it on a part.
"""

from __future__ import annotations

import csv
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from seqlab.frontend.pitch import pitch

RATE = 16000
HOP = 160
NOISES = (None, 20, 10, 5)  # dB of voice over white noise
GROSS = 0.2  # share by which an estimate is grossly wrong
BORDER_S = 0.02  # where voicing begins and ends, a frame sees both

Track = tuple[NDArray[np.floating], NDArray[np.bool_]]  # Hz, voiced


@dataclass(frozen=True)
class Voice:
    """A synthetic voice: samples, and the pitch and voicing of each of them."""

    name: str
    samples: NDArray[np.float32]
    frequency: NDArray[np.float64]
    voiced: NDArray[np.bool_]


def harmonics(
    frequency: NDArray[np.float64], amplitudes: NDArray[np.float64], rate: int = RATE
) -> NDArray[np.float64]:
    """Harmonics of a moving pitch, those near half the rate left out, peak 0.5."""
    phase = 2 * np.pi * np.cumsum(frequency) / rate
    total = np.zeros_like(frequency)
    for k, amplitude in enumerate(amplitudes, 1):
        total += amplitude * (k * frequency < 0.45 * rate) * np.cos(k * phase + 0.7 * k * k)
    return 0.5 * total / np.abs(total).max()


def contours(seconds: float) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Pitch in Hz and amplitudes of harmonics, by name."""
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    rich = 1 / np.arange(1.0, 31)
    return {
        "glide up": (np.geomspace(80, 400, n), rich),
        "glide down": (np.geomspace(450, 70, n), rich),
        "vibrato, high": (220 * 2 ** (0.5 / 12 * np.sin(2 * np.pi * 5.5 * t)), rich),
        "vibrato, low": (100 * 2 ** (1 / 12 * np.sin(2 * np.pi * 5 * t)), rich),
        "weak odd harmonics": (np.full(n, 150.0), np.array([0.15, 1, 0.15, 0.7, 0.1, 0.5, 0.1])),
        "no fundamental": (np.full(n, 120.0), np.array([0, 0, 1, 0.8, 0.7, 0.5, 0.3])),
        "strong second": (np.geomspace(100, 200, n), np.array([0.3, 1, 0.3, 0.5, 0.2])),
        "strong third": (np.geomspace(100, 140, n), np.array([0.3, 0.3, 1, 0.3, 0.2])),
        "thirty alike": (np.geomspace(100, 300, n), np.ones(30)),
    }


def voices(noise_db: int | None, seconds: float = 2.0) -> Iterator[Voice]:
    """Each contour, silent for 0.12 s in every half second, in noise over all of it."""
    rng = np.random.default_rng(noise_db or 0)
    for name, (frequency, amplitudes) in contours(seconds).items():
        sound = harmonics(frequency, amplitudes)
        voiced = np.arange(len(sound)) / RATE % 0.5 > 0.12
        size = (
            1e-5 if noise_db is None else float(np.sqrt(np.mean(sound**2) / 10 ** (noise_db / 10)))
        )
        noisy = sound * voiced + size * rng.standard_normal(len(sound))
        yield Voice(name, noisy.astype(np.float32), frequency, voiced)


def ours(samples: NDArray[np.float32], rate: int = RATE) -> Track:
    track = pitch(samples, rate)
    return track.frequency.numpy(), track.voiced.numpy()


def pyin(samples: NDArray[np.float32], rate: int = RATE) -> Track:
    """librosa's pYIN over the same range and hop, 64 ms frames."""
    length = 1024 * rate // RATE
    found = librosa.pyin(
        samples, fmin=65, fmax=500, sr=rate, frame_length=length, hop_length=rate // 100
    )
    return found[0], found[1]


@dataclass(frozen=True)
class Score:
    """Share of grossly wrong pitches, share of wrong voicing, median error in cents."""

    gross: float
    voicing: float
    cents: float


def score(track: Track, voice: Voice) -> Score:
    frequency, voiced = track
    place = np.minimum(np.arange(len(voiced)) * HOP, len(voice.voiced) - 1)
    reach = round(BORDER_S * RATE)
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(voice.voiced, reach, mode="edge"), 2 * reach + 1
    )[place]
    clear = around.all(1) | ~around.any(1)
    true = voice.voiced[place]
    both = clear & true & voiced
    ratio = frequency[both] / voice.frequency[place][both]
    cents = np.abs(1200 * np.log2(ratio))
    return Score(
        gross=float(np.mean(np.abs(ratio - 1) > GROSS)) if both.any() else 0.0,
        voicing=float(np.mean(voiced[clear] != true[clear])),
        cents=float(np.median(cents[cents < 300])) if (cents < 300).any() else float("nan"),
    )


@dataclass(frozen=True)
class Agreement:
    """Two trackers on the same recordings."""

    cents: float  # median distance where both are voiced
    within_50: float  # share of those frames
    voicing: float  # share of frames with the same voicing


def agreement(pairs: list[tuple[Track, Track]]) -> Agreement:
    cents, same = [], []
    for (frequency, voiced), (other, other_voiced) in pairs:
        count = min(len(voiced), len(other_voiced))
        both = voiced[:count] & other_voiced[:count]
        cents.append(np.abs(1200 * np.log2(frequency[:count][both] / other[:count][both])))
        same.append(voiced[:count] == other_voiced[:count])
    distance = np.concatenate(cents)
    return Agreement(
        cents=float(np.median(distance)),
        within_50=float(np.mean(distance < 50)),
        voicing=float(np.mean(np.concatenate(same))),
    )


def real_speech(corpora: Path, an4: int, fsdd: int) -> list[tuple[NDArray[np.float32], int]]:
    """Training recordings of AN4 (16 kHz) and recordings of FSDD (8 kHz), spread over each."""
    with (corpora / "an4" / "manifest.tsv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["split"] == "train"]
    paths = [corpora / "an4" / row["path"] for row in rows[:: len(rows) // an4][:an4]]
    digits = sorted((corpora / "fsdd" / "recordings").glob("*.wav"))
    paths += digits[:: len(digits) // fsdd][:fsdd]
    return [soundfile.read(path, dtype="float32") for path in paths]


def seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def speed(samples: NDArray[np.float32], rounds: int) -> tuple[float, float]:
    """Median times real time of ours and of pyin, interleaved."""
    ours(samples), pyin(samples)  # compiles, plans transforms
    pairs = [
        (seconds_of(lambda: ours(samples)), seconds_of(lambda: pyin(samples)))
        for _ in range(rounds)
    ]
    length_s = len(samples) / RATE
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    return length_s / mine, length_s / theirs


def main() -> None:
    torch.set_num_threads(1)
    print("voice | noise dB | gross error, voicing error, cents: ours | pyin")
    for noise_db in NOISES:
        for voice in voices(noise_db):
            lines = [score(track(voice.samples), voice) for track in (ours, pyin)]
            figures = (f"{s.gross:6.3f} {s.voicing:6.3f} {s.cents:5.1f}" for s in lines)
            print(f"{voice.name:20} {noise_db or 'none':>5} | {' | '.join(figures)}")
    fast, slow = speed(next(voices(20)).samples, 5)
    print(f"x real time, one thread: ours {fast:.0f}, pyin {slow:.1f}, ratio {fast / slow:.0f}")
    if os.environ.get("SEQLAB_DATA"):
        speech = real_speech(Path(os.environ["SEQLAB_DATA"]), 30, 60)
        print(agreement([(ours(*item), pyin(*item)) for item in speech]))


if __name__ == "__main__":
    main()
