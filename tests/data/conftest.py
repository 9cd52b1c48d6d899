"""Small recordings on disk, for the tests of manifests, corpora and batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from seqlab.data.manifest import Utterance, from_file

settings.register_profile("files", deadline=None)  # the first write imports lhotse
settings.load_profile("files")

WriteAudio = Callable[..., Path]


@pytest.fixture
def write_audio(tmp_path: Path) -> WriteAudio:
    """Writes a file of noise, the same for the same name; returns its path."""

    def write(name: str, seconds: float = 0.05, rate: int = 8000, folder: Path = tmp_path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([ord(c) for c in name])
        samples = rng.integers(-8000, 8000, round(seconds * rate)).astype(np.int16)
        soundfile.write(path, samples, rate)
        return path

    return write


@pytest.fixture
def utterances(write_audio: WriteAudio) -> list[Utterance]:
    """Ten utterances of 0.1 to 1 s by two speakers, labels yes and no."""
    return [
        from_file(
            write_audio(f"u{i}.wav", 0.1 * (i + 1)),
            f"u{i}",
            label=("yes", "no")[i % 2],
            speaker=f"s{i % 2}",
        )
        for i in range(10)
    ]
