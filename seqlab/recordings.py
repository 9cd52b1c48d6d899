"""What a caller hands over to be recognised: paths or waveforms, checked and loaded when needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.audio import audio_info, load_audio, resample
from seqlab.errors import AudioError


@dataclass(frozen=True)
class Recording:
    """One recording that has been looked at but not decoded."""

    name: str
    num_samples: int  # at the target rate; of files an estimate
    load: Callable[[], Tensor]  # (N,), at the target rate


def as_recordings(recordings: Any, sample_rate: int | None, target_rate: int) -> list[Recording]:
    """Look at paths and waveforms; see ``SpeechModel.transcribe``.

    Args:
        recordings: A path, a waveform (N,), waveforms (B, N), or a sequence of paths and waveforms.
        sample_rate: Of the waveforms, in Hz.
        target_rate: That ``load`` gives, in Hz.

    Raises:
        AudioError: A file cannot be read, a waveform has not one channel, or its rate is unknown.
    """
    if isinstance(recordings, (str, os.PathLike)) or getattr(recordings, "ndim", 0) == 1:
        recordings = [recordings]
    elif not isinstance(recordings, (Sequence, Tensor, np.ndarray)):
        raise AudioError(
            f"{type(recordings).__name__} is not a recording; pass paths or waveforms (N,)"
        )
    return [
        _from_file(item, target_rate)
        if isinstance(item, (str, os.PathLike))
        else _from_waveform(item, f"recording {index}", sample_rate, target_rate)
        for index, item in enumerate(recordings)
    ]


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; every submodule's own mode is restored after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _from_file(path: str | os.PathLike[str], target_rate: int) -> Recording:
    info = audio_info(path)
    num_samples = round(info.num_samples * target_rate / info.sample_rate)
    return Recording(
        os.fspath(path), num_samples, lambda: load_audio(path, sample_rate=target_rate)[0]
    )


def _from_waveform(item: Any, name: str, sample_rate: int | None, target_rate: int) -> Recording:
    if not isinstance(item, (Tensor, np.ndarray)) or item.ndim != 1:
        shape = tuple(getattr(item, "shape", ()))
        raise AudioError(
            f"{name} is {type(item).__name__} of shape {shape}, must be a path or a waveform (N,) "
            "of one channel"
        )
    if sample_rate is None:
        raise AudioError(f"{name} is a waveform without a rate; pass sample_rate in Hz")
    waveform = torch.as_tensor(item).detach().cpu()
    if not waveform.is_floating_point():
        raise AudioError(
            f"{name} is {waveform.dtype}, must be floating point in [-1, 1]; "
            "divide 16-bit samples by 32768"
        )
    if not bool(torch.isfinite(waveform).all()):
        raise AudioError(f"{name} holds samples that are not finite; repair the recording")
    waveform = waveform.float()
    if sample_rate != target_rate:
        waveform = resample(waveform, sample_rate, target_rate)
    return Recording(name, len(waveform), lambda: waveform)
