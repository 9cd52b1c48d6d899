"""What features are wanted of: files, folders and manifests, and where each of them goes."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqlab.data.corpora._layout import audio_files
from seqlab.data.manifest import read_manifest
from seqlab.data.table import read_table
from seqlab.data.utterance import Utterance
from seqlab.errors import DataError

# What libsndfile 1.2.2 reads and says about itself in its header. Left out are .raw (no header)
# and names that commonly mean something else: .mat, .htk.
SUFFIXES = frozenset(
    (
        *(".wav", ".wave", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
        *(".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".sph", ".nist", ".nst"),
        *(".voc", ".sf", ".ircam", ".paf", ".pvf", ".avr", ".svx", ".8svx", ".iff"),
    )
)
_MANIFESTS = (".tsv", ".jsonl", ".jsonl.gz")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f%\\:*?"<>|\ud800-\udfff]')
_LONGEST = 200  # bytes of a file name made of an utterance's id


@dataclass(frozen=True)
class FeatureInput:
    """One recording, or part of one, and the place of its features.

    Args:
        id: of the manifest, else the path below the inputs' common folder, without suffix.
        path: of the audio file.
        key: place of the features in the output folder, with slashes, without suffix.
        start_s: first second of the part.
        duration_s: its length in seconds; None: up to the end.
        utterance: what the manifest knows about it; None: there is no manifest.
    """

    id: str
    path: str
    key: str
    start_s: float = 0.0
    duration_s: float | None = None
    utterance: Utterance | None = None


def find_inputs(sources: Sequence[str]) -> list[FeatureInput]:
    """Recordings of files, folders and manifests, in this order; within a folder by name.

    Features of files and folders keep their path below the common folder of all of them (of one
    folder: below it), those of a manifest are named by their id. Where two names differ in the
    suffix alone, as a.wav and a.flac, both keep it.

    Args:
        sources: audio files; folders, searched to any depth for the suffixes in ``SUFFIXES``;
            ``.tsv``, ``.jsonl`` and ``.jsonl.gz`` manifests, every split of a table.

    Raises:
        DataError: a folder without audio, a damaged manifest, or the same recording twice.
    """
    bases: list[str] = []
    found: list[tuple[str, str] | Utterance] = []  # (path, absolute path), or of a manifest
    for source in sources:
        if os.path.isdir(source):
            paths = [str(path) for path in audio_files(Path(source), SUFFIXES)]
            if not paths:
                raise DataError(
                    f"{source} holds no audio file, must hold at least one ending in .wav, .flac "
                    "or the like; name another folder, or the files themselves"
                )
            bases.append(os.path.abspath(source))
            found += [(path, os.path.abspath(path)) for path in paths]
        elif source.lower().endswith(_MANIFESTS):
            found += _utterances(Path(source))
        else:
            bases.append(os.path.dirname(os.path.abspath(source)))
            found.append((source, os.path.abspath(source)))
    common = os.path.commonpath(bases) if bases else ""
    items = [
        _from_utterance(f) if isinstance(f, Utterance) else _from_file(*f, common) for f in found
    ]
    return list(_apart(items))


def _utterances(path: Path) -> list[Utterance]:
    if path.suffix == ".tsv":
        return [utterance for _, utterance in read_table(path)]
    return read_manifest(path)


def _from_file(path: str, absolute: str, common: str) -> FeatureInput:
    name = Path(absolute).relative_to(common).as_posix()
    return FeatureInput(id=name, path=path, key=name)


def _from_utterance(utterance: Utterance) -> FeatureInput:
    whole = utterance.start_s == 0 and utterance.duration_s == utterance.recording_s
    return FeatureInput(
        id=utterance.id,
        path=utterance.path,
        key="/".join(safe_name(part) for part in utterance.id.split("/")),
        start_s=utterance.start_s,
        duration_s=None if whole else utterance.duration_s,
        utterance=utterance,
    )


def safe_name(part: str) -> str:
    """A part of an utterance's id as the name of a file or folder that stays where it is put.

    >>> safe_name("a b#0.5"), safe_name(".."), safe_name("")
    ('a b#0.5', '%2E.', '%')
    """
    name = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", part) or "%"
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    data = name.encode()
    if len(data) <= _LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[: _LONGEST - 17].decode('utf-8', 'ignore')}-{digest}"


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def _apart(items: list[FeatureInput]) -> list[FeatureInput]:
    """The items with their keys without suffix, except where two would then be the same."""
    first: dict[str, FeatureInput] = {}
    for item in items:
        other = first.setdefault(item.key, item)
        if other is not item:
            raise DataError(
                f"{other.path} and {item.path} would both be written to {item.key}; pass each "
                "recording once, and each manifest in a call of its own"
            )
    counts = Counter(map(_stem, first))
    keys = [_stem(item.key) if counts[_stem(item.key)] == 1 else item.key for item in items]
    if len(set(keys)) < len(keys):  # a.wav, a.flac and a.wav.wav
        keys = [item.key for item in items]
    return [
        replace(item, id=item.id if item.utterance else key, key=key)
        for item, key in zip(items, keys, strict=True)
    ]
