"""Samples from pipes and microphones."""

from __future__ import annotations

import io
import struct
import sys
import threading
import time
import types
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from seqlab.errors import AudioError, MissingDependencyError
from seqlab.inference.live_sources import microphone_blocks, piped_blocks

SAMPLES = (np.sin(np.arange(24_001) / 7) * 12_000).astype("<i2")


def wav(unknown: bool = False) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 8000, format="WAV", subtype="PCM_16")
    content = bytearray(file.getvalue())
    if unknown:
        content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    return bytes(content)


@pytest.mark.parametrize("content", [wav(), wav(unknown=True), SAMPLES.tobytes()])
def test_pipes_of_wav_and_raw_samples(content: bytes) -> None:
    blocks = list(piped_blocks(io.BytesIO(content), 8000))
    assert [len(block) for block in blocks] == [800] * 30 + [1]
    assert torch.equal(torch.cat(blocks), torch.from_numpy(SAMPLES / np.float32(32768)))


def test_raw_samples_of_another_rate_and_a_torn_one() -> None:
    blocks = list(piped_blocks(io.BytesIO(SAMPLES.tobytes() + b"\1"), 16000, raw_rate=8000))
    assert sum(map(len, blocks)) == 2 * len(SAMPLES)


def test_blocks_come_as_soon_as_their_samples() -> None:
    import os

    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", 0) as sink:
        blocks = piped_blocks(source, 8000)
        sink.write(SAMPLES[:1700].tobytes())
        assert len(next(blocks)) == 800
        assert len(next(blocks)) == 800
        threading.Timer(0.05, lambda: sink.write(SAMPLES[1700:2500].tobytes())).start()
        assert len(next(blocks)) == 800
        time.sleep(0.1)
        sink.close()
        assert [len(block) for block in blocks] == [100]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"RIFF\x10\0\0\0WAVEjunk", "not audio")]
)
def test_bad_pipes(content: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        list(piped_blocks(io.BytesIO(content), 8000))
    with pytest.raises(AudioError, match="raw_rate=0"):
        list(piped_blocks(io.BytesIO(b"abcd"), 8000, raw_rate=0))


def sounddevice(rates: tuple[int, ...], count: int) -> Any:
    """A stand-in whose microphone gives ``count`` blocks at once."""
    module: Any = types.ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    class InputStream:
        def __init__(self, samplerate: int, blocksize: int, callback: Any, **_: Any) -> None:
            self.make = lambda: [
                callback(np.full((blocksize, 1), 0.5, np.float32), blocksize, None, None)
                for _ in range(count)
            ]

        def __enter__(self) -> None:
            self.make()

        def __exit__(self, *_: object) -> None:
            pass

    def check_input_settings(samplerate: int, **_: Any) -> None:
        if samplerate not in rates:
            raise PortAudioError("Invalid sample rate")

    def query_devices(device: Any, kind: str) -> dict[str, float]:
        if device == "none":
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": float(rates[-1])}

    module.PortAudioError, module.InputStream = PortAudioError, InputStream
    module.check_input_settings, module.query_devices = check_input_settings, query_devices
    return module


def test_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice((8000, 16000), 3))
    blocks = microphone_blocks(8000)
    assert [len(next(blocks)) for _ in range(3)] == [800] * 3
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice((44100,), 5))
    blocks = microphone_blocks(8000)
    assert sum(len(next(blocks)) for _ in range(3)) > 1500
    with pytest.raises(AudioError, match="No input device matching 'none'"):
        next(microphone_blocks(8000, device="none"))


def test_a_microphone_that_nobody_keeps_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice((8000,), 700))
    with pytest.raises(AudioError, match="60 s behind"):
        list(microphone_blocks(8000))


def test_without_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingDependencyError, match=r"seqlab\[microphone\]"):
        next(microphone_blocks(8000))
