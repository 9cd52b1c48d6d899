"""Pitch: the fundamental frequency of a voice over time, and where there is one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.pitch_candidates import CANDIDATES, PitchFrames, candidates, level
from seqlab.frontend.pitch_tracking import best_path
from seqlab.frontend.validation import as_recording
from seqlab.lengths import frame_count_centered

_BLOCK_POINTS = 512 * 1024  # of transforms at a time: a few megabytes
_PERIODS = 2.25  # of the lowest pitch that a frame compares with as many later
_LEAST_REACH = 0.05  # octaves a frame, however short the hop: what noise does to an estimate


@dataclass(frozen=True, eq=False)
class PitchTrack:
    """Pitch of one recording, frame by frame; frame t lies at ``times[t]``.

    Args:
        frequency: F0 in Hz (T,), float32; NaN where unvoiced.
        voiced: whether the frame is periodic (T,), bool.
        probability: of the frame being periodic, within [0, 1], (T,), float32. It looks at the
            frame alone; ``voiced`` at its neighbours too.
        times: seconds from the first sample (T,), float64.
    """

    frequency: Tensor
    voiced: Tensor
    probability: Tensor
    times: Tensor


def pitch(
    waveform: Tensor | NDArray[np.floating],
    sample_rate: int,
    *,
    f_min: float = 65.0,
    f_max: float = 500.0,
    win_length: int | None = None,
    hop_length: int | None = None,
    threshold_mean: float = 0.1,
    max_rate: float = 20.0,
    unvoiced_prior: float = 0.005,
    switch_probability: float = 0.01,
) -> PitchTrack:
    """Fundamental frequency and voicing of one recording, by probabilistic YIN.

    Use it for intonation, tone and speaker features, or to see where a recording is voiced. One
    voice at a time: of two it follows one or the other. A hum is a pitch too.

    Frames are centred, beginning with the first sample; beyond the ends the recording is taken to
    keep its last value. There are as many as a front end with edges="zero" or "reflect" and the
    same hop gives. Scale and constant offset do not matter. A frame that reads a NaN or an
    infinity is unvoiced with probability 0, as is a silent one. Memory is bounded: an
    hour takes less than 100 MB beside the waveform.

    Args:
        waveform: samples (N,), floating point of any scale or int16; N may be 0.
        sample_rate: Hz.
        f_min: lowest F0 in Hz, positive. Lower ones need longer frames.
        f_max: highest F0 in Hz, above ``f_min`` and at most a quarter of ``sample_rate``. A voice
            above it is found an octave or more too low.
        win_length: samples compared with as many one period later, at least one period of
            ``f_min``; None takes two and a quarter. A frame reads one period of ``f_min`` more.
        hop_length: samples between frames; None takes 10 ms.
        threshold_mean: mean of the prior over YIN's threshold, within [0.01, 0.5]. Higher ones
            find more in noise and more pitches an octave too high.
        max_rate: octaves a second that pitch moves at most.
        unvoiced_prior: weight of being unvoiced within (0, 1]; higher ones find fewer voiced
            frames, in noise above all.
        switch_probability: of voicing to begin or end from one frame to the next, within (0, 0.5].

    Returns:
        The pitch track, on the waveform's device; without gradient.

    Raises:
        AudioError: the waveform is not (N,), or neither floating point nor int16.
        SeqlabError: a setting is out of range.

    Source: Mauch and Dixon 2014, "pYIN: a fundamental frequency estimator using probabilistic
    threshold distributions"; de Cheveigné and Kawahara 2002. Deviations: ``candidates`` and
    ``best_path`` name theirs; ``max_rate`` and ``unvoiced_prior`` were set on synthetic voices.

    Example:
        >>> seconds = torch.arange(8000) / 16000
        >>> track = pitch(torch.sin(2 * math.pi * 200 * seconds), 16000)
        >>> bool(track.voiced[10]), round(track.frequency[10].item(), 1)
        (True, 200.0)
    """
    waveform = as_recording("pitch", waveform).detach()
    settings = _settings(sample_rate, f_min, f_max, win_length, hop_length, threshold_mean)
    check_range("max_rate", max_rate, 0.1, 1000, "speech moves by less than 20 octaves a second")
    check_range("unvoiced_prior", unvoiced_prior, 1e-9, 1, "0.005 suits speech")
    check_range("switch_probability", switch_probability, 1e-9, 0.5, "0.01 suits speech")
    frequency, probability = _all_candidates(waveform, settings)
    path = best_path(
        frequency,
        probability,
        reach=max(max_rate * settings.hop_length / sample_rate, _LEAST_REACH),
        unvoiced_prior=unvoiced_prior,
        switch_probability=switch_probability,
    )
    return _track(path, frequency, probability, settings, waveform.device)


def _settings(
    sample_rate: int,
    f_min: float,
    f_max: float,
    win_length: int | None,
    hop_length: int | None,
    threshold_mean: float,
) -> PitchFrames:
    """The settings checked, and None replaced."""
    check_at_least("sample_rate", sample_rate, 40, "recordings of speech commonly have 16000")
    check_range(
        "f_max", f_max, 2, sample_rate / 4, "it may not pass a quarter of sample_rate; lower it"
    )
    check_range("f_min", f_min, 1, f_max, "it must be below f_max; men speak down to 65 Hz")
    if f_min >= f_max:
        raise SeqlabError(f"f_min={f_min} must be below f_max={f_max:g} Hz; lower f_min")
    check_range("threshold_mean", threshold_mean, 0.01, 0.5, "0.1 suits speech")
    period = math.ceil(sample_rate / f_min)
    if win_length is None:
        win_length = math.ceil(_PERIODS * sample_rate / f_min)
    check_at_least(
        "win_length", win_length, period, "a frame must hold a period of f_min; None takes 2.25"
    )
    if hop_length is None:
        hop_length = max(round(0.01 * sample_rate), 1)
    check_at_least("hop_length", hop_length, 1, "10 ms are 0.01 * sample_rate")
    return PitchFrames(sample_rate, f_min, f_max, win_length, hop_length, threshold_mean)


def _all_candidates(
    waveform: Tensor, settings: PitchFrames
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frequencies and probabilities of every frame's candidates, both (T, CANDIDATES)."""
    frames = frame_count_centered(len(waveform), 0, settings.hop_length) if len(waveform) else 0
    frequency = np.ones((frames, CANDIDATES), dtype=np.float32)
    probability = np.zeros((frames, CANDIDATES), dtype=np.float32)
    for first, last in _blocks(frames, settings.n_fft):
        samples, finite = level(settings.cut(waveform, first, last))
        hertz, share = candidates(samples, settings)
        kept = hertz.shape[1]
        frequency[first:last, :kept] = hertz.cpu().numpy()
        probability[first:last, :kept] = (share * finite.unsqueeze(1)).cpu().numpy()
    return frequency, probability


def _blocks(frames: int, n_fft: int) -> Iterator[tuple[int, int]]:
    """Ranges of frames that are worked on at a time."""
    block = max(_BLOCK_POINTS // n_fft, 1)
    for first in range(0, frames, block):
        yield first, min(first + block, frames)


def _track(
    path: NDArray[np.intp],
    frequency: NDArray[np.float32],
    probability: NDArray[np.float32],
    settings: PitchFrames,
    device: torch.device,
) -> PitchTrack:
    """The track along a path through the candidates."""
    voiced = path < CANDIDATES
    chosen = frequency[np.arange(len(path)), np.minimum(path, CANDIDATES - 1)]
    hop_s = settings.hop_length / settings.sample_rate
    return PitchTrack(
        frequency=torch.from_numpy(np.where(voiced, chosen, np.float32("nan"))).to(device),
        voiced=torch.from_numpy(voiced).to(device),
        probability=torch.from_numpy(probability.sum(1).clip(0, 1)).to(device),
        times=(torch.arange(len(path), dtype=torch.float64) * hop_s).to(device),
    )
