"""The channel a voice came through, changed at random: coloured noise, spectral tilt, edges.

They need no recordings, so that a corpus of a few speakers can be varied wherever it is trained.
Nothing here draws on a global random state.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seqlab.checks import check_range
from seqlab.errors import AudioError
from seqlab.frontend.spectrum import fast_size


def colored_noise(length: int, exponent: float, rng: np.random.Generator) -> Tensor:
    """Noise whose power falls with frequency as f ** -exponent, of unit mean power.

    Args:
        length: samples N, 0 or more.
        exponent: 0 white, 1 pink, 2 brown; within [-2, 4].
        rng: where the randomness comes from.

    Returns:
        Noise (N,), float32.

    Raises:
        SeqlabError: the exponent is out of range.

    Source: Timmer and König 1995, "On generating power law noise", section 3; the lowest
    frequency stands in for zero frequency, whose power would be infinite.
    """
    check_range("exponent", exponent, -2, 4, "0 is white, 1 pink, 2 brown noise")
    if length == 0:
        return torch.zeros(0)
    size = fast_size(length)
    bins = size // 2 + 1
    spectrum = rng.standard_normal(2 * bins).view(np.complex128)
    frequency = np.maximum(np.arange(bins), 1.0)
    noise = np.fft.irfft(spectrum * frequency ** (-exponent / 2), n=size)[:length]
    power = float(np.mean(noise**2))
    return torch.from_numpy((noise / np.sqrt(power) if power else noise).astype(np.float32))


def tilt_spectrum(waveform: Tensor, coefficient: float) -> Tensor:
    """Waveform through y[n] = x[n] - coefficient * x[n - 1], x[-1] = 0: another microphone.

    Args:
        waveform: samples (N,).
        coefficient: above 0 weakens low frequencies, below 0 high ones; within (-1, 1).

    Returns:
        Waveform (N,), its level changed by the filter.

    Raises:
        SeqlabError: the coefficient is out of range.

    Example:
        >>> tilt_spectrum(torch.tensor([1.0, 1.0, 1.0]), 0.5).tolist()
        [1.0, 0.5, 0.5]
    """
    check_range("coefficient", coefficient, -0.99, 0.99, "0.3 is a mild tilt")
    if waveform.dim() != 1:
        raise AudioError(f"waveform of shape {tuple(waveform.shape)} must be (N,)")
    return waveform - coefficient * functional.pad(waveform[:-1], (min(len(waveform), 1), 0))


def move_edges(waveform: Tensor, before: int, after: int) -> Tensor:
    """Waveform with silence added at its ends, or samples cut off.

    Args:
        waveform: samples (N,).
        before: samples of silence in front; negative: samples cut.
        after: the same at the end. At most a quarter of N is cut from either end.

    Returns:
        Waveform (N + before + after,), or longer where the limit holds.

    Example:
        >>> move_edges(torch.ones(4), 1, -3).tolist()
        [0.0, 1.0, 1.0, 1.0]
    """
    if waveform.dim() != 1:
        raise AudioError(f"waveform of shape {tuple(waveform.shape)} must be (N,)")
    most = len(waveform) // 4
    return functional.pad(waveform, (max(before, -most), max(after, -most)))
