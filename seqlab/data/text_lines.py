"""Pictures of lines of text, rendered with the fonts that matplotlib brings along.

They let a fresh machine train a reader without a download. Rendered text is cleaner than any
scan: an error rate on it says nothing about paper.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqlab.errors import DataError
from seqlab.image_lines import HEIGHT, Pixels

FAMILIES: dict[str, tuple[str, ...]] = {
    "DejaVu Sans": (
        "DejaVuSans",
        "DejaVuSans-Bold",
        "DejaVuSans-Oblique",
        "DejaVuSans-BoldOblique",
    ),
    "DejaVu Serif": (
        "DejaVuSerif",
        "DejaVuSerif-Bold",
        "DejaVuSerif-Italic",
        "DejaVuSerif-BoldItalic",
    ),
    "DejaVu Sans Mono": (
        "DejaVuSansMono",
        "DejaVuSansMono-Bold",
        "DejaVuSansMono-Oblique",
        "DejaVuSansMono-BoldOblique",
    ),
    "Computer Modern": ("cmr10", "cmb10", "cmti10", "cmss10", "cmtt10"),
    "STIX": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
}
_SIZE = 64  # of the type in pixels, before it is scaled down
_TALL, _DEEP = "bdfhkl", "gjpqy"  # what reaches highest and lowest in any face

Draw = np.random.Generator


def family_faces(family: str) -> list[Path]:
    """Font files of one of ``FAMILIES``, in matplotlib's folder.

    Raises:
        DataError: matplotlib came without them.
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = [folder / f"{name}.ttf" for name in FAMILIES[family]]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is missing, must come with matplotlib; install it anew")
    return paths


def lacking(text: str, face: Path) -> str:
    """The characters of ``text`` that a face has no picture of, spaces apart.

    >>> lacking("Pi: π", family_faces("Computer Modern")[0])
    'π'
    """
    return "".join(sorted(set(text) - {" "} - _characters(str(face))))


@functools.lru_cache(maxsize=64)
def _characters(face: str) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(face).get_charmap()))
    except (RuntimeError, OSError) as error:
        raise DataError(f"{face}: is no font that can be read ({error}); leave it out") from None


@functools.lru_cache(maxsize=64)
def _font(face: str) -> Any:
    from PIL import ImageFont

    try:  # the basic layout is in every build of Pillow, so that all draw the same
        return ImageFont.truetype(face, _SIZE, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise DataError(f"{face}: is no font that can be read ({error}); leave it out") from None


def render_line(text: str, face: Path, rng: Draw) -> Pixels:
    """A picture of a line, as worn as ``rng`` draws it.

    Drawn are the width of letters and spaces, slant, rotation, weight, margins, blur, the levels
    of ink and paper, a shade across the paper, and noise.

    Args:
        text: one line of characters that the face has, see ``lacking``.
        face: font file.
        rng: equal generators give equal pictures, with the same releases of Pillow and FreeType.

    Returns:
        Grey levels (32, W), 0 black to 255 white.

    Raises:
        DataError: nothing to draw, or the font cannot be read.
    """
    from PIL import Image, ImageFilter

    if not text.strip():
        raise DataError(f"text {text!r} must hold something to draw; leave it out")
    sheet, top, bottom = _typeset(text.split(), _font(str(face)), rng)
    weight = rng.random()
    if weight < 0.15:
        sheet = sheet.filter(ImageFilter.MaxFilter(3))  # bolder
    elif weight < 0.25:
        sheet = sheet.filter(ImageFilter.MinFilter(3))  # thinner
    sheet = sheet.transform(
        sheet.size, Image.Transform.AFFINE, _tilt(sheet.size, rng), Image.Resampling.BICUBIC
    )
    rows = bottom - top
    above, below = (int(rows * share) for share in rng.uniform(0.06, 0.22, size=2))
    cut = sheet.crop((0, top - above, sheet.width, bottom + below))
    stretch = rng.uniform(0.85, 1.15)
    width = max(1, round(cut.width * HEIGHT / cut.height * stretch))
    small = cut.resize((width, HEIGHT), Image.Resampling.BICUBIC)
    small = small.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.9))))
    return _print(np.asarray(small, np.float64) / 255, rng)


def _typeset(words: list[str], font: Any, rng: Draw) -> tuple[Any, int, int]:
    """Words side by side, white on black, and the rows that letters may reach."""
    from PIL import Image, ImageDraw

    gap = rng.uniform(0.22, 0.42) * _SIZE
    margins = rng.uniform(0.3, 0.8, size=2) * _SIZE
    widths = [font.getlength(word) for word in words]
    width = int(sum(margins) + sum(widths) + gap * (len(words) - 1)) + 1
    up = -font.getbbox(_TALL, anchor="ls")[1]
    down = font.getbbox(_DEEP, anchor="ls")[3]
    base = 2 * _SIZE
    sheet = Image.new("L", (width, 4 * _SIZE))
    draw = ImageDraw.Draw(sheet)
    left = float(margins[0])
    for word, advance in zip(words, widths, strict=True):
        draw.text((round(left), base), word, fill=255, font=font, anchor="ls")
        left += advance + gap
    return sheet, base - up, base + down


def _tilt(size: tuple[int, int], rng: Draw) -> tuple[float, float, float, float, float, float]:
    """Coefficients that slant and rotate about the middle, within what a line tolerates."""
    width, height = size
    slant = rng.normal(0, 0.06)
    steepest = min(0.02, 0.1 * _SIZE / width)  # long lines turn less, or they leave the picture
    turn = rng.uniform(-steepest, steepest)
    x, y = width / 2, height / 2
    return 1.0, slant, -slant * y, turn, 1.0, -turn * x


def _print(ink: npt.NDArray[np.float64], rng: Draw) -> Pixels:
    """Grey levels of the share of ink (H, W) in [0, 1], on paper with shade and noise."""
    paper = rng.uniform(0.65, 1.0)
    contrast = rng.uniform(0.45, 0.95) * paper
    left, right = rng.uniform(-0.08, 0.08, size=2)
    shade = np.linspace(left, right, ink.shape[1])
    noise = rng.normal(0, rng.uniform(0.0, 0.06), ink.shape)
    level: npt.NDArray[np.float64] = paper + shade - contrast * ink + noise
    return np.clip(np.round(255 * level), 0, 255).astype(np.uint8)
