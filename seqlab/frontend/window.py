"""Windows that taper a frame before its spectrum is taken."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice, check_range

WINDOWS = ("hann", "hamming", "povey", "blackman", "sine", "rectangular")


def make_window(
    name: str, win_length: int, *, periodic: bool = False, blackman_coeff: float = 0.42
) -> Tensor:
    """Window of ``win_length`` samples, in float64.

    Use the symmetric form for frames analysed one by one (Kaldi, HTK), and the periodic form,
    which leaves out the last point of a symmetric window one sample longer, to agree with
    librosa, torch.stft and Whisper.

    Args:
        name: "hann" (Kaldi calls it hanning), "hamming", "povey", "blackman", "sine" or
            "rectangular".
        win_length: samples, at least 1.
        periodic: True divides the circle into ``win_length`` parts instead of one fewer.
        blackman_coeff: constant term of "blackman", within [0, 0.5].

    Returns:
        Window (win_length,), float64.

    Raises:
        SeqlabError: the name is unknown or the length is not a positive whole number.

    Source: Harris 1978, "On the use of windows for harmonic analysis with the DFT"; Hamming and
    Blackman with the customary rounded constants 0.54 and 0.42. "povey" is Kaldi's Hann window
    to the power 0.85, which reaches zero at both ends; "sine" is half a period of a sine.

    Example:
        >>> make_window("hann", 3).tolist()
        [0.0, 1.0, 0.0]
        >>> make_window("hann", 2, periodic=True).tolist()
        [0.0, 1.0]
    """
    check_choice("window", name, WINDOWS)
    check_at_least("win_length", win_length, 1, "give the length of a frame in samples")
    check_range("blackman_coeff", blackman_coeff, 0, 0.5, "0.42 is customary")
    parts = win_length if periodic else win_length - 1
    if name == "rectangular" or parts == 0:
        return torch.ones(win_length, dtype=torch.float64)
    angle = torch.arange(win_length, dtype=torch.float64) * (2 * math.pi / parts)
    hann = 0.5 - 0.5 * torch.cos(angle)
    if name == "hann":
        return hann
    if name == "povey":
        return hann.pow(0.85)
    if name == "hamming":
        return 0.54 - 0.46 * torch.cos(angle)
    if name == "sine":
        return torch.sin(angle / 2).clamp_min(0)  # sin(pi) rounds to below 0
    rest = 0.5 - blackman_coeff
    return blackman_coeff - 0.5 * torch.cos(angle) + rest * torch.cos(2 * angle)
