"""What corpora share: looking for the files of a layout, and saying what is missing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from seqlab.data.manifest import Utterance
from seqlab.data.table import read_table
from seqlab.errors import DataError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".sph", ".opus", ".aiff", ".aif", ".au")


def require_folder(source: Path, corpus: str, expected: str) -> None:
    """Raise DataError unless ``source`` is a folder; ``expected`` says what lies in it."""
    if not source.is_dir():
        state = "is a file" if source.exists() else "does not exist"
        raise DataError(
            f"{source} {state}, must be the folder of {corpus} that holds {expected}; "
            "check the path, or unpack the archive"
        )


def wrong_layout(source: Path, corpus: str, expected: str) -> DataError:
    """The error for a folder that is not what the corpus looks like."""
    try:
        held = ", ".join(sorted(p.name for p in source.iterdir())[:5]) or "nothing"
    except OSError:
        held = "nothing readable"
    return DataError(
        f"{source} holds {held}; the folder of {corpus} must hold {expected}; "
        "name the folder one level higher or lower"
    )


def audio_files(folder: Path, suffixes: Iterable[str] = AUDIO_SUFFIXES) -> list[Path]:
    """Audio files anywhere below ``folder``, by name; links are followed, hidden ones left out."""
    wanted, found, seen = set(suffixes), [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(place, name)) not in seen  # a link in a circle
        ]
        found += [
            Path(place, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in wanted
        ]
    return sorted(found)


def table_splits(table: Path, *, split_column: str = "split") -> dict[str, list[Utterance]]:
    """Splits of a TSV, train, dev and test first."""
    splits: dict[str, list[Utterance]] = {}
    for split, utterance in read_table(table, split_column=split_column):
        splits.setdefault(split, []).append(utterance)
    return ordered(splits)


def ordered(splits: Mapping[str, list[Utterance]]) -> dict[str, list[Utterance]]:
    """Splits with train, dev and test first, empty ones dropped."""
    first = [name for name in ("train", "dev", "test") if name in splits]
    names = first + sorted(set(splits) - set(first))
    return {name: splits[name] for name in names if splits[name]}


def hash_fraction(text: str) -> float:
    """A number in [0, 1) that depends on ``text`` only.

    >>> 0 <= hash_fraction("bob") < 1
    True
    """
    return int.from_bytes(hashlib.sha1(text.encode()).digest()[:6], "big") / 2**48


def split_by_hash(
    groups: Iterable[str], dev_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """A split for each group (a speaker, or a file), drawn by hash in the asked proportions.

    Groups are sorted by the hash of seed and name and cut by count, so that small corpora get
    the asked proportions and each part is non-empty where there are enough groups.

    Raises:
        DataError: fractions out of range.
    """
    if not (dev_fraction >= 0 and test_fraction >= 0 and dev_fraction + test_fraction < 1):
        raise DataError(
            f"dev_fraction={dev_fraction} and test_fraction={test_fraction} must be 0 or more and "
            "together less than 1"
        )
    names = sorted(set(groups), key=lambda name: (hash_fraction(f"{seed}/{name}"), name))
    test = _share(len(names), test_fraction)
    dev = _share(len(names), dev_fraction)
    kinds = ["test"] * test + ["dev"] * dev
    kinds += ["train"] * (len(names) - len(kinds))
    return dict(zip(names, kinds, strict=True))


def _share(count: int, fraction: float) -> int:
    return max(1, round(count * fraction)) if fraction > 0 and count > 2 else 0
