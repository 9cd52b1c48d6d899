"""Rendered lines of text: made on this machine, no download; never a measure of scanned paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from seqlab.checks import check_at_least
from seqlab.data.corpora._layout import split_by_hash
from seqlab.data.line_texts import MAX_CHARACTERS, random_line, wrapped
from seqlab.data.manifest import Utterance, from_file
from seqlab.data.table import read_lines
from seqlab.data.text_lines import family_faces, lacking, render_line
from seqlab.errors import DataError
from seqlab.image_lines import save_pixels

NOTES = ("rendered text: error rates on it say nothing about scanned paper",)
SPLIT_FAMILIES = {
    "train": ("DejaVu Sans", "DejaVu Serif", "Computer Modern"),
    "dev": ("DejaVu Sans Mono",),
    "test": ("STIX",),
}
_BUILT_IN = "-"


def prepare(
    source: Path,
    *,
    dest: Path,
    lines: int = 6000,
    dev: int = 200,
    test: int = 500,
    seed: int = 0,
    fonts: str = "",
) -> dict[str, list[Utterance]]:
    """Splits of rendered lines of text; neither a font family nor a line is in two of them.

    Fonts are those of matplotlib: DejaVu Sans and Serif and Computer Modern for ``train``, DejaVu
    Sans Mono for ``dev``, STIX for ``test``; the face stands as the speaker. Pictures of 32 rows
    are kept in ``DEST/images``, and equal options give equal ones on equal releases of Pillow.

    Args:
        source: a text file, whose lines are wrapped at 32 characters and divided by hash; or
            ``-`` for made-up dates, prices, names, addresses and words.
        dest: folder for the pictures (``images/`` in it).
        lines: pictures of ``train``; a text of fewer lines is drawn several times.
        dev: pictures of ``dev``; 0: none.
        test: pictures of ``test``; 0: none.
        seed: of texts, faces and wear, 0 or more.
        fonts: a folder of further .ttf or .otf files for ``train``; empty: none.

    Raises:
        DataError: the text is too short or holds characters no font has, or options are out of
            range.
        AudioError: a picture cannot be written.
    """
    counts = {"train": lines, "dev": dev, "test": test}
    check_at_least("lines", lines, 1)
    check_at_least("dev", dev, 0, "0 leaves the split out")
    check_at_least("test", test, 0, "0 leaves the split out")
    check_at_least("seed", seed, 0)
    built_in = str(source) == _BUILT_IN
    texts = _made_up(counts, seed) if built_in else _of_file(source, counts, seed)
    splits = {}
    for split, count in counts.items():
        if count:
            faces = [face for name in SPLIT_FAMILIES[split] for face in family_faces(name)]
            if split == "train" and fonts:
                faces += _own_fonts(Path(fonts).expanduser())
            splits[split] = _pictures(split, texts[split], count, faces, seed, dest / "images")
    return splits


def _pictures(
    split: str, texts: list[str], count: int, faces: list[Path], seed: int, folder: Path
) -> list[Utterance]:
    (folder / split).mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, list(SPLIT_FAMILIES).index(split), number])
        text = texts[number % len(texts)]
        face = _face(text, faces, rng)
        path = folder / split / f"{number:05d}.png"
        save_pixels(path, render_line(text, face, rng))
        name = f"{split}/{number:05d}"
        made.append(from_file(path, name, transcript=text, speaker=face.stem))
    return made


def _face(text: str, faces: list[Path], rng: np.random.Generator) -> Path:
    able = [face for face in faces if not lacking(text, face)]
    if not able:
        missing = min((lacking(text, face) for face in faces), key=len)
        raise DataError(
            f"{text!r} holds {missing!r}, which no font of its split has; replace the characters, "
            "or give fonts that have them"
        )
    return able[int(rng.integers(len(able)))]


def _own_fonts(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in (".ttf", ".otf"))
    if not found:
        raise DataError(f"fonts={folder} holds no .ttf or .otf file, must hold at least one")
    return found


def _made_up(counts: dict[str, int], seed: int) -> dict[str, list[str]]:
    """Different lines for each split; test is drawn first, so that it does not depend on train."""
    taken: set[str] = set()
    return {
        split: _different(random_line, counts[split], [seed, number, 1], taken)
        for number, split in reversed(list(enumerate(SPLIT_FAMILIES)))
    }


def _different(
    line: Callable[[np.random.Generator], str], count: int, seed: list[int], taken: set[str]
) -> list[str]:
    rng = np.random.default_rng(seed)
    chosen: list[str] = []
    while len(chosen) < count:
        text = line(rng)
        if text not in taken:
            taken.add(text)
            chosen.append(text)
    return chosen


def _of_file(path: Path, counts: dict[str, int], seed: int) -> dict[str, list[str]]:
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {state}, must be a text file, or - for made-up lines")
    different = sorted(set(wrapped(read_lines(path), MAX_CHARACTERS)))
    if len(different) < 3:
        raise DataError(
            f"{path} holds {len(different)} different lines, must hold at least 3, one for each "
            "split; give a longer text, or - for made-up lines"
        )
    total = sum(counts.values())
    dev, test = (max(counts[s] / total, 0.02) if counts[s] else 0.0 for s in ("dev", "test"))
    kinds = split_by_hash(different, dev, test, seed)
    texts: dict[str, list[str]] = {split: [] for split in counts}
    for text in different:
        texts[kinds[text]].append(text)
    rng = np.random.default_rng([seed, 2])
    for own in texts.values():
        rng.shuffle(own)
    return texts
