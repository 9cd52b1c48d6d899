"""Checks of what a front end is given."""

from __future__ import annotations

from torch import Tensor

from seqlab.errors import SeqlabError


def check_waveform(waveform: Tensor) -> None:
    """Raise SeqlabError unless ``waveform`` is floating point of shape (B, N)."""
    if waveform.dim() != 2:
        raise SeqlabError(
            f"waveform has shape {tuple(waveform.shape)}, must be (B, N); add a batch "
            "dimension with waveform.unsqueeze(0), or call extract for one recording"
        )
    if not waveform.is_floating_point():
        raise SeqlabError(
            f"waveform is {waveform.dtype}, must be floating point in [-1, 1]; "
            "divide int16 samples by 32768, or read the file with seqlab.load_audio"
        )
