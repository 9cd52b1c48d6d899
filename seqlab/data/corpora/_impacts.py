"""Impacts: hard things struck, set down and knocked together, as noise to train against.

Crockery, keys and tools are most of what a kitchen or a workshop adds to a voice, and hardly any
folder of noise has enough of them: hum and rush teach nothing about sounds that begin at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.data.corpora._made_noise import write_noise
from seqlab.data.manifest import Utterance
from seqlab.frontend.channel import colored_noise

_THINGS = (2, 9)  # that are struck in a recording
_MODES = (3, 16)  # of one thing
_FREQUENCY_HZ = (150.0, 7000.0)
_DECAY_S = (0.01, 0.5)  # until a mode is 60 dB down, at 1 kHz; higher ones die sooner
_CONTACT_S = (1e-4, 3e-3)  # of the blow: short is hard and bright
_BLOWS_PER_S = (0.5, 10.0)
_LEVEL_DB = (-30.0, 0.0)
_BACKGROUND_DB = (-50.0, -20.0)  # what else is heard, to the mean of the blows


@dataclass(frozen=True)
class _Thing:
    """What rings when it is struck: its modes."""

    frequency_hz: NDArray[np.float64]
    decay_s: NDArray[np.float64]
    amplitude: NDArray[np.float64]


def make_impacts(
    minutes: float, dest: Path, sample_rate: int = 16000, seed: int = 0
) -> list[Utterance]:
    """Recordings of a minute or less, in ``dest/impacts``: 2 to 8 things, struck now and then.

    A thing rings in 3 to 15 damped modes, each blow excites them anew, at a level and with a
    hardness of its own. Equal arguments give equal samples.

    Args:
        minutes: of impacts, from 0.1 to 600.
        dest: folder.
        sample_rate: in Hz.
        seed: of things and blows.

    Raises:
        SeqlabError: ``minutes`` out of range.

    Source: van den Doel, Kry and Pai 2001, "FoleyAutomatic: physically-based sound effects for
    interactive simulation and animation", section 3: modes as damped oscillators, a blow as a
    raised cosine.
    """

    def make(rng: np.random.Generator, length: int) -> Tensor:
        return _recording(rng, length, sample_rate)

    return write_noise("impacts", make, minutes, dest, sample_rate, seed)


def _recording(rng: np.random.Generator, length: int, sample_rate: int) -> Tensor:
    things = [_thing(rng, sample_rate) for _ in range(rng.integers(*_THINGS))]
    blows = rng.poisson(_log_uniform(rng, _BLOWS_PER_S) * length / sample_rate)
    sound = np.zeros(length)
    for start in rng.integers(0, length, max(1, blows)):
        thing = things[rng.integers(len(things))]
        blow = _blow(thing, rng, sample_rate)[: length - start]
        sound[start : start + len(blow)] += blow * 10 ** (rng.uniform(*_LEVEL_DB) / 20)
    level = np.sqrt(np.mean(sound**2)) * 10 ** (rng.uniform(*_BACKGROUND_DB) / 20)
    background = colored_noise(length, 2 * rng.random(), rng)
    return torch.from_numpy(sound).float() + float(level) * background


def _thing(rng: np.random.Generator, sample_rate: int) -> _Thing:
    count = int(rng.integers(*_MODES))
    top = min(_FREQUENCY_HZ[1], 0.45 * sample_rate)
    lowest = _log_uniform(rng, (_FREQUENCY_HZ[0], top / 2))
    frequency = np.exp(rng.uniform(np.log(lowest), np.log(top), count))
    decay = _log_uniform(rng, _DECAY_S) * np.sqrt(1000.0 / frequency)
    return _Thing(frequency, decay, rng.uniform(0.1, 1.0, count))


def _blow(thing: _Thing, rng: np.random.Generator, sample_rate: int) -> NDArray[np.float64]:
    """The ring of one blow, of peak 1; which modes it excites depends on where it falls."""
    time = np.arange(max(1, round(thing.decay_s.max() * sample_rate))) / sample_rate
    amplitude = thing.amplitude * rng.uniform(0.0, 1.0, len(thing.amplitude))
    phase = rng.uniform(0, 2 * np.pi, len(amplitude))
    ring = np.zeros(len(time))
    for frequency, decay, loud, angle in zip(
        thing.frequency_hz, thing.decay_s, amplitude, phase, strict=True
    ):
        envelope = np.exp(-np.log(1000.0) * time / decay)
        ring += loud * envelope * np.sin(2 * np.pi * frequency * time + angle)
    contact = np.hanning(max(3, round(_log_uniform(rng, _CONTACT_S) * sample_rate)))
    struck = np.convolve(ring, contact)
    return struck / max(float(np.abs(struck).max()), 1e-9)


def _log_uniform(rng: np.random.Generator, interval: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(interval))))
