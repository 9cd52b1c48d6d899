"""Recordings for tests of audio, made on the spot, and how closely each format keeps them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

RATE = 16000
FORMATS = [  # suffix, libsndfile's format and encoding
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "ULAW"),
    ("wav", "WAV", "IMA_ADPCM"),
    ("wav", "WAV", "GSM610"),
    ("wav", "WAVEX", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
    ("au", "AU", "PCM_16"),
    ("caf", "CAF", "PCM_16"),
    ("w64", "W64", "PCM_16"),
    ("rf64", "RF64", "PCM_16"),
    ("sph", "NIST", "PCM_16"),
]
NAMES = [f"{kind}-{encoding}" for _, kind, encoding in FORMATS]


def noise(seconds: float, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * RATE), channels))).astype(np.float32)


def melody(seconds: float) -> NDArray[np.float32]:
    """Tones over faint noise: what an MP3 encoder takes without complaint."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * f * time + f) for f in (200, 431, 1200))
    swell = 0.1 * (1 + 0.5 * np.sin(6 * np.pi * time))
    return (swell * tones + 0.03 * noise(seconds)[:, 0]).astype(np.float32)


def tone(frequency: float, rate: int, seconds: float) -> torch.Tensor:
    time = torch.arange(math.ceil(rate * seconds), dtype=torch.float64) / rate
    return 0.5 * torch.sin(2 * math.pi * frequency * time)


def assert_same(name: str, got: object, expected: object) -> None:
    """Bit-equal; but for MP3, whose decoder rounds differently from call to call."""
    atol = 3e-7 if name.startswith("MP3") else 0
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=0, atol=atol)
