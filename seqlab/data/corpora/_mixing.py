"""One mixture: which sounds, where, how loud; drawn first, computed when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from seqlab.data.cache import AudioCache
from seqlab.data.utterance import Utterance
from seqlab.errors import DataError
from seqlab.events.event import Event, in_order
from seqlab.frontend.channel import colored_noise

NOISE_LABEL = "noise"
CACHE_BYTES = 256 * 2**20
_BACKGROUND_DB = (-60.0, -40.0)  # level of the background re full scale
_NOISE_S = (0.3, 1.5)  # length of a clip of noise
_FADE_S = 0.01  # at either end of a clip of noise, which is cut out of a longer recording
_QUIET_DB = 35.0  # so far below its loudest 10 ms a word has not begun, or is over
_FRAME_S = 0.01
_PEAK = 0.99


@dataclass(frozen=True)
class Recipe:
    """What mixtures are like; see ``seqlab.data.corpora.events.prepare``."""

    duration_s: float
    max_words: int
    max_noises: int
    min_snr_db: float
    max_snr_db: float
    sample_rate: int
    seed: int

    @property
    def num_samples(self) -> int:
        """Samples of a mixture."""
        return round(self.duration_s * self.sample_rate)


class Clips:
    """Words and noises at one sample rate, decoded once while memory allows.

    Args:
        sample_rate: In Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._cache = AudioCache(CACHE_BYTES)

    def word(self, utterance: Utterance) -> Tensor:
        """The word (N,), silence around it cut off."""
        return self._kept(utterance, trim=True)

    def noise(self, utterance: Utterance) -> Tensor:
        """The recording (N,) of noise."""
        return self._kept(utterance, trim=False)

    def _kept(self, utterance: Utterance, trim: bool) -> Tensor:
        found = self._cache.get(utterance)
        if found is None:
            found = utterance.waveform(self.sample_rate)
            found = trimmed(found, self.sample_rate) if trim else found
            self._cache.put(utterance, found)
        return found


def trimmed(waveform: Tensor, sample_rate: int) -> Tensor:
    """The waveform (N,) from the first to the last stretch of 10 ms that is not quiet.

    Quiet is 35 dB below the loudest one; a waveform of zeros stays as it is.

    >>> sound = torch.cat([torch.zeros(800), torch.ones(80), torch.zeros(400)])
    >>> len(trimmed(sound, 8000))
    80
    """
    size = max(1, round(_FRAME_S * sample_rate))
    count = -(-len(waveform) // size)
    padded = torch.nn.functional.pad(waveform, (0, count * size - len(waveform)))
    energies = padded.double().reshape(count, size).square().sum(1)
    loud = torch.nonzero(energies > float(energies.max()) * 10 ** (-_QUIET_DB / 10))[:, 0].tolist()
    return waveform[loud[0] * size : (loud[-1] + 1) * size] if loud else waveform


@dataclass(frozen=True)
class Mixture:
    """Sounds (label, first sample, waveform, ratio to the background in dB), and the background.

    Args:
        sounds: At least one.
        speakers: Of the words.
        background_db: Level re full scale.
        color: Exponent of the background's spectrum.
        recipe: What mixtures are like.
    """

    sounds: Sequence[tuple[str, int, Tensor, float]]
    speakers: Sequence[str]
    background_db: float
    color: float
    recipe: Recipe

    def render(self, rng: np.random.Generator) -> Tensor:
        """The waveform (N,) within [-1, 1]; ``rng`` draws the background."""
        level = 10 ** (self.background_db / 20)
        mixed = level * colored_noise(self.recipe.num_samples, self.color, rng)
        for _, first, sound, snr_db in self.sounds:
            power = float(sound.double().square().mean())
            gain = level * 10 ** (snr_db / 20) / power**0.5 if power > 0 else 0.0
            mixed[first : first + len(sound)] += gain * sound
        peak = float(mixed.abs().max())
        return mixed * (_PEAK / peak) if peak > _PEAK else mixed

    def utterance(self, whole: Utterance) -> Utterance:
        """The utterance of its file, with events and speakers."""
        rate = self.recipe.sample_rate
        events = in_order(
            Event(label, first / rate, (first + len(sound)) / rate)
            for label, first, sound, _ in self.sounds
        )
        return replace(whole, events=tuple(events), speaker="+".join(sorted(set(self.speakers))))


def draw_mixture(
    words: Sequence[Utterance],
    noises: Sequence[Utterance],
    recipe: Recipe,
    clips: Clips,
    rng: np.random.Generator,
) -> Mixture:
    """Draw a mixture: 1 to ``max_words`` words, 0 to ``max_noises`` clips, all evenly.

    Args:
        words: With labels and speakers.
        noises: Recordings; may be none.
        recipe: What mixtures are like.
        clips: Gives the audio.
        rng: Draws; what is left of it draws the background.

    Raises:
        DataError: A word is longer than a mixture.
    """
    sounds: list[tuple[str, int, Tensor, float]] = []
    chosen = [
        words[int(i)] for i in rng.integers(len(words), size=1 + rng.integers(recipe.max_words))
    ]
    for word in chosen:
        sounds.append(_placed(str(word.label), clips.word(word), recipe, rng))
    for _ in range(int(rng.integers(recipe.max_noises + 1)) if noises else 0):
        recording = clips.noise(noises[int(rng.integers(len(noises)))])
        length = round(float(rng.uniform(*_NOISE_S)) * recipe.sample_rate)
        sounds.append(_placed(NOISE_LABEL, _section(recording, length, recipe, rng), recipe, rng))
    background_db = float(rng.uniform(*_BACKGROUND_DB))
    speakers = [str(word.speaker) for word in chosen]
    return Mixture(sounds, speakers, background_db, float(rng.uniform(0, 2)), recipe)


def _placed(
    label: str, sound: Tensor, recipe: Recipe, rng: np.random.Generator
) -> tuple[str, int, Tensor, float]:
    room = recipe.num_samples - len(sound)
    if room < 0:
        raise DataError(
            f"{label!r} of {len(sound) / recipe.sample_rate:.2f} s is longer than a mixture of "
            f"{recipe.duration_s} s; raise duration_s"
        )
    first = int(rng.integers(room + 1))
    return label, first, sound, float(rng.uniform(recipe.min_snr_db, recipe.max_snr_db))


def _section(noise: Tensor, length: int, recipe: Recipe, rng: np.random.Generator) -> Tensor:
    """A random section (length,) of noise, or all of a shorter one, faded in and out."""
    length = min(length, len(noise))
    start = int(rng.integers(len(noise) - length + 1))
    section = noise[start : start + length].clone()
    fade = min(round(_FADE_S * recipe.sample_rate), length // 2)
    slope = torch.arange(1, fade + 1) / (fade + 1)
    section[:fade] *= slope
    section[length - fade :] *= slope.flip(0)
    return section
