"""A journal keeps what was heard, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.inference.journal import Journal, file_key, job_key
from seqlab.inference.stitching import Heard
from seqlab.text.segments import TimedSegment, TimedWord


def heard(number: int) -> Heard:
    word = TimedWord(f"w{number}\ud800", number + 0.1, number + 0.3, 0.25)
    segment = TimedSegment(number, number + 0.5, f"w{number}\ud800", (word,), confidence=0.75)
    return Heard(segment, continued=number % 2 == 0, timed=number % 3 == 0)


ALL = [heard(number) for number in range(7)]


def written(path: Path) -> bytes:
    journal = Journal(path, "key")
    journal.append(ALL[:3])
    journal.append(ALL[3:])
    journal.finish()
    return path.read_bytes()


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.jsonl"
    written(path)
    journal = Journal(path, "key")
    assert journal.heard == ALL
    assert journal.finished
    other = Journal(path, "another")
    assert other.heard == [] and not other.finished
    other.append(ALL[:1])
    assert Journal(path, "another").heard == ALL[:1]
    assert Journal(path, "key").heard == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(st.data())
def test_whatever_happens_to_the_file_what_is_read_was_written(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "a.jsonl"
    path.unlink(missing_ok=True)
    content = bytearray(written(path))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    journal = Journal(path, "key")
    count = len(journal.heard)
    assert journal.heard == ALL[:count]
    if count < len(ALL):
        assert not journal.finished
    journal.append(ALL[count:] if not journal.finished else [])
    journal.finish()
    again = Journal(path, "key")
    assert again.heard == ALL and again.finished


def test_keys(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_key(one) == file_key(one) != file_key(two)
    assert job_key("m", {"a": 1.0, "b": None}) == job_key("m", {"b": None, "a": 1.0})
    with pytest.raises(DataError, match="missing: cannot be read"):
        file_key(tmp_path / "missing")
