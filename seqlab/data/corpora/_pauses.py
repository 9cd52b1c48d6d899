"""Pauses cut off at both ends of recordings of a word or phrase."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from seqlab.audio import load_audio
from seqlab.data.utterance import Utterance


@dataclass(frozen=True)
class Loudness:
    """From which frame on a word is loud.

    Args:
        frames_per_s: Frames whose power is measured, in a second.
        smoothed: Frames over which it is averaged.
        drop_db: So far below the loudest frame a word still is loud,
        rise_db: if it is so far above the pauses,
        quiet_percent: whose level that share of the frames does not reach.
    """

    frames_per_s: int
    smoothed: int
    drop_db: float
    rise_db: float
    quiet_percent: float


def without_pauses(utterance: Utterance, margin_s: float, loudness: Loudness) -> Utterance:
    """The utterance from ``margin_s`` before its first loud frame to as long after its last.

    One that is shorter than the frames that are averaged stays as it is.
    """
    waveform, rate = load_audio(
        utterance.path, start_s=utterance.start_s, duration_s=utterance.duration_s
    )
    frame = rate // loudness.frames_per_s
    count = len(waveform) // frame
    if count < loudness.smoothed:
        return utterance
    power = waveform[: count * frame].reshape(count, frame).square().mean(1).numpy()
    if loudness.smoothed > 1:
        power = np.convolve(power, np.ones(loudness.smoothed) / loudness.smoothed, "same")
    level = 10 * np.log10(power + 1e-10)
    quiet = np.percentile(level, loudness.quiet_percent)
    least = max(level.max() - loudness.drop_db, quiet + loudness.rise_db)
    loud = np.flatnonzero(level >= min(least, level.max()))
    begin = max(0.0, float(loud[0]) / loudness.frames_per_s - margin_s)
    end = min(utterance.duration_s, float(loud[-1] + 1) / loudness.frames_per_s + margin_s)
    return dataclasses.replace(
        utterance,
        start_s=round(utterance.start_s + begin, 6),
        duration_s=round(end - begin, 6),
    )
