"""Recordings as NumPy arrays; the same samples as ``seqlab.audio`` gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from seqlab.audio_file import BLOCK_VALUES, Samples, check_path, decode, open_file, open_source
from seqlab.image_lines import check_line_rate


def load_samples(path: str | os.PathLike[str], sample_rate: int) -> Samples:
    """A recording (N,), float32, mono, at a rate in Hz; see ``seqlab.audio.load_audio``.

    Raises:
        AudioError: It cannot be used.
    """
    name = check_path(path)
    with open_file(name) as sound:
        check_line_rate(name, sound, sample_rate)
        samples = np.concatenate(list(decode(name, sound)))
        native: int = sound.samplerate
    if native == sample_rate:
        return samples
    import soxr

    resampled = soxr.resample(samples, native, sample_rate, "HQ")
    return _fit(np.asarray(resampled, np.float32), _resampled(len(samples), native, sample_rate))


def read_sample_blocks(
    source: str | os.PathLike[str] | BinaryIO, block_s: float, sample_rate: int
) -> Iterator[Samples]:
    """A recording or pipe block by block, in bounded memory; see ``seqlab.audio.read_blocks``.

    Raises:
        AudioError: It cannot be used, or is damaged further on.
    """
    with open_source(source) as (name, sound):
        check_line_rate(name, sound, sample_rate)
        size = max(1, min(round(block_s * sound.samplerate), BLOCK_VALUES))
        blocks = decode(name, sound, block=size)
        native: int = sound.samplerate
        yield from blocks if native == sample_rate else _resample(blocks, native, sample_rate)


def _resample(blocks: Iterator[Samples], native: int, sample_rate: int) -> Iterator[Samples]:
    import soxr

    stream = soxr.ResampleStream(native, sample_rate, 1, quality="HQ")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        resampled = np.asarray(stream.resample_chunk(block), np.float32)
        given += len(resampled)
        if len(resampled):
            yield resampled
    rest = _resampled(taken, native, sample_rate) - given
    last = np.asarray(stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
    if rest > 0:
        yield _fit(last, rest)


def _resampled(samples: int, native: int, sample_rate: int) -> int:
    return -(-samples * sample_rate // native)


def _fit(samples: Samples, length: int) -> Samples:
    """Samples cut or zero-padded to ``length``; the resampler's own length is +-1."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
