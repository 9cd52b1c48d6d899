"""Voice activity: where somebody speaks, from energy and spectral flatness over the noise."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.frontend.noise_floor import noise_floor, per_stride, spread
from seqlab.frontend.speech_bands import SpeechBands, speech_bands
from seqlab.frontend.validation import as_recording
from seqlab.lengths import frame_count_centered

_SILENT = 1e-8  # of the loudest frame, in power: digital silence, which tells nothing of noise
_LEAST_NOISE = 1e-6  # of the loudest frame, in power
_STRIDE_S = 0.1  # between estimates of the noise
_SMOOTH_S = 0.05  # frames decide together over so long
_LOUDEST_S = 5.0  # to each side, within which speech is compared with the loudest
_FLATNESS_DB = 6.0  # most that flatness adds: a pure tone is not surer than a vowel
_SCORE_DB = 12.0  # what is surely speech does not outvote its neighbours
_EULER = 0.5772156649015329  # mean logarithm of a noise's power lies so far below its logarithm
_DB = 10 / math.log(10)


def voice_activity(
    waveform: Tensor | NDArray[np.floating],
    sample_rate: int,
    *,
    hop_length: int | None = None,
    threshold_db: float = 2.0,
    range_db: float = 35.0,
) -> Tensor:
    """Which frames of one recording hold speech.

    Use it to drop silence before training, or to find where to look; ``speech_segments`` gives
    whole stretches. It knows steady noise from what stands out of it, and nothing else: music,
    clicks, a slammed door and other talkers in the background count as speech. A voice that is
    much weaker than another within five seconds does not. A hum or tone that does not change is
    noise. The noise is learnt from the recording, three seconds to either side; where there is
    less than a second to learn from, it is taken to lie 20 dB below the loudest at most.

    The score of a frame is its energy over the noise, averaged over bands each measured by its
    own noise, plus how far the spectrum so measured is from flat, both in dB. Gain and constant
    offset do not matter. Frames are centred as those of ``pitch``. A frame that reads a NaN or an
    infinity is not speech and does not count for the noise.

    Args:
        waveform: samples (N,), floating point of any scale or int16; N may be 0.
        sample_rate: Hz, at least 2000.
        hop_length: samples between frames; None takes 10 ms.
        threshold_db: score above which a frame is speech, within [0, 40]; lower ones find weaker
            speech and more noise.
        range_db: how far below the loudest energy over noise within five seconds speech may lie,
            within [5, 120]; it keeps breath and echoes out of clean recordings.

    Returns:
        True where there is speech (T,), bool, on the waveform's device.

    Raises:
        AudioError: the waveform is not (N,), or neither floating point nor int16.
        SeqlabError: a setting is out of range.

    Source: flatness is the ratio of geometric and arithmetic mean (Gray and Markel 1974, "A
    spectral-flatness measure for studying the autocorrelation method"), here of the spectrum
    over the noise. The thresholds are our own, set on training speakers of AN4 and on FSDD.

    Example:
        >>> noise = 0.001 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
        >>> noise[6000:10000] += torch.sin(torch.arange(4000) * 0.08)
        >>> active = voice_activity(noise, 16000)
        >>> active.shape, active[50].item(), active[10].item()
        (torch.Size([101]), True, False)
    """
    waveform = as_recording("voice_activity", waveform).detach()
    hop_length = _hop_length(sample_rate, hop_length)
    check_range("threshold_db", threshold_db, 0, 40, "2 suits steady noise, 4 rooms with people")
    check_range("range_db", range_db, 5, 120, "35 suits one talker")
    frames = frame_count_centered(len(waveform), 0, hop_length) if len(waveform) else 0
    bands = speech_bands(waveform, sample_rate, frames, hop_length)
    loudest = bands.power.mean(1).amax() if frames else torch.zeros(())
    if float(loudest) == 0:
        return torch.zeros(frames, dtype=torch.bool, device=waveform.device)
    heard = bands.power.mean(1) > _SILENT * loudest
    return _decide(bands, heard, float(loudest), hop_length / sample_rate, threshold_db, range_db)


def _hop_length(sample_rate: int, hop_length: int | None) -> int:
    check_at_least("sample_rate", sample_rate, 2000, "recordings of speech commonly have 16000")
    if hop_length is None:
        return round(0.01 * sample_rate)
    check_at_least("hop_length", hop_length, 1, "10 ms are 0.01 * sample_rate")
    return hop_length


def _decide(
    bands: SpeechBands,
    heard: Tensor,
    loudest: float,
    hop_s: float,
    threshold_db: float,
    range_db: float,
) -> Tensor:
    """Speech or not (T,), from powers in bands and which frames are not digital silence."""
    frames = len(heard)
    stride = max(round(_STRIDE_S / hop_s), 1)
    noise = noise_floor(bands.power, heard, stride, hop_s).clamp_min(_LEAST_NOISE * loudest)
    ratio = torch.cat(
        [
            (some / level).mean(1)
            for some, level in zip(torch.split(bands.power, stride), noise, strict=True)
        ]
    )
    over = ratio.clamp_min(1e-10).log()
    flat = bands.log_power - spread(noise.log().mean(1), stride, frames) + _EULER
    energy = over * _DB
    peaked = ((over - flat) * _DB).clamp(0, _FLATNESS_DB)
    score = _smooth((energy + peaked).clamp(-_SCORE_DB, _SCORE_DB), heard, hop_s)
    steps = max(round(_LOUDEST_S / (stride * hop_s)), 1)
    top = per_stride(energy.masked_fill(~heard, -torch.inf), stride, -torch.inf).amax(1)
    nearby = torch.nn.functional.max_pool1d(top[None, None], 2 * steps + 1, 1, steps)[0, 0]
    return heard & (score > threshold_db) & (energy > spread(nearby, stride, frames) - range_db)


def _smooth(score: Tensor, heard: Tensor, hop_s: float) -> Tensor:
    """Mean over the frames about each that were heard (T,)."""
    side = round(_SMOOTH_S / hop_s / 2)
    weight = heard.to(score.dtype)
    pair = torch.stack([score.masked_fill(~heard, 0), weight]).unsqueeze(0)
    total, count = torch.nn.functional.avg_pool1d(pair, 2 * side + 1, 1, side)[0]
    smoothed: Tensor = total / count.clamp_min(1e-3)
    return smoothed


def speech_segments(
    waveform: Tensor | NDArray[np.floating],
    sample_rate: int,
    *,
    hop_length: int | None = None,
    threshold_db: float = 2.0,
    range_db: float = 35.0,
    min_speech_s: float = 0.1,
    min_silence_s: float = 0.3,
    padding_s: float = 0.1,
) -> list[tuple[float, float]]:
    """Stretches of one recording that hold speech.

    Use it to cut a long recording into utterances. Pauses shorter than ``min_silence_s`` are
    bridged first, then stretches shorter than ``min_speech_s`` dropped, then what is left is
    padded and merged where the padding meets.

    Args:
        waveform: samples (N,), floating point of any scale or int16; N may be 0.
        sample_rate: Hz, at least 2000.
        hop_length: as in ``voice_activity``, where the limits of what it finds are told.
        threshold_db: as in ``voice_activity``.
        range_db: as in ``voice_activity``.
        min_speech_s: seconds; shorter stretches are dropped. At least 0.
        min_silence_s: seconds; shorter pauses are bridged. At least 0.
        padding_s: seconds added at both ends of a stretch, within the recording. At least 0.

    Returns:
        (start_s, end_s) of each stretch, in seconds, in order and apart from each other.

    Raises:
        AudioError: the waveform is not (N,), or neither floating point nor int16.
        SeqlabError: a setting is out of range.

    Example:
        >>> noise = 0.001 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
        >>> noise[6400:9600] += torch.sin(torch.arange(3200) * 0.08)
        >>> [(start, end)] = speech_segments(noise, 16000, padding_s=0)
        >>> abs(start - 0.4) < 0.03, abs(end - 0.6) < 0.03
        (True, True)
    """
    for name, value in (
        ("min_speech_s", min_speech_s),
        ("min_silence_s", min_silence_s),
        ("padding_s", padding_s),
    ):
        check_range(name, value, 0, 3600, "it is in seconds; 0 leaves it out")
    waveform = as_recording("speech_segments", waveform)
    active = voice_activity(
        waveform,
        sample_rate,
        hop_length=hop_length,
        threshold_db=threshold_db,
        range_db=range_db,
    )
    hop_s = _hop_length(sample_rate, hop_length) / sample_rate
    duration_s = len(waveform) / sample_rate
    # A frame stands for the time half a hop to either side of it.
    runs = [((a - 0.5) * hop_s, (b - 0.5) * hop_s) for a, b in _runs(active)]
    long = [run for run in _bridge(runs, min_silence_s) if run[1] - run[0] >= min_speech_s]
    padded = [(max(a - padding_s, 0.0), min(b + padding_s, duration_s)) for a, b in long]
    return _bridge(padded, 0.0)


def _runs(active: Tensor) -> list[tuple[int, int]]:
    """First frame of each run of True, and the one after its last."""
    edge = torch.nn.functional.pad(active.to(torch.int8), (1, 1)).diff().nonzero().flatten()
    return list(zip(edge[::2].tolist(), edge[1::2].tolist(), strict=True))


def _bridge(runs: list[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    """Runs joined where they overlap, touch, or lie less than ``gap_s`` apart."""
    joined: list[tuple[float, float]] = []
    for start, end in runs:
        if joined and (start - joined[-1][1] < gap_s or start <= joined[-1][1]):
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
