"""Checks of what a front end is given."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.compiled import can_compile
from seqlab.errors import AudioError, SeqlabError
from seqlab.frontend.kernel.peak import peak

FULL_SCALE = 32768  # what int16 samples are divided by


def as_floating(samples: Tensor, dtype: torch.dtype) -> Tensor:
    """Samples, floating point in [-1, 1] or int16 of full scale, as ``dtype`` in [-1, 1]."""
    converted = samples.to(dtype)
    return converted if samples.is_floating_point() else converted / FULL_SCALE


def check_waveform(waveform: Tensor) -> None:
    """Raise SeqlabError unless ``waveform`` is floating point or int16, of shape (B, N)."""
    if waveform.dim() != 2:
        raise SeqlabError(
            f"waveform has shape {tuple(waveform.shape)}, must be (B, N); add a batch "
            "dimension with waveform.unsqueeze(0), or call extract for one recording"
        )
    if not (waveform.is_floating_point() or waveform.dtype == torch.int16):
        raise SeqlabError(
            f"waveform is {waveform.dtype}, must be floating point in [-1, 1] or int16; "
            "divide samples of other types by their full scale, or read the file with "
            "seqlab.load_audio"
        )


def check_sample_rate(name: str, expected: int, sample_rate: int) -> None:
    """Raise AudioError unless a recording has the rate that front end ``name`` expects."""
    if sample_rate != expected:
        raise AudioError(
            f"sample_rate={sample_rate} of the waveform must equal sample_rate={expected} of "
            f"{name}; load it with seqlab.load_audio(path, sample_rate={expected}), which "
            f"resamples, or build {name}(sample_rate={sample_rate})"
        )


def check_recording(name: str, waveform: Tensor, scale: float) -> None:
    """Raise AudioError unless ``waveform`` is floating point (N,), and no int16 in disguise."""
    if waveform.dim() != 1:
        raise AudioError(
            f"waveform has shape {tuple(waveform.shape)}, must be (N,), one channel; "
            "take one channel or their mean, or call the front end itself on a batch"
        )
    check_waveform(waveform.unsqueeze(0))
    highest = _peak(waveform.detach())
    if scale > 1 and math.isfinite(highest) and highest > 64:
        raise AudioError(
            f"the waveform reaches {highest:g}, must be within [-1, 1]; divide int16 samples by "
            f"32768, or build {name}(scale=1)"
        )


def _peak(waveform: Tensor) -> float:
    if len(waveform) == 0 or not waveform.is_floating_point():
        return 0.0
    known = waveform.dtype == torch.float32 and waveform.device.type == "cpu"
    if known and waveform.is_contiguous() and can_compile():
        return float(peak(waveform.numpy()))  # type: ignore[no-untyped-call]
    lowest, highest = torch.aminmax(waveform)
    return max(-float(lowest), float(highest))


def as_recording(name: str, waveform: Tensor | NDArray[np.floating] | NDArray[np.int16]) -> Tensor:
    """One recording (N,) as a tensor of float32 or float64, its scale kept.

    Args:
        name: of the function that was given it.
        waveform: a tensor or array of floating-point or int16 samples.

    Raises:
        AudioError: it is not such a tensor or array, or not of shape (N,).
    """
    if isinstance(waveform, np.ndarray) and (waveform.dtype.kind == "f" or waveform.dtype == "i2"):
        double = waveform.dtype.itemsize > np.dtype(np.float32).itemsize
        samples = np.ascontiguousarray(waveform, np.float64 if double else np.float32)
        # torch warns of arrays that it could write to by mistake.
        waveform = torch.from_numpy(samples if samples.flags.writeable else samples.copy())
    if not isinstance(waveform, Tensor):
        what = getattr(waveform, "dtype", type(waveform).__name__)
        raise AudioError(
            f"waveform of {what} must be a tensor or array of floating-point or int16 samples; "
            "read the file with seqlab.load_audio"
        )
    check_recording(name, waveform, 1)
    return waveform if waveform.dtype == torch.float64 else waveform.float()
