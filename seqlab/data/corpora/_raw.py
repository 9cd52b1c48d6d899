"""Headerless 16-bit audio, as corpora of the nineties have it, becomes WAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlab.data.manifest import write_atomically
from seqlab.errors import AudioError, DataError


def convert_raw(path: Path, dest: Path | None, sample_rate: int, byte_order: str) -> Path:
    """Write the headerless 16-bit file ``path`` as ``dest/audio/<name>.wav``; return that path.

    Raises:
        DataError: unknown byte order, or no folder to write to.
        AudioError: the file is empty or has an odd number of bytes.
    """
    if byte_order not in ("auto", "little", "big"):
        raise DataError(f"byte_order={byte_order!r} must be auto, little or big")
    if dest is None:
        raise DataError(f"{path} is headerless audio; name a folder dest for its WAV copy")
    data = path.read_bytes()
    if not data or len(data) % 2:
        raise AudioError(
            f"{path}: {len(data)} bytes must be an even number above 0 (16-bit samples); "
            "download it again"
        )
    little = np.frombuffer(data, dtype="<i2")
    big = np.frombuffer(data, dtype=">i2")
    samples = big if _is_big(little, big, byte_order) else little
    import io

    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, samples.astype(np.int16), sample_rate, "PCM_16", format="WAV")
    target = dest / "audio" / f"{path.stem}.wav"
    write_atomically(target, buffer.getvalue())
    return target


def _is_big(little: np.ndarray, big: np.ndarray, byte_order: str) -> bool:
    """Speech is smooth; with swapped bytes it jumps from sample to sample like noise."""
    if byte_order != "auto":
        return byte_order == "big"
    return _roughness(big) < _roughness(little)


def _roughness(samples: np.ndarray) -> float:
    return float(np.abs(np.diff(samples.astype(np.float64))).sum())
