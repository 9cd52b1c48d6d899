"""Open and decode audio files, and tell what is wrong with one, without torch.

``seqlab.audio`` and ``seqlab.deploy.audio`` build on it.

libsndfile reads a truncated WAV, AIFF, AU, NIST or Ogg file without a word, up to where it ends.
Here a file that promises more than it holds is an error: half a sentence with the whole
transcript is the worst kind of training example.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import AudioError
from seqlab.image_lines import LineImage, is_png

Samples = NDArray[np.float32]

MAX_RATE = 1_000_000
BLOCK_VALUES = 1 << 20  # samples times channels decoded at once: bounds memory, header or not
_SLACK_S = 0.001  # manifests round times to milliseconds
# Seeks in these are not exact: libsndfile 1.2.2 lands up to a page off near the end of an Ogg
# file, and MP3 frames depend on earlier ones. They are decoded from their start.
_INEXACT = ("OGG", "MP3")
_OGG_PAGE = 65307  # bytes of the longest possible page
_UNKNOWN_SIZE = 0x7FFFF000  # sizes from here on are written by tools that stream to a pipe
_SIZES = (  # libsndfile's log on what the header promises and what the file has
    re.compile(
        r"^\s*(?:data|Data Size|SSND|riff)\s*: (?P<said>\d+) \(should be (?P<has>\d+)\)", re.M
    ),
    re.compile(r"frame count (?P<has>\d+) does not match value from .* of (?P<said>\d+)"),
)


def check_rate(name: str, rate: int) -> None:
    """Raise AudioError unless ``rate`` is a whole number of Hz in 1 to 1,000,000."""
    if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate <= MAX_RATE:
        raise AudioError(f"{name}={rate!r} must be an integer, 1 to {MAX_RATE} Hz; such as 16000")


def check_path(path: str | os.PathLike[str]) -> str:
    """The path as text, once it is known to be a readable file that is not empty."""
    name = os.fspath(path)
    try:
        size = os.stat(name).st_size
        if os.path.isdir(name):
            raise AudioError(f"{name}: is a directory, must be an audio file; name a file in it")
        with open(name, "rb"):
            pass
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name!r}: cannot be read ({reason}); check path and rights") from None
    if size == 0:
        raise AudioError(f"{name}: is empty (0 bytes), must hold audio; download or copy it again")
    return name


@contextlib.contextmanager
def open_file(name: str, file: Any = None) -> Iterator[Any]:
    """An open ``soundfile.SoundFile`` of a whole file; ``file`` stands in for the path.

    A picture of a line of text, a PNG file, comes as a ``LineImage``, which answers alike.
    """
    if file is None and is_png(name):
        yield LineImage(name)
        return
    import soundfile

    try:
        # As bytes, for soundfile takes no name that is not UTF-8 as text.
        sound = soundfile.SoundFile(os.fsencode(name) if file is None else file, closefd=False)
    except (RuntimeError, TypeError, ValueError, OSError):
        raise AudioError(
            f"{name}: is not audio that libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF, AU, NIST, "
            "...), or its header is damaged; convert it, e.g. with ffmpeg, or download it again"
        ) from None
    with sound:
        if not isinstance(file, int):  # a pipe's end is not known
            _check_complete(name, sound, file)
            if sound.frames == 0:
                raise AudioError(f"{name}: holds 0 samples, must hold at least 1; remove it")
        yield sound


@contextlib.contextmanager
def open_source(source: str | os.PathLike[str] | BinaryIO) -> Iterator[tuple[str, Any]]:
    """Name and open ``SoundFile`` of a path, an open binary file, or ``"-"`` (standard input)."""
    if source != "-" and isinstance(source, (str, os.PathLike)):
        name = check_path(source)
        with open_file(name) as sound:
            yield name, sound
        return
    file: Any = sys.stdin.buffer if source == "-" else source
    name = "standard input" if source == "-" else str(getattr(file, "name", "audio stream"))
    with contextlib.ExitStack() as stack:
        if not file.seekable():
            try:
                file = file.fileno()
            except OSError:
                file = _spool(file, stack)
        yield name, stack.enter_context(open_file(name, file))


def _spool(file: BinaryIO, stack: contextlib.ExitStack) -> Any:
    """A temporary file with the bytes of a stream that the operating system does not know."""
    spooled = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(file, spooled)
    spooled.seek(0)
    return spooled


def locate(
    name: str, sound: Any, start_s: float, duration_s: float | None
) -> tuple[int, int | None]:
    """First sample and number of samples of a slice; None for everything up to the end."""
    rate, total = sound.samplerate, sound.frames
    length = f"{name}: is {total / rate:.6g} s long"
    if not 0 <= start_s < float("inf"):
        raise AudioError(f"{name}: start_s={start_s} must be 0 or more seconds")
    start = round(start_s * rate)
    if start >= total:
        raise AudioError(f"{length}, start_s={start_s} must lie before its end; correct the slice")
    if duration_s is None:
        return start, (total - start if start else None)
    if not 0 < duration_s < float("inf"):
        raise AudioError(f"{name}: duration_s={duration_s} must be above 0 seconds, or None")
    count = max(1, round(duration_s * rate))
    if start + count > total + max(1, _SLACK_S * rate):
        raise AudioError(
            f"{length}, the slice start_s={start_s}, duration_s={duration_s} must end within it; "
            "shorten the slice, or check that the file is the one meant"
        )
    return start, min(count, total - start)


def decode(
    name: str,
    sound: Any,
    start: int = 0,
    count: int | None = None,
    *,
    block: int = BLOCK_VALUES,
) -> Iterator[Samples]:
    """Samples ``start`` to ``start + count`` of a file just opened, mono, (n,) float32, in blocks.

    With ``count`` None up to the end. Raises AudioError where the file ends or breaks before
    that, and where the samples are NaN or infinite.
    """
    exact = sound.format not in _INEXACT
    position = 0
    if start and exact and sound.seekable():
        position = sound.seek(start)
    end = sound.frames if sound.seekable() else None
    if count is not None:
        end = start + count
    steps = _limited(name, sound, position, end, block) if exact else _fixed(name, sound)
    for samples in steps:
        first = max(0, start - position)
        wanted = samples[first : None if end is None else end - position]
        if len(wanted):
            yield _finite(name, wanted, position + first)
        position += len(samples)
        if end is not None and position >= end:
            return
    if end is not None:
        raise _truncated(name, end, position, "samples")
    if position == 0:
        raise AudioError(f"{name}: holds 0 samples, must hold at least 1")


def _limited(
    name: str, sound: Any, position: int, end: int | None, block: int
) -> Iterator[Samples]:
    """Blocks up to ``end``, of which nothing further is decoded."""
    block = max(1, min(block, BLOCK_VALUES // sound.channels))
    while end is None or position < end:
        samples = _read(name, sound, block if end is None else min(block, end - position))
        if len(samples) == 0:
            return
        position += len(samples)
        yield samples


def _fixed(name: str, sound: Any) -> Iterator[Samples]:
    """Blocks from the start, always the same ones, none beginning in the last second.

    What libsndfile 1.2.2 decodes depends on where a read begins: the last packet of an Opus file
    comes out wrong if one begins within it, and so does a damaged frame of an MP3 file.
    """
    block = max(1, min(4 * sound.samplerate, BLOCK_VALUES // sound.channels))
    left = sound.frames
    while left > 0:
        samples = _read(name, sound, block if left - block > sound.samplerate else left)
        if len(samples) == 0:
            return
        left -= len(samples)
        yield samples


def _finite(name: str, samples: Samples, position: int) -> Samples:
    """The samples, once they are known to be numbers; ``position`` is that of the first."""
    finite = np.isfinite(samples)
    if not bool(finite.all()):
        at = position + int(np.flatnonzero(~finite)[0])
        raise AudioError(
            f"{name}: holds NaN or infinite values, the first at sample {at}, must be finite; "
            "write the file again"
        )
    return samples


def _read(name: str, sound: Any, count: int) -> Samples:
    """Up to ``count`` samples, channels averaged."""
    try:
        samples: Samples = sound.read(count, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().rstrip(".") or "libsndfile gives no reason"
        raise AudioError(
            f"{name}: cannot be decoded to its end ({reason}), it is truncated or damaged; "
            "download or copy it again"
        ) from None
    if samples.shape[1] == 1:
        return samples[:, 0].copy()
    mono: Samples = samples.mean(axis=1, dtype=np.float32)
    return mono


def _check_complete(name: str, sound: Any, file: Any) -> None:
    """Raise AudioError where the header promises more than the file holds."""
    log = sound.extra_info
    for match in (m for pattern in _SIZES for m in pattern.finditer(log)):
        said, has = int(match["said"]), int(match["has"])
        if has < said and not _UNKNOWN_SIZE <= said <= 0xFFFFFFFF:
            raise _truncated(name, said, has, "frames" if "frame count" in match[0] else "bytes")
    if sound.format == "OGG" and not _ogg_ends(name, file):
        raise AudioError(
            f"{name}: is truncated (its last Ogg page does not end the stream); download or copy "
            "it again, or re-encode it if it was recorded without an end"
        )
    if sound.format == "NIST":
        found = re.search(rb"sample_count -i (\d+)", _bytes(name, file, 0, 1024))
        if found and int(found[1]) > sound.frames:
            raise _truncated(name, int(found[1]), sound.frames, "samples")


def _ogg_ends(name: str, file: Any) -> bool:
    """Whether the last page is whole and marked as the end of the stream (RFC 3533, section 6)."""
    tail = _bytes(name, file, -2 * _OGG_PAGE, 2 * _OGG_PAGE)
    page = tail[max(0, tail.rfind(b"OggS\0")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    size = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return bool(page[5] & 4) and len(page) >= size


def _bytes(name: str, file: Any, offset: int, count: int) -> bytes:
    """Bytes from ``offset`` (negative: from the end) of a path or an open file, left in place."""
    if file is None:
        with open(name, "rb") as stream:
            return _bytes(name, stream, offset, count)
    before = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size + offset) if offset < 0 else offset)
    content: bytes = file.read(count)
    file.seek(before)
    return content


def _truncated(name: str, said: int, has: int, unit: str) -> AudioError:
    return AudioError(
        f"{name}: is truncated, its header promises {said} {unit} and the file holds {has}; "
        "download or copy it again, or rewrite it, e.g. with ffmpeg, if this is all there is"
    )
