"""Manifests: files that list utterances, one line a recording or a part of one."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from seqlab.data.cuts import from_cut, json_lines, to_cut
from seqlab.data.table import read_table
from seqlab.data.utterance import Utterance, check_ids, cut, from_file
from seqlab.errors import DataError

__all__ = [
    "Utterance",
    "check_ids",
    "cut",
    "from_file",
    "read_manifest",
    "write_atomically",
    "write_manifest",
]


def read_manifest(path: str | os.PathLike[str], split: str | None = None) -> list[Utterance]:
    """Read a manifest: a lhotse CutSet (``.jsonl``, ``.jsonl.gz``) or a table (``.tsv``).

    Relative audio paths are taken from the manifest's own folder. The audio itself is not
    opened, except for a table, which does not hold the sample rate.

    Args:
        path: the manifest.
        split: the split to read from a table that names several; other manifests are one split.

    Returns:
        The utterances in the order of the file.

    Raises:
        DataError: missing or damaged file, the message names the line; or a table of several
            splits without ``split``, for training data must not be tested on by mistake.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        found = "a folder" if path.is_dir() else "missing"
        raise DataError(
            f"manifest {path} is {found}, must be a .jsonl, .jsonl.gz or .tsv file; "
            "make one with seqlab prepare"
        )
    if path.suffix == ".tsv":
        return _one_split(path, split)
    if split is not None:
        raise DataError(f"split={split!r} goes with a .tsv table, not {path}; leave it out")
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise DataError(
            f"manifest {path} must end in .jsonl, .jsonl.gz or .tsv; rename it, or make one "
            "with seqlab prepare"
        )
    utterances = [
        from_cut(cut, path.parent.absolute(), f"{path}:{number}")
        for number, cut in json_lines(path)
    ]
    check_ids(utterances, str(path))
    return utterances


def _one_split(path: Path, split: str | None) -> list[Utterance]:
    rows = read_table(path)
    names = list(dict.fromkeys(name for name, _ in rows))
    if split is None and len(names) > 1:
        raise DataError(
            f"{path} names several splits ({', '.join(names)}), must be one; choose a split, or "
            "make a manifest of each with seqlab prepare tsv"
        )
    if split is not None and split not in names:
        raise DataError(f"{path} has no split {split!r}, has {', '.join(names)}; name one of them")
    return [utterance for name, utterance in rows if split in (None, name)]


def write_manifest(utterances: Iterable[Utterance], path: str | os.PathLike[str]) -> None:
    """Write utterances as a lhotse CutSet, ``.jsonl`` or ``.jsonl.gz``.

    The file appears whole or not at all, and equal utterances give equal bytes.

    Raises:
        DataError: two utterances share an id, or the file cannot be written.
    """
    path = Path(path)
    utterances = list(utterances)
    check_ids(utterances, str(path))
    text = "".join(json.dumps(to_cut(u), ensure_ascii=False) + "\n" for u in utterances)
    data = text.encode()
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is never seen half written; folders are made.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); choose another folder"
        ) from None
