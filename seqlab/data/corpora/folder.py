"""A folder of class folders, the layout people make by hand."""

from __future__ import annotations

import re
from pathlib import Path

from seqlab.data.corpora._layout import (
    audio_files,
    ordered,
    require_folder,
    split_by_hash,
    wrong_layout,
)
from seqlab.data.manifest import Utterance, from_file
from seqlab.errors import DataError

_SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}
_EXPECTED = "a folder a class (yes/, no/) with audio files, or train/, dev/ and test/ with those"


def prepare(
    source: Path,
    *,
    dev_fraction: float = 0.1,
    test_fraction: float = 0.1,
    speaker_pattern: str = "",
    seed: int = 0,
) -> dict[str, list[Utterance]]:
    """Splits of a folder with one folder of audio files for each class.

    Where the first level is named ``train``, ``dev`` (``val``, ``valid``, ``validation``) and
    ``test``, these are the splits. Otherwise splits are drawn by hash: whole speakers where
    ``speaker_pattern`` tells them, else files, class by class.

    Args:
        source: the folder.
        dev_fraction: share of dev where splits are drawn.
        test_fraction: share of test where splits are drawn.
        speaker_pattern: regular expression found in the file name (without suffix); its first
            group is the speaker, such as ``^([^_]+)_``. Empty: speakers are not known.
        seed: of the draw.

    Raises:
        DataError: another layout, or a pattern that does not fit.
    """
    require_folder(source, "a corpus of class folders", _EXPECTED)
    pattern = _pattern(speaker_pattern)
    subfolders = _subfolders(source)
    if subfolders and all(folder.name.lower() in _SPLITS for folder in subfolders):
        splits: dict[str, list[Utterance]] = {}
        for folder in subfolders:
            found = _classes(folder, folder.name, pattern)
            splits.setdefault(_SPLITS[folder.name.lower()], []).extend(found)
        return ordered(splits)
    utterances = _classes(source, "", pattern)
    drawn = _draw(utterances, dev_fraction, test_fraction, seed)
    splits = {"train": [], "dev": [], "test": []}
    for utterance in utterances:
        splits[drawn[utterance.id]].append(utterance)
    return ordered(splits)


def _draw(
    utterances: list[Utterance], dev_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    if all(u.speaker is not None for u in utterances):
        speakers = split_by_hash(
            (str(u.speaker) for u in utterances), dev_fraction, test_fraction, seed
        )
        return {u.id: speakers[str(u.speaker)] for u in utterances}
    drawn: dict[str, str] = {}
    for label in sorted({str(u.label) for u in utterances}):
        ids = [u.id for u in utterances if u.label == label]
        drawn.update(split_by_hash(ids, dev_fraction, test_fraction, seed))
    return drawn


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name != "_background_noise_"
    )


def _classes(folder: Path, prefix: str, pattern: re.Pattern[str] | None) -> list[Utterance]:
    utterances = []
    for class_folder in _subfolders(folder):
        for path in audio_files(class_folder):
            name = path.relative_to(folder).as_posix()
            utterances.append(
                from_file(
                    path,
                    f"{prefix}/{name}" if prefix else name,
                    label=class_folder.name,
                    speaker=_speaker(path, pattern),
                )
            )
    if not utterances:
        raise wrong_layout(folder, "a corpus of class folders", _EXPECTED)
    return utterances


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise DataError(
            f"speaker_pattern={text!r} is no regular expression ({error}); such as ^([^_]+)_"
        ) from None
    if pattern.groups < 1:
        raise DataError(
            f"speaker_pattern={text!r} must have a group in parentheses; such as ^([^_]+)_"
        )
    return pattern


def _speaker(path: Path, pattern: re.Pattern[str] | None) -> str | None:
    if pattern is None:
        return None
    match = pattern.search(path.stem)
    if not match or not match[1]:
        raise DataError(
            f"{path}: speaker_pattern {pattern.pattern!r} finds no speaker in {path.stem!r}; "
            "correct the pattern or rename the file"
        )
    return match[1]
