"""What a caller hands over to be recognised: paths or waveforms, checked and loaded when needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.audio import audio_info, load_audio, resample
from seqlab.errors import AudioError
from seqlab.lengths import pad_stack


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


def answers_of(
    items: Sequence[Recording],
    batch_size: int,
    output_lengths: Callable[[Tensor], Tensor],
    run: Callable[[Tensor, Tensor], Iterable[Any]],
    every: bool = False,
) -> list[Any]:
    """What ``run`` says of each recording, in their order; recordings of like length run together.

    Args:
        items: From ``as_recordings``.
        batch_size: Recordings at a time, at least 1.
        output_lengths: Encoded frames (B,) of samples (B,).
        run: Maps waveform (B, N) and lengths (B,) to B answers.
        every: Whether each recording must have an answer; otherwise None is the answer to one too
            short for a single frame.

    Raises:
        AudioError: A file cannot be read, or a recording is too short.
    """
    order = sorted(range(len(items)), key=lambda index: items[index].num_samples)
    results: list[Any] = [None] * len(items)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        waveforms = [items[index].load() for index in chosen]
        frames = output_lengths(torch.tensor([len(w) for w in waveforms])).tolist()
        kept = [place for place, count in enumerate(frames) if count > 0]
        if every and len(kept) < len(chosen):
            short = items[chosen[next(p for p in range(len(chosen)) if p not in kept)]]
            raise AudioError(
                f"{short.name}: {short.num_samples} samples are too short for a single frame of "
                "this model; pass a longer recording"
            )
        if kept:
            found = run(*pad_stack([waveforms[place] for place in kept]))
            for place, answer in zip(kept, found, strict=True):
                results[chosen[place]] = answer
    return results


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
