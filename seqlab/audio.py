"""Load, save, resample, and read long or live recordings in blocks.

A waveform is a float32 tensor (N,), mono, in [-1, 1] for integer formats. Everything that cannot
be used raises AudioError with the path, what is wrong and what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from torch import Tensor

from seqlab.audio_file import (
    BLOCK_VALUES,
    check_path,
    check_rate,
    decode,
    locate,
    open_file,
    open_source,
)
from seqlab.errors import AudioError
from seqlab.image_lines import check_line_rate
from seqlab.lengths import resampled_length

_SUBTYPES = {"pcm16": "PCM_16", "pcm24": "PCM_24", "float32": "FLOAT"}


@dataclass(frozen=True)
class AudioInfo:
    """What the header of an audio file says."""

    sample_rate: int  # Hz
    num_samples: int  # of one channel
    num_channels: int
    duration_s: float
    format: str  # such as WAV, FLAC, OGG
    encoding: str  # such as PCM_16, VORBIS


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Sample rate, length, channels and format of a file, from its header.

    Use it to measure a corpus without decoding it.

    Args:
        path: an audio file of any format that libsndfile reads.

    Returns:
        The header's figures.

    Raises:
        AudioError: missing, empty, a directory, not audio, or shorter than its header promises.
    """
    with open_file(check_path(path)) as sound:
        return AudioInfo(
            sound.samplerate,
            sound.frames,
            sound.channels,
            sound.frames / sound.samplerate,
            sound.format,
            sound.subtype,
        )


def load_audio(
    path: str | os.PathLike[str],
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int | None = None,
) -> tuple[Tensor, int]:
    """Load a recording, or a slice of it, as a mono waveform.

    Channels are averaged. A slice equals the same samples of the whole file, whatever the format
    (MP3: within 1e-7); Ogg and MP3, whose seeks are not exact, are decoded from their start. The
    slice is cut before it is resampled.

    Args:
        path: an audio file of any format that libsndfile reads (WAV, FLAC, Ogg, MP3, NIST, ...),
            or a PNG picture of a line of text; see ``seqlab.image_lines``.
        start_s: where to start, 0 or more seconds, rounded to the nearest sample.
        duration_s: how much to load, above 0 seconds; None for everything up to the end. A slice
            may reach past the end by a millisecond (rounded manifests) and is cut there.
        sample_rate: the rate wanted in Hz; None keeps the file's own.

    Returns:
        The waveform (N,), float32, finite, N at least 1, and its sample rate in Hz.

    Raises:
        AudioError: missing, empty, truncated or non-audio file, a directory, no samples, NaN or
            infinite values, or a slice that does not lie in the file.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "tone.wav"
        >>> save_audio(path, torch.zeros(16000), 16000)
        >>> waveform, rate = load_audio(path, start_s=0.25, duration_s=0.5)
        >>> waveform.shape, rate
        (torch.Size([8000]), 16000)
    """
    name = check_path(path)
    if sample_rate is not None:
        check_rate("sample_rate", sample_rate)
    with open_file(name) as sound:
        check_line_rate(name, sound, sample_rate)
        start, count = locate(name, sound, start_s, duration_s)
        blocks = [torch.from_numpy(block) for block in decode(name, sound, start, count)]
        native: int = sound.samplerate
    waveform = torch.cat(blocks)
    if sample_rate is None or sample_rate == native:
        return waveform, native
    return resample(waveform, native, sample_rate), sample_rate


def resample(waveform: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Resample a waveform with a linear-phase filter of more than 110 dB rejection (soxr HQ).

    Use it where a recording's rate differs from the model's. Not differentiable.

    Args:
        waveform: (..., N), real floating point; the last dimension is time.
        from_rate: its sample rate, 1 to 1,000,000 Hz.
        to_rate: the rate wanted, 1 to 1,000,000 Hz.

    Returns:
        The waveform (..., ceil(N * to_rate / from_rate)), float32, on the same device.

    Raises:
        AudioError: a rate out of range or a waveform that is not floating point.

    Example:
        >>> resample(torch.zeros(2, 8000), 8000, 16000).shape
        torch.Size([2, 16000])
    """
    check_rate("from_rate", from_rate)
    check_rate("to_rate", to_rate)
    if not waveform.is_floating_point() or waveform.dim() == 0:
        raise AudioError(
            f"waveform is {waveform.dtype} of shape {tuple(waveform.shape)}, must be floating "
            "point (..., N); divide int16 samples by 32768"
        )
    if from_rate == to_rate or waveform.shape[-1] == 0:
        return waveform.float()
    import soxr

    length = resampled_length(waveform.shape[-1], from_rate, to_rate)
    flat = waveform.detach().cpu().float().reshape(-1, waveform.shape[-1])
    rows = [
        _fit(torch.from_numpy(soxr.resample(row.numpy(), from_rate, to_rate, "HQ")), length)
        for row in flat
    ]
    return torch.stack(rows).reshape(*waveform.shape[:-1], length).to(waveform.device)


def read_blocks(
    source: str | os.PathLike[str] | BinaryIO,
    block_s: float = 10.0,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int | None = None,
) -> Iterator[tuple[Tensor, int]]:
    """Read a long or live recording block by block, in bounded memory.

    Use it for hours of audio, or for a pipe such as ``arecord | program``.

    Args:
        source: a path, an open binary file, or ``"-"`` for standard input. A pipe must carry
            WAV or AU; other formats need a file that can be sought.
        block_s: length of a block, above 0 seconds; the last one may be shorter.
        start_s: where to start, as in ``load_audio``; not for a pipe.
        duration_s: how much to read, as in ``load_audio``; not for a pipe.
        sample_rate: the rate wanted in Hz; None keeps the source's own. Resampled blocks differ
            in length by a few samples; put together they equal the resampled whole.

    Yields:
        The next samples (n,), float32, mono, and their sample rate in Hz.

    Raises:
        AudioError: as ``load_audio``, when the first block is asked for or where the fault lies.
    """
    if not block_s > 0:
        raise AudioError(f"block_s={block_s} must be above 0 seconds")
    if sample_rate is not None:
        check_rate("sample_rate", sample_rate)
    with open_source(source) as (name, sound):
        check_line_rate(name, sound, sample_rate)
        size = max(1, round(block_s * sound.samplerate))
        whole = start_s == 0 and duration_s is None  # all that can be asked of a pipe
        start, count = (0, None) if whole else locate(name, sound, start_s, duration_s)
        decoded = decode(name, sound, start, count, block=min(size, BLOCK_VALUES))
        blocks = _regroup(map(torch.from_numpy, decoded), size)
        native: int = sound.samplerate
        if sample_rate is None or sample_rate == native:
            yield from ((block, native) for block in blocks)
        else:
            yield from ((b, sample_rate) for b in resample_blocks(blocks, native, sample_rate))


def save_audio(
    path: str | os.PathLike[str],
    waveform: Tensor,
    sample_rate: int,
    *,
    encoding: Literal["pcm16", "pcm24", "float32"] = "pcm16",
    clip: bool = False,
) -> None:
    """Save a mono waveform as WAV or FLAC; the file appears whole or not at all.

    Args:
        path: where to, ending in .wav or .flac; the folder must exist.
        waveform: (N,), floating point, finite, in [-1, 1] unless ``encoding`` is float32.
        sample_rate: 1 to 1,000,000 Hz (FLAC: up to 655,350).
        encoding: pcm16 reads back equal to what pcm16 was loaded from; float32 is WAV only.
        clip: limit values beyond [-1, 1] instead of refusing them.

    Raises:
        AudioError: another suffix, shape or type, NaN, values out of range, or a failed write.
    """
    target = Path(path)
    check_rate("sample_rate", sample_rate)
    samples = _encode(target, waveform, encoding, clip)
    import soundfile

    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        soundfile.write(
            temporary, samples, sample_rate, _SUBTYPES[encoding], format=target.suffix[1:].upper()
        )
        os.replace(temporary, target)
    except (OSError, RuntimeError, ValueError) as error:
        raise AudioError(f"{target}: cannot be written ({error}); check folder and space") from None
    finally:
        temporary.unlink(missing_ok=True)


def _encode(path: Path, waveform: Tensor, encoding: str, clip: bool) -> Any:
    """The samples as soundfile writes them bit for bit, once everything about them is checked."""
    if path.suffix.lower() not in (".wav", ".flac"):
        raise AudioError(f"{path}: suffix {path.suffix!r} must be .wav or .flac; rename the file")
    if encoding not in _SUBTYPES:
        raise AudioError(f"encoding={encoding!r} must be one of {', '.join(_SUBTYPES)}")
    if encoding == "float32" and path.suffix.lower() == ".flac":
        raise AudioError(f"{path}: FLAC holds no float32; choose pcm24 or save as .wav")
    if waveform.dim() != 1 or not waveform.is_floating_point():
        raise AudioError(
            f"{path}: waveform is {waveform.dtype} of shape {tuple(waveform.shape)}, must be "
            "floating point (N,); pass one channel, and divide int16 samples by 32768"
        )
    samples = waveform.detach().cpu().double().numpy()
    if not bool(torch.isfinite(waveform).all()):
        raise AudioError(f"{path}: waveform holds NaN or infinite values; nothing was written")
    if encoding == "float32":
        return samples.astype("float32")
    beyond = int((abs(samples) > 1).sum())
    if beyond and not clip:
        raise AudioError(
            f"{path}: {beyond} of {len(samples)} samples lie beyond [-1, 1] (peak "
            f"{abs(samples).max():.3g}); scale the waveform, pass clip=True or encoding='float32'"
        )
    bits = 16 if encoding == "pcm16" else 24
    scale = 1 << (bits - 1)
    integers = (samples * scale).round().clip(-scale, scale - 1)
    return integers.astype("int16") if bits == 16 else integers.astype("int32") << 8


def _fit(samples: Tensor, length: int) -> Tensor:
    """Samples (N,) cut or zero-padded to ``length``; the resampler's own length is +-1."""
    return torch.nn.functional.pad(samples, (0, length - len(samples)))


def _regroup(blocks: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """The same samples in blocks of exactly ``size``, the last one shorter."""
    held: list[Tensor] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        while count >= size:
            joined = torch.cat(held)
            yield joined[:size]
            held, count = [joined[size:]], count - size
    if count:
        yield torch.cat(held)


def resample_blocks(blocks: Iterator[Tensor], from_rate: int, to_rate: int) -> Iterator[Tensor]:
    """Resampled blocks; put together they have the samples of the resampled whole."""
    import soxr

    stream = soxr.ResampleStream(from_rate, to_rate, 1, quality="HQ")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        resampled = torch.from_numpy(stream.resample_chunk(block.numpy()))
        given += len(resampled)
        if len(resampled):
            yield resampled
    rest = resampled_length(taken, from_rate, to_rate) - given
    last = stream.resample_chunk(torch.zeros(0).numpy(), last=True)
    if rest > 0:
        yield _fit(torch.from_numpy(last), rest)
