"""Babble: several people at once, as noise to train against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlab.data.corpora._made_noise import write_noise
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.errors import DataError

_PEOPLE = (2, 8)  # in a recording, so that some words of two can be told and none of seven
_LEVEL_DB = (-6.0, 0.0)  # how loud one of them is beside the loudest


def make_babble(
    manifest: str, minutes: float, dest: Path, sample_rate: int = 16000, seed: int = 0
) -> list[Utterance]:
    """Recordings of a minute or less, in ``dest/babble``: 2 to 7 voices of ``manifest`` at once.

    No voice is in a recording twice, where the manifest tells speakers. Equal arguments give equal
    samples.

    Args:
        manifest: speech.
        minutes: of babble, from 0.1 to 600.
        dest: folder.
        sample_rate: in Hz.
        seed: of voices, levels and places.

    Raises:
        SeqlabError: ``minutes`` out of range, or fewer than two voices.
        AudioError: a recording cannot be read.
    """
    voices = _voices(manifest)

    def make(rng: np.random.Generator, length: int) -> Tensor:
        return _mixed(voices, rng, length, sample_rate)

    return write_noise("babble", make, minutes, dest, sample_rate, seed)


def _voices(manifest: str) -> list[list[Utterance]]:
    """The utterances of each speaker; one whose speaker is not known is a speaker of its own."""
    found: dict[str, list[Utterance]] = {}
    for utterance in read_manifest(manifest):
        found.setdefault(utterance.speaker or f"of {utterance.id}", []).append(utterance)
    if len(found) < _PEOPLE[0]:
        raise DataError(
            f"babble={manifest!r} has {len(found)} speakers, must have {_PEOPLE[0]} at least; "
            "name more speech"
        )
    return list(found.values())


def _mixed(
    voices: Sequence[list[Utterance]], rng: np.random.Generator, length: int, sample_rate: int
) -> Tensor:
    """Some of the voices (length,) at once, each at a level of its own."""
    count = min(len(voices), int(rng.integers(*_PEOPLE)))
    chosen = rng.choice(len(voices), count, replace=False)
    mixed = torch.zeros(length)
    for which in chosen:
        speech = _speech(voices[which], rng, length, sample_rate)
        loudness = float(speech.square().mean().sqrt())
        gain = 10 ** (rng.uniform(*_LEVEL_DB) / 20)
        mixed += speech * (gain / max(loudness, 1e-9))
    return mixed


def _speech(
    utterances: Sequence[Utterance], rng: np.random.Generator, length: int, sample_rate: int
) -> Tensor:
    """``length`` samples of one voice: its utterances in a random order, from a random place."""
    parts: list[Tensor] = []
    wanted = length
    for utterance in _shuffled(utterances, rng):
        waveform = utterance.waveform(sample_rate)
        if not parts:
            waveform = waveform[int(rng.random() * len(waveform)) :]
        parts.append(waveform)
        wanted -= len(waveform)
        if wanted <= 0:
            break
    return torch.cat(parts)[:length]


def _shuffled(utterances: Sequence[Utterance], rng: np.random.Generator) -> Iterator[Utterance]:
    """All of them, again and again, each time in another order."""
    while True:
        for number in rng.permutation(len(utterances)):
            yield utterances[number]
