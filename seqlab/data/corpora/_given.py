"""Recordings that a user brings along: noise, and speech without the phrases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seqlab.data.corpora._layout import audio_files, split_by_hash
from seqlab.data.manifest import Utterance, from_file, read_manifest
from seqlab.data.sections import without_phrases
from seqlab.errors import DataError


def noises_in(folder: str) -> list[Utterance]:
    """The recordings in a folder; none where it is empty text.

    Raises:
        DataError: the folder holds no audio.
    """
    if not folder:
        return []
    files = audio_files(Path(folder))
    if not files:
        raise DataError(f"noise {folder!r} must be a folder of audio files; it holds none")
    return [from_file(path, path.relative_to(folder).as_posix()) for path in files]


def speech_without(labels: Sequence[str], manifest: str) -> list[Utterance]:
    """The recordings of a manifest that hold none of the labels; none where it is empty text.

    Raises:
        DataError: the manifest cannot be read, or all its recordings hold one.
    """
    if not manifest:
        return []
    kept = without_phrases(read_manifest(manifest), labels)
    if not kept:
        raise DataError(f"negatives {manifest!r} must hold speech without the phrases; it has none")
    return kept


def in_halves(name: str, recordings: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """``name_train`` and ``name_dev``: halves, none of whose speakers or files is in both."""
    kinds = split_by_hash([u.speaker or u.path for u in recordings], 0.5, 0.0, 0)
    if name == "negatives" and "dev" not in kinds.values():  # too few: the threshold needs them
        kinds = dict.fromkeys(kinds, "dev")
    found: dict[str, list[Utterance]] = {}
    for utterance in recordings:
        kind = kinds[utterance.speaker or utterance.path]
        found.setdefault(f"{name}_{kind}", []).append(utterance)
    return found
