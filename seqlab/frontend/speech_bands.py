"""Power in the bands where speech lies, frame by frame, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from seqlab.frontend.held import held_frames
from seqlab.frontend.mel import hz_to_mel, mel_to_hz
from seqlab.frontend.spectrum import power_spectrum

_BLOCK = 1024  # frames transformed at a time
_PIECE = 1 << 20  # samples looked through at a time
_BANDS = 16
_LOWEST, _HIGHEST = 100.0, 7000.0  # Hz: above mains hum, below where recordings end
_WINDOW_S = 0.032
_FAINTEST = 1e-20  # power of a bin, at full scale 1, that logarithms go down to


@dataclass(frozen=True, eq=False)
class SpeechBands:
    """Spectrum of a recording in bands equally wide in mel, on a scale where its peak is 1.

    Args:
        power: mean power of the bins of each band (T, bands), float32; 0 in frames that are not
            finite.
        log_power: natural logarithm of the bins' power, averaged over the bins of a band and
            then over bands (T,), float32.
    """

    power: Tensor
    log_power: Tensor


def speech_bands(waveform: Tensor, sample_rate: int, frames: int, hop_length: int) -> SpeechBands:
    """Powers of the centred frames of one recording, Hann window of 32 ms.

    Args:
        waveform: samples (N,), any scale, NaN allowed.
        sample_rate: Hz, at least 2000.
        frames: how many; frame t lies about sample t * hop_length.
        hop_length: samples between frames.

    Returns:
        The bands.
    """
    length = round(_WINDOW_S * sample_rate)
    n_fft = 1 << (length - 1).bit_length()
    edges = band_edges(sample_rate, n_fft)
    average = _averaging(edges, n_fft).to(waveform.device)
    window = torch.hann_window(length, device=waveform.device)
    peak = _finite_peak(waveform)
    power = torch.empty(frames, len(edges) - 1, device=waveform.device)
    log_power = torch.empty(frames, device=waveform.device)
    for first in range(0, frames, _BLOCK):
        last = min(first + _BLOCK, frames)
        cut = held_frames(
            waveform, first, last, left=length // 2, length=length, hop_length=hop_length
        )
        finite = cut.isfinite().all(1, keepdim=True)
        cut = (cut / peak).masked_fill(~finite, 0).float()
        cut = (cut - cut.mean(1, keepdim=True)) * window
        bins = power_spectrum(torch.fft.rfft(cut, n_fft))
        power[first:last] = bins @ average
        log_power[first:last] = bins.clamp_min(_FAINTEST).log() @ average.mean(1)
    return SpeechBands(power, log_power)


def band_edges(sample_rate: int, n_fft: int) -> list[int]:
    """Bins where bands begin, and the one after the last, rising.

    >>> band_edges(16000, 512)[:4], band_edges(16000, 512)[-1]
    ([3, 7, 12, 17], 224)
    """
    ends = torch.tensor([_LOWEST, min(_HIGHEST, 0.475 * sample_rate)], dtype=torch.float64)
    low, high = hz_to_mel(ends).tolist()
    points = mel_to_hz(torch.linspace(low, high, _BANDS + 1, dtype=torch.float64))
    bins = (points * (n_fft / sample_rate)).round().long().tolist()
    return sorted(set(bins))


def _averaging(edges: list[int], n_fft: int) -> Tensor:
    """Weights (bins, bands) that average the bins of each band."""
    weights = torch.zeros(n_fft // 2 + 1, len(edges) - 1)
    for band, (low, high) in enumerate(pairwise(edges)):
        weights[low:high, band] = 1 / (high - low)
    return weights


def _finite_peak(waveform: Tensor) -> float:
    """Largest finite magnitude, or 1 where there is none; a piece at a time, for its copies."""
    pieces = torch.split(waveform, _PIECE) if len(waveform) else ()
    peak = max((float(piece.abs().nan_to_num(0, 0, 0).max()) for piece in pieces), default=0.0)
    return peak if peak > 0 else 1.0
