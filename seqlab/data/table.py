"""Tables of utterances: tab-separated text with a header line, as people write them."""

from __future__ import annotations

import math
import os
from pathlib import Path

from seqlab.data.utterance import Utterance, check_ids, cut, from_file
from seqlab.errors import AudioError, DataError

NEEDED = ("path",)
KNOWN = ("id", "path", "transcript", "label", "speaker", "split", "start_s", "duration_s")


def read_table(
    path: str | os.PathLike[str], *, split_column: str = "split"
) -> list[tuple[str, Utterance]]:
    """Read a TSV of utterances as pairs (split, utterance).

    The first line names the columns: ``path`` (relative to the table's folder), ``transcript`` or
    ``label`` or both, and where known ``speaker`` (``-`` or nothing: not known), ``split``
    (without it everything is ``train``), ``start_s`` with ``duration_s`` for part of a file, and
    ``id``. Other columns are ignored. A row without ``start_s`` is the whole file; its duration
    is read from the file.

    Args:
        path: the table, UTF-8.
        split_column: the column that names the split.

    Raises:
        DataError: naming file, line and column.
    """
    path = Path(path)
    lines = read_lines(path)
    if not lines:
        raise DataError(f"{path}: empty, must begin with a line of column names; write one")
    header = lines[0].split("\t")
    _check_header(header, path, split_column)
    rows: list[tuple[str, Utterance]] = []
    files: dict[str, Utterance] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            raise DataError(
                f"{path}:{number}: {len(cells)} columns, must be {len(header)} as in the header "
                f"({', '.join(header)}); separate them by single tabs"
            )
        row = dict(zip(header, cells, strict=True))
        split = row[split_column].strip() if split_column in row else "train"
        if not split:
            raise DataError(
                f"{path}:{number}: column {split_column!r} is empty, must name a split; fill it in"
            )
        rows.append((split, _utterance(row, path, number, files)))
    if not rows:
        raise DataError(f"{path}: no rows below the header, must be at least one; add them")
    check_ids((utterance for _, utterance in rows), str(path))
    return rows


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file, a byte order mark dropped.

    Raises:
        DataError: the file is missing or is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} is missing; check the path") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}:{line}: not UTF-8 text (compressed, or another encoding?); convert the file"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return [line.rstrip("\r") for line in text.split("\n")] if text.strip() else []


def _check_header(header: list[str], path: Path, split_column: str) -> None:
    problem = None
    if "path" not in header:
        problem = "has no column 'path'"
    elif "transcript" not in header and "label" not in header:
        problem = "has neither a column 'transcript' nor 'label'"
    elif split_column not in header and split_column != "split":
        problem = f"has no column {split_column!r}"
    elif len(set(header)) != len(header):
        problem = "names a column twice"
    elif "start_s" in header and "duration_s" not in header:
        problem = "has 'start_s' without 'duration_s'"
    if problem:
        hint = ""
        if len(header) == 1 and "," in header[0]:
            hint = " (it looks comma-separated)"
        raise DataError(
            f"{path}:1: the header {problem}{hint}; columns must be separated by tabs and named "
            f"{', '.join(KNOWN)}"
        )


def _utterance(
    row: dict[str, str], table: Path, number: int, files: dict[str, Utterance]
) -> Utterance:
    where = f"{table}:{number}"
    relative = row["path"]
    if not relative.strip():
        raise DataError(f"{where}: column 'path' is empty, must name an audio file; fill it in")
    speaker = row.get("speaker", "").strip()
    path = str(table.parent.absolute() / relative)
    try:
        if path not in files:
            files[path] = from_file(path, relative)
        whole = files[path]
        start = row.get("start_s", "").strip()
        part = f"{relative}#{start}" if start else relative
        utterance_id = row.get("id", "").strip() or part
        start_s, duration_s = 0.0, whole.duration_s
        if start:
            start_s = _number(start, "start_s", where)
            duration_s = _number(row["duration_s"], "duration_s", where)
        part_of = cut(whole, utterance_id, start_s, duration_s)
    except AudioError as error:
        raise AudioError(f"{where}: {error}") from None
    except DataError as error:
        raise DataError(str(error) if where in str(error) else f"{where}: {error}") from None
    return Utterance(
        id=part_of.id,
        path=part_of.path,
        start_s=part_of.start_s,
        duration_s=part_of.duration_s,
        sample_rate=part_of.sample_rate,
        transcript=row.get("transcript"),
        label=_label(row, where),
        speaker=None if speaker in ("", "-") else speaker,
        recording_s=part_of.recording_s,
    )


def _label(row: dict[str, str], where: str) -> str | None:
    label = row.get("label")
    if label is not None and not label.strip():
        if row.get("transcript") is not None:
            return None
        raise DataError(f"{where}: column 'label' is empty, must name a class; fill it in")
    return label


def _number(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DataError(
            f"{where}: column {column!r} is {text!r}, must be a number of seconds of 0 or more; "
            "correct it"
        )
    return value
