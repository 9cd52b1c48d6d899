"""Random changes to training waveforms, all drawn from one generator an utterance brings."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from seqlab.data.cache import AudioCache
from seqlab.data.config import AugmentConfig, split_path
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError

Item = TypeVar("Item")
CACHE_BYTES = 256 * 2**20  # of decoded noises and impulse responses, in each process


class WaveformAugmenter:
    """Speed, pauses, room, channel, edges, noise, level and place in time, in this order.

    So noise covers the silence at moved edges: digital silence lies far below all that a
    microphone hears, and would shift the means of the features.

    The number of draws for one utterance does not depend on their outcome, so that changing one
    setting leaves the random numbers of the others as they were.

    Args:
        config: what to change and how often.
        sample_rate: of the waveforms, in Hz.
        root: folder that the manifests in ``config`` are relative to.

    Raises:
        DataError: a manifest cannot be read or is empty.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int, root: str | Path = ".") -> None:
        self.config = config
        self.sample_rate = sample_rate
        self.noises = _recordings(config.noise, root, "noise")
        self.responses = _recordings(config.reverberation, root, "reverberation")
        self._cache = AudioCache(CACHE_BYTES)

    def __call__(self, waveform: Tensor, rng: np.random.Generator) -> Tensor:
        """The waveform (N,) changed; (N',) where its speed or its pauses change."""
        from seqlab.frontend import augment, channel

        config = self.config
        draw = [float(value) for value in rng.random(16)]
        if config.speeds:
            factor = _pick(config.speeds, draw[0])
            if factor != 1.0:
                waveform = augment.change_speed(waveform, factor, self.sample_rate)
        if config.pauses_s is not None:
            longest = (round(pause_s * self.sample_rate) for pause_s in config.pauses_s)
            before, after = (round(n * d) for n, d in zip(longest, draw[14:], strict=True))
            waveform = channel.move_edges(waveform, before, after)
        if self.responses and draw[1] < config.reverberation_probability:
            response = self._cache.read(_pick(self.responses, draw[2]), self.sample_rate)
            waveform = augment.reverberate(waveform, response)
        if config.spectral_tilt > 0:
            tilt = _between((-config.spectral_tilt, config.spectral_tilt), draw[9])
            waveform = channel.tilt_spectrum(waveform, tilt)
        if config.edges_s > 0:
            most = config.edges_s * self.sample_rate
            before, after = (round(_between((-most, most), value)) for value in draw[12:14])
            waveform = channel.move_edges(waveform, before, after)
        if self.noises and draw[3] < config.noise_probability:
            noise = self._noise(draw[4], len(waveform), draw[5])
            snr_db = _between(config.noise_snr_db, draw[6])
            waveform = augment.add_noise(waveform, noise, snr_db)
        if config.colored_noise_snr_db is not None:
            noise = channel.colored_noise(len(waveform), 2 * draw[10], rng)
            snr_db = _between(config.colored_noise_snr_db, draw[11])
            waveform = augment.add_noise(waveform, noise, snr_db)
        if config.gain_db is not None:
            waveform = augment.change_gain(waveform, _between(config.gain_db, draw[7]))
        if config.time_shift_s > 0:
            shift_s = _between((-config.time_shift_s, config.time_shift_s), draw[8])
            waveform = augment.shift_time(waveform, round(shift_s * self.sample_rate))
        return waveform

    def _noise(self, which: float, length: int, place: float) -> Tensor:
        """``length`` samples of a recording from a random place, repeated where it is shorter.

        Where the recordings are played at several speeds, the rest of the draw that picks one
        picks its speed: it says nothing about the recording.
        """
        from seqlab.frontend.augment import change_speed

        speeds = self.config.noise_speeds or [1.0]
        speed = _pick(speeds, which * len(self.noises) % 1.0)
        part = partial(_part, length=math.ceil(length * speed), draw=place)
        noise = self._cache.read(_pick(self.noises, which), self.sample_rate, part)
        if speed != 1.0:
            noise = change_speed(noise, speed, self.sample_rate)
        if len(noise) < length:
            noise = noise.repeat(math.ceil(length / len(noise)) + 1)
            noise = noise[_part(len(noise), length, place)]
        return noise[:length]


def _recordings(manifest: str | None, root: str | Path, what: str) -> list[Utterance]:
    if manifest is None:
        return []
    recordings = read_manifest(split_path(root, manifest))
    if not recordings:
        raise DataError(f"augment.{what}: {manifest} is empty, must name at least one recording")
    return recordings


def _pick(items: list[Item], draw: float) -> Item:
    return items[int(draw * len(items))]


def _between(interval: tuple[float, float], draw: float) -> float:
    low, high = interval
    return low + (high - low) * draw


def _part(whole: int, length: int, draw: float) -> slice:
    """``length`` samples of ``whole`` from a random place; all where there are not as many."""
    start = int(draw * max(0, whole - length + 1))
    return slice(start, start + length) if whole >= length else slice(None)
