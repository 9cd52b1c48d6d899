"""When people speak in a long recording, against boundaries that are known: AN4 with pauses."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seqlab.audio import load_audio
from seqlab.inference.cutting import cut_pieces

RATE = 16000


def noise_like(quiet: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Noise with the spectrum of a quiet stretch."""
    frames = librosa.util.frame(quiet, frame_length=512, hop_length=256)
    window = np.hanning(512)[:, None]
    power = np.median(np.abs(np.fft.rfft(frames * window, axis=0)) ** 2, axis=1) / 133
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    places = np.linspace(0, 256, len(spectrum))
    shaped = spectrum * np.sqrt(np.interp(places, np.arange(257), power))
    return np.fft.irfft(shaped, count).astype(np.float32)


def recording(folder: Path) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """The test speakers, trimmed by librosa, after pauses of 0.8 to 3 s of their rooms' noise."""
    rng = np.random.default_rng(1)
    parts, times, at = [], [], 0
    quiet = np.zeros(0, np.float32)
    for number, path in enumerate(sorted((folder / "an4" / "audio" / "test").rglob("*.flac"))):
        waveform = load_audio(path)[0].numpy()
        _, (a, b) = librosa.effects.trim(waveform, top_db=30, frame_length=400, hop_length=80)
        edges = max(waveform[:a], waveform[b:], key=len)
        quiet = edges if len(edges) >= 1024 else quiet
        pause = noise_like(quiet, int(rng.uniform(0.8, 3.0) * RATE), number)
        parts += [pause, waveform[a:b]]
        times.append(((at + len(pause)) / RATE, (at + len(pause) + b - a) / RATE))
        at += len(pause) + b - a
    return np.concatenate(parts), times


@pytest.mark.data
@pytest.mark.slow
def test_speech_is_found_within_a_tenth_of_a_second(corpora: Path) -> None:
    sound, times = recording(corpora)
    found = list(cut_pieces(torch.split(torch.from_numpy(sound), 160_000), RATE))
    starts = np.array([piece.speech_start_s for piece in found])
    ends = np.array([piece.speech_end_s for piece in found])
    early = np.array([np.abs(starts - start_s).min() for start_s, _ in times])
    late = np.array([np.abs(ends - end_s).min() for _, end_s in times])
    assert len(times) == 130
    assert (early < 0.1).mean() >= 0.95
    assert (late < 0.1).mean() >= 0.95
    assert ((early < 0.1) & (late < 0.1)).mean() >= 0.95
