"""Folders of features: arrays, settings, an index, and manifests that lhotse reads.

A folder holds one ``.npy`` or ``.npz`` file a recording, ``settings.json`` (what they were made
with) and ``index.jsonl`` (one line a recording, in the order of the inputs). Every file appears
whole or not at all: it is written under a hidden name, always the same for the same file, and
renamed. So whatever stops a run, what bears its final name is finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from seqlab import __version__
from seqlab.contracts import Frontend
from seqlab.errors import DataError

SETTINGS, INDEX, FAILED = "settings.json", "index.jsonl", "failed.jsonl"
FORMATS = {"npy": ".npy", "npz": ".npz", "lhotse": ".npy"}
_FLOAT32 = np.dtype("<f4")


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that becomes ``path`` if the block ends well, and vanishes if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def partial_path(path: Path) -> Path:
    """Where ``path`` is written before it is finished; no longer a name than file systems take."""
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:20]}.partial")


def describe_frontend(frontend: Frontend) -> dict[str, Any]:
    """Kind and settings of a front end as plain values, defaults included.

    >>> from seqlab import LogMel
    >>> describe_frontend(LogMel(n_mels=40))["settings"]["n_mels"]
    40
    """
    settings = dict(frontend.constructor_arguments)
    return {"frontend": type(frontend).__name__, "settings": settings}


def write_array(
    path: Path, blocks: Iterable[np.ndarray], frames: int, frontend: Frontend, seconds: float
) -> None:
    """Write features that come block by block, as the suffix of ``path`` says.

    Args:
        path: ending in ``.npy``: the array (T, F); in ``.npz``: ``features`` (T, F), ``lengths``
            (1,) in frames, ``sample_rate`` in Hz, ``hop_length`` in samples, ``seconds`` of audio
            and ``settings``, a JSON text.
        blocks: float32 arrays (n, F), ``frames`` rows in all.
        frames: T.
        frontend: that made them.
        seconds: of the recording.

    Raises:
        DataError: more or fewer rows came than ``frames``.
        OSError: the file cannot be written.
    """
    shape = (frames, frontend.output_dim)
    with atomic_file(path) as file:
        if path.suffix == ".npy":
            _write_rows(file, blocks, shape, path)
            return
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            with _member(archive, "features") as member:
                _write_rows(member, blocks, shape, path)
            for name, value in {
                "lengths": np.array([frames], np.int64),
                "sample_rate": np.array(frontend.sample_rate, np.int64),
                "hop_length": np.array(frontend.hop_length, np.int64),
                "seconds": np.array(seconds, np.float64),
                "settings": np.array(json.dumps(describe_frontend(frontend))),
            }.items():
                with _member(archive, name) as member:
                    np.lib.format.write_array(member, value, allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # A ZipInfo of its own bears 1980 as its date: equal features give equal bytes.
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_rows(
    file: IO[bytes], blocks: Iterable[np.ndarray], shape: tuple[int, int], path: Path
) -> None:
    header = {"descr": _FLOAT32.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    written = 0
    for block in blocks:
        rows = np.ascontiguousarray(block, _FLOAT32)
        if rows.size:
            file.write(rows.data.cast("B"))
        written += len(rows)
    if written != shape[0]:
        raise DataError(
            f"{path}: {written} frames came, must be {shape[0]} as the header of the recording "
            "says; convert the recording, e.g. to WAV, and try again"
        )


def is_finished(path: Path, shape: tuple[int, int], since_ns: int) -> bool:
    """Whether ``path`` holds a whole array of this shape, not older than ``since_ns``.

    Only the header, the size and the time of the last change are looked at.
    """
    try:
        stat = path.stat()
        if stat.st_mtime_ns < since_ns:
            return False
        with path.open("rb") as file:
            if path.suffix == ".npy":
                found = _read_shape(file)
                return found == shape and file.tell() + 4 * shape[0] * shape[1] == stat.st_size
            with zipfile.ZipFile(file) as archive, archive.open("features.npy") as member:
                return _read_shape(member) == shape
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return False


def _read_shape(file: IO[bytes]) -> tuple[int, ...] | None:
    if np.lib.format.read_magic(file) != (1, 0):
        return None
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    return None if fortran_order or dtype != _FLOAT32 else tuple(shape)


def open_folder(folder: Path, frontend: Frontend, storage: str, resume: bool) -> int:
    """Make ``folder`` ready for features of ``frontend``.

    Args:
        folder: made where it is missing.
        frontend: its settings are written to ``settings.json``, or compared with it.
        storage: "npy", "npz" or "lhotse".
        resume: go on with what an earlier run began, if one did; else begin afresh, which takes
            the index and manifests away: they would list features about to be replaced.

    Returns:
        The time in nanoseconds since which files of this folder count as finished.

    Raises:
        DataError: ``resume``, and the folder was made with other settings.
    """
    path = folder / SETTINGS
    wanted = {"seqlab": __version__, "format": storage, **describe_frontend(frontend)}
    text = json.dumps(wanted, indent=2, sort_keys=True) + "\n"
    if resume and path.exists():
        _check_same(path, json.loads(text))
        return path.stat().st_mtime_ns
    folder.mkdir(parents=True, exist_ok=True)
    for name in (INDEX, FAILED, "cuts.jsonl.gz", "features.jsonl.gz"):
        (folder / name).unlink(missing_ok=True)
    with atomic_file(path) as file:
        file.write(text.encode())
    return path.stat().st_mtime_ns


def _check_same(path: Path, wanted: dict[str, Any]) -> None:
    try:
        found = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise DataError(
            f"{path} is damaged, must be as seqlab features wrote it; begin afresh without --resume"
        ) from None
    now = _flat(wanted)
    first = ("frontend", "format", "seqlab")
    changes = [
        f"{name} was {found.get(name, 'not set')!r} and is now {now.get(name, 'not set')!r}"
        for name in sorted(found.keys() | now.keys(), key=lambda name: (name not in first, name))
        if found.get(name, found) != now.get(name, now)
    ]
    if changes:
        more = f" (and {len(changes) - 3} more)" if len(changes) > 3 else ""
        raise DataError(
            f"{path.parent} holds features of other settings: {', '.join(changes[:3])}{more}; "
            "--resume needs the same, so choose another folder, or begin afresh without --resume"
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k != "settings"} | dict(settings["settings"])


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write a file of one JSON object a line, such as the index."""
    with atomic_file(path) as file:
        for line in lines:
            file.write(json_line(line))


def json_line(value: dict[str, Any]) -> bytes:
    """One line of JSON in UTF-8; names of files that are no UTF-8 are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value).encode() + b"\n"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep a second process from writing to ``folder`` (made if missing), where locks exist.

    Raises:
        DataError: another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"{folder}: another process is writing features to it, must be one at a time; "
                "wait for it, or choose another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)
