from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.lm.ngram.partitions import Span, partition_files, span_blocks
from seqlab.lm.ngram.text import text_blocks

LINES = st.lists(st.sampled_from([b"", b"a", b"b cc", b"d" * 30, b"BZh", b"\xef\xbb\xbfe"]))


def read(spans: list[Span], size: int = 2**24) -> bytes:
    blocks = [block for span in spans for block in span_blocks(span, size)]
    assert all(block.flags.writeable and block[-1] == ord("\n") for block in blocks)
    return b"".join(block.tobytes() for block in blocks)


@settings(deadline=None)
@given(
    texts=st.lists(st.tuples(LINES, st.booleans(), st.booleans()), min_size=1, max_size=3),
    target=st.integers(1, 80),
    size=st.integers(1, 50),
)
def test_partitions_give_the_text_of_the_files(
    texts: list[tuple[list[bytes], bool, bool]],
    target: int,
    size: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("text")
    paths = []
    for number, (lines, ended, packed) in enumerate(texts):
        text = b"x\n" * (lines[:1] == [b"BZh"]) + b"\n".join(lines)  # else it would be bzip2
        text += b"\n" * ended
        paths.append(folder / str(number))
        paths[-1].write_bytes(gzip.compress(text) if packed else text)
    whole = b"".join(block.tobytes() for block in text_blocks(paths))
    partitions = partition_files(paths, target)
    assert b"".join(read(list(partition), size) for partition in partitions) == whole
    plain = [span for partition in partitions for span in partition if span.end is not None]
    for span, following in itertools.pairwise(plain):
        assert span.path != following.path or span.end == following.begin


def test_partitions_have_about_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("four\n" * 1000)
    for name in "bcdefghijk":
        (tmp_path / name).write_text("four\n" * 20)
    partitions = partition_files(sorted(tmp_path.iterdir()), 500)
    sizes = [sum(span.end - span.begin for span in partition) for partition in partitions]
    assert sizes == [500] * 12
    assert [len(partition) for partition in partitions] == [1] * 10 + [5] * 2


def test_one_line_is_one_partition(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("word " * 50_000)
    assert len(partition_files([tmp_path / "a"], 10)) == 1


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a b\n")
    [[span]] = partition_files([path], 10)
    path.write_text("a b c\n")
    with pytest.raises(DataError, match=r"has 6 bytes here and had 4 .* leave it unchanged"):
        read([span])
    path.unlink()
    with pytest.raises(DataError, match="is missing here and had 4 bytes"):
        read([span])


@pytest.mark.parametrize(
    ("content", "message"),
    [("a b".encode("utf-16"), "is UTF-16"), (b"PK\x03\x04", "is a zip archive")],
)
def test_what_is_no_text_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        partition_files([tmp_path / "a"], 10)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        partition_files([tmp_path], 10)


def test_a_span_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a b\n")
    with pytest.raises(DataError, match="ends at byte 4, must reach 9"):
        read([Span(str(path), 0, 9, 4)])


def test_blocks_are_numbers_that_may_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\nb")
    [[span]] = partition_files([tmp_path / "a"], 10)
    [block] = span_blocks(span)
    assert block.dtype == np.uint8 and block.tobytes() == b"a\nb\n"
