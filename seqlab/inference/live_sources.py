"""Where live speech comes from: a pipe of raw samples or WAV, or the microphone."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any, BinaryIO

import torch
from torch import Tensor

from seqlab.audio import read_blocks, resample_blocks
from seqlab.audio_file import check_rate
from seqlab.audio_pipe import audio_pipe
from seqlab.errors import AudioError, MissingDependencyError

__all__ = ["microphone_blocks", "piped_blocks"]

_MOST_BEHIND_S = 60.0


def piped_blocks(
    file: BinaryIO, sample_rate: int, *, raw_rate: int | None = None, block_s: float = 0.1
) -> Iterator[Tensor]:
    """Samples from a pipe as they come: WAV or AU, or else raw 16-bit little-endian, one channel.

    Args:
        file: Open for reading bytes, such as ``sys.stdin.buffer``.
        sample_rate: That is wanted, in Hz.
        raw_rate: Of raw samples, in Hz; None: ``sample_rate``.
        block_s: Length of a block, above 0 seconds.

    Yields:
        (n,), float32 in [-1, 1].

    Raises:
        AudioError: Nothing came, or WAV or AU that cannot be read.
    """
    with audio_pipe(file, sample_rate if raw_rate is None else raw_rate) as pipe:
        for block, _ in read_blocks(pipe, block_s, sample_rate=sample_rate):
            yield block


def microphone_blocks(
    sample_rate: int, *, device: str | int | None = None, block_s: float = 0.1
) -> Iterator[Tensor]:
    """Samples from the microphone, until the caller stops.

    Args:
        sample_rate: That is wanted, in Hz; a device that has it not is resampled.
        device: Name or number; None for the system's choice.
        block_s: Length of a block, above 0 seconds.

    Yields:
        (n,), float32 in [-1, 1].

    Raises:
        MissingDependencyError: sounddevice, or the PortAudio library it uses, is not installed.
        AudioError: No such device, or what takes the samples is a minute behind.
    """
    sounddevice = _sounddevice()
    check_rate("sample_rate", sample_rate)
    blocks: queue.Queue[Tensor] = queue.Queue()

    def heard(samples: Any, *_: Any) -> None:
        blocks.put(torch.from_numpy(samples[:, 0].copy()))

    stream, rate = _opened(sounddevice, sample_rate, device, block_s, heard)
    with stream:
        taken = _taken(blocks, block_s)
        yield from taken if rate == sample_rate else resample_blocks(taken, rate, sample_rate)


def _taken(blocks: queue.Queue[Tensor], block_s: float) -> Iterator[Tensor]:
    while True:
        if blocks.qsize() * block_s > _MOST_BEHIND_S:
            raise AudioError(
                f"recognition is {_MOST_BEHIND_S:g} s behind the microphone; take a smaller model "
                "or beam"
            )
        yield blocks.get()


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MissingDependencyError(
            "the microphone needs the package sounddevice; pip install 'seqlab[microphone]', or "
            "pipe samples in: arecord -f S16_LE -r 16000 | seqlab transcribe MODEL --stream -"
        ) from None
    except OSError:
        raise MissingDependencyError(
            "sounddevice finds no PortAudio library; install it, such as with apt-get install "
            "libportaudio2"
        ) from None
    return sounddevice


def _opened(
    sounddevice: Any, sample_rate: int, device: str | int | None, block_s: float, heard: Any
) -> tuple[Any, int]:
    """An input stream and its rate: the one wanted, or the device's own."""
    try:
        own = round(sounddevice.query_devices(device, "input")["default_samplerate"])
        try:
            sounddevice.check_input_settings(
                device=device, channels=1, dtype="float32", samplerate=sample_rate
            )
            rate = sample_rate
        except sounddevice.PortAudioError:
            rate = own
        stream = sounddevice.InputStream(
            samplerate=rate,
            blocksize=max(1, round(block_s * rate)),
            device=device,
            channels=1,
            dtype="float32",
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(
            f"the microphone cannot be opened ({error}); plug one in, or name another device"
        ) from None
    return stream, rate
