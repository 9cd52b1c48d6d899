"""Pictures of lines of text, read column by column as if they were recordings.

A line of 32 rows is a signal of 100 columns a second, so 3200 samples a second: the top pixel of
the first column comes first. Paper is silence: white is 0, black is 255/256 (a fraction that
16-bit samples hold exactly). ``seqlab.audio`` reads PNG files through this module;
``seqlab.frontend.columns`` puts the columns together again.
"""

from __future__ import annotations

import contextlib
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqlab.errors import AudioError

HEIGHT = 32  # rows, to which every line is scaled
COLUMNS_A_SECOND = 100
SAMPLE_RATE = HEIGHT * COLUMNS_A_SECOND
MAX_PIXELS = 2**24  # of the file; a few kilobytes of PNG could fill the memory
MAX_COLUMNS = 2**15  # once scaled
MIN_ROWS, MAX_ROWS = 8, 1024

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB\x60\x82"
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)

Pixels = npt.NDArray[np.uint8]


class LineImage:
    """One line of text that answers what ``seqlab.audio_file`` asks of an open sound file.

    Only its header has been read; ``read`` decodes the pixels when it is first called.

    Args:
        name: path of a PNG file.

    Raises:
        AudioError: damaged, truncated, or not of the size of a line.
    """

    samplerate = SAMPLE_RATE
    channels = 1
    format = "PNG"
    subtype = "LINE"
    extra_info = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.width, self.height = _size(name)
        self.columns = scaled_width(self.width, self.height)
        self.frames = self.columns * HEIGHT
        self._position = 0
        self._samples: npt.NDArray[np.float32] | None = None

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, position: int) -> int:
        """Go to a sample, the first of a column.

        Raises:
            AudioError: it lies within a column, so that all rows would be out of place.
        """
        if position % HEIGHT:
            raise AudioError(
                f"{self.name}: a slice that starts at sample {position} cuts a column in two, must "
                f"start at a multiple of {1 / COLUMNS_A_SECOND} s; round start_s"
            )
        self._position = position
        return position

    def read(
        self, count: int, dtype: str = "float32", always_2d: bool = True
    ) -> npt.NDArray[np.float32]:
        """The next samples (n, 1), at most ``count``; the arguments are those of soundfile."""
        if self._samples is None:
            self._samples = as_samples(load_pixels(self.name))
        part = self._samples[self._position : self._position + count]
        self._position += len(part)
        return part[:, None]


def is_png(name: str) -> bool:
    """Whether a file begins as a PNG image does."""
    with open(name, "rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def check_line_rate(name: str, sound: Any, sample_rate: int | None) -> None:
    """Raise AudioError if a picture, opened as ``sound``, is wanted at another rate than its own.

    Such a model listens to speech; resampling would mix the pixels of a column.
    """
    if isinstance(sound, LineImage) and sample_rate not in (None, SAMPLE_RATE):
        raise AudioError(
            f"{name}: is a picture of a line, which is read at {SAMPLE_RATE} samples a second and "
            f"not at sample_rate={sample_rate}; pass audio, or a model that reads lines of text"
        )


def scaled_width(width: int, height: int) -> int:
    """Columns of an image once it has 32 rows, at least 1.

    >>> scaled_width(300, 64), scaled_width(1, 1024)
    (150, 1)
    """
    return max(1, (2 * width * HEIGHT + height) // (2 * height))


def load_pixels(name: str | os.PathLike[str]) -> Pixels:
    """Grey levels of a line of text, scaled to 32 rows.

    Colours become their luma (ITU-R BT.601), 16 bits become 8, and what is transparent shows
    white paper. An image of another height is scaled, its proportions kept.

    Args:
        name: a PNG file of 8 to 1024 rows.

    Returns:
        Grey levels (32, W), 0 black to 255 white.

    Raises:
        AudioError: not a PNG image, damaged, truncated, or not of the size of a line.
    """
    name = os.fspath(name)
    _size(name)
    from PIL import Image

    try:
        with _quiet(), Image.open(name, formats=("PNG",)) as image:
            grey = _grey(image)
            if grey.height != HEIGHT:
                width = scaled_width(grey.width, grey.height)
                grey = grey.resize((width, HEIGHT), Image.Resampling.BICUBIC)
            return np.asarray(grey, np.uint8)
    except _BROKEN as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise AudioError(
            f"{name}: is no PNG image that can be decoded ({reason[0][:80]}), it is truncated or "
            "damaged; copy it again, or save it anew"
        ) from None


def save_pixels(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Save grey levels (H, W) as a PNG file, 0 black to 255 white.

    Raises:
        AudioError: it cannot be written, or is not (H, W) of uint8.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.size == 0:
        raise AudioError(
            f"{path}: pixels are {pixels.dtype} of shape {pixels.shape}, must be uint8 (H, W)"
        )
    from PIL import Image

    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        Image.fromarray(pixels).save(temporary, format="PNG")
        os.replace(temporary, target)
    except OSError as error:
        raise AudioError(
            f"{target}: cannot be written ({error.strerror or error}); check folder and space"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def as_samples(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Samples (W * H,) of grey levels (H, W): column by column, white 0, black 255/256.

    >>> as_samples(np.array([[255, 0], [127, 255]], np.uint8)).tolist()
    [0.0, 0.5, 0.99609375, 0.0]
    """
    ink = np.uint8(255) - pixels
    return ink.T.reshape(-1).astype(np.float32) / np.float32(256)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's advice is for those who call it
        yield


def _grey(image: Any) -> Any:
    """An image of 8 bits a pixel, one channel, what is transparent shown white."""
    from PIL import Image

    image.load()
    if image.mode.startswith("I"):  # 16 bits
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, "white")
        image = Image.alpha_composite(paper, coloured)
    return image.convert("L")


def _size(name: str) -> tuple[int, int]:
    """Width and height from the header, once they are known to be those of a line of text."""
    try:
        with open(name, "rb") as file:
            head = file.read(24)
            file.seek(-min(len(_END), file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read()
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror}); check the path") from None
    if not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR" or len(head) < 24:
        raise AudioError(f"{name}: is not a PNG image, or its header is damaged; save it anew")
    if tail != _END:
        raise AudioError(f"{name}: is truncated (a PNG file ends with IEND); copy it again")
    width, height = struct.unpack(">II", head[16:24])
    _check_size(name, width, height)
    return width, height


def _check_size(name: str, width: int, height: int) -> None:
    size = f"{name}: is {width} x {height} pixels"
    if width < 1 or height < 1:
        raise AudioError(f"{size}, must have some; save it anew")
    if not MIN_ROWS <= height <= MAX_ROWS:
        raise AudioError(
            f"{size}, a line of text must be {MIN_ROWS} to {MAX_ROWS} high; cut a page into its "
            "lines first"
        )
    if width * height > MAX_PIXELS:
        raise AudioError(f"{size}, must be at most {MAX_PIXELS} in all; scale it down")
    if scaled_width(width, height) > MAX_COLUMNS:
        raise AudioError(
            f"{size}, must be at most {MAX_COLUMNS} wide once it is {HEIGHT} high; cut it in parts"
        )
