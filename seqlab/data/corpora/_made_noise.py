"""Noise that is made rather than recorded: written a minute to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.checks import check_range
from seqlab.data.manifest import Utterance, from_file

Maker = Callable[[np.random.Generator, int], Tensor]
"""Makes so many samples (N,) of noise from a generator of its own."""

_RECORDING_S = 60.0
_PEAK = 0.9


def write_noise(
    kind: str, make: Maker, minutes: float, dest: Path, sample_rate: int, seed: int
) -> list[Utterance]:
    """Recordings of a minute or less in ``dest/kind``, all of the same peak.

    Raises:
        SeqlabError: ``minutes`` out of range.
    """
    check_range(f"{kind}_minutes", minutes, 0.1, 600, "10 is usual")
    folder = dest / kind
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(int(np.ceil(minutes * 60 / _RECORDING_S))):
        seconds = min(_RECORDING_S, minutes * 60 - number * _RECORDING_S)
        noise = make(np.random.default_rng([seed, number]), round(seconds * sample_rate))
        path = folder / f"{number:03d}.flac"
        save_audio(path, noise * (_PEAK / max(float(noise.abs().max()), 1e-9)), sample_rate)
        made.append(from_file(path, f"{kind}/{number:03d}"))
    return made
