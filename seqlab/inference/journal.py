"""What is done of a long job, kept in a file line by line, so that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqlab.errors import DataError
from seqlab.inference.stitching import Heard
from seqlab.text.segments import TimedSegment, TimedWord

__all__ = ["Journal", "file_key", "job_key"]

_CHUNK = 1 << 20


def file_key(path: str | os.PathLike[str]) -> str:
    """A digest of what a file holds; equal for equal contents.

    Raises:
        DataError: The file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{os.fspath(path)}: cannot be read ({reason}); check it") from None
    return digest.hexdigest()


def job_key(*facts: Any) -> str:
    """A digest of plain values: settings, and the digests of files.

    Example:
        >>> job_key("model", {"beam": 8}) == job_key("model", {"beam": 8})
        True
        >>> job_key("model", {"beam": 8}) == job_key("model", {"beam": 9})
        False
    """
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Journal:
    """The pieces of one recording that were heard, in a file that a kill cannot spoil.

    Every line carries its number, the key of the job and a checksum. Lines that are cut off,
    damaged, of another job or out of turn do not count, nor does anything after them.

    Args:
        path: Of the file; it appears with the first piece, folders included.
        key: Of the job: model, settings and recording; see ``job_key``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> Journal(path, "key").append([Heard(TimedSegment(0.0, 1.0, "go"))])
        >>> [heard.segment.text for heard in Journal(path, "key").heard]
        ['go']
        >>> Journal(path, "another").heard
        []
    """

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self.path, self.key = Path(path), key
        self.heard: list[Heard] = []
        self.finished = False
        self._good = 0  # bytes of lines that count
        self._read()

    def append(self, heard: Iterable[Heard]) -> None:
        """Keep what was heard of the next pieces; on the disk when this returns."""
        self._write([_facts(each) for each in heard])

    def finish(self) -> None:
        """Note that there are no more pieces."""
        if not self.finished:
            self._write(["end"])

    def _write(self, entries: list[Any]) -> None:
        first = len(self.heard)
        lines = [_line(self.key, first + place, entry) for place, entry in enumerate(entries)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab") as file:
            file.truncate(self._good)  # what a kill has left of a line
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self._good += sum(map(len, lines))
        for entry in entries:
            self._take(entry)

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                for line in file:
                    entry = _entry(line, self.key, len(self.heard))
                    if entry is None or self.finished:
                        return
                    self._take(entry)
                    self._good += len(line)
        except FileNotFoundError:
            return
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{self.path}: cannot be read ({reason}); remove it") from None

    def _take(self, entry: Any) -> None:
        if entry == "end":
            self.finished = True
        else:
            self.heard.append(_heard(entry))


def _line(key: str, number: int, entry: Any) -> bytes:
    content = json.dumps([key, number, entry], ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _entry(line: bytes, key: str, number: int) -> Any:
    """What a line holds; None if it is damaged, of another job, or not the one expected."""
    checksum, _, content = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        entry = json.loads(content)
        if entry[:2] != [key, number]:
            return None
        if entry[2] != "end":
            _heard(entry[2])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return entry[2]


def _facts(heard: Heard) -> list[Any]:
    segment = heard.segment
    words = [[word.text, word.start_s, word.end_s, word.confidence] for word in segment.words]
    values = [segment.start_s, segment.end_s, segment.text, segment.confidence]
    return [*values, words, heard.continued, heard.timed]


def _heard(entry: list[Any]) -> Heard:
    start_s, end_s, text, confidence, words, continued, timed = entry
    timed_words = tuple(TimedWord(*word) for word in words)
    segment = TimedSegment(start_s, end_s, text, timed_words, confidence=confidence)
    return Heard(segment, continued, timed)
