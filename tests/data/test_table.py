from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.data.manifest import read_manifest
from seqlab.data.table import read_table
from seqlab.errors import SeqlabError


def table(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_whole_files_and_parts(write_audio, tmp_path: Path) -> None:
    write_audio("a.wav", 1.0)
    path = table(
        tmp_path,
        "\ufeffpath\tlabel\tspeaker\tsplit\tduration_s\tstart_s\tother",
        "a.wav\tyes\tbob\ttrain\t9.9\t\tx",
        "a.wav\tno\t-\ttest\t0.5\t0.25\ty\r",
        "",
    )
    (split, whole), (split2, part) = read_table(path)
    assert (split, split2) == ("train", "test")
    assert (whole.id, whole.start_s, whole.duration_s, whole.recording_s) == ("a.wav", 0, 1, 1)
    assert (whole.label, whole.transcript, whole.speaker) == ("yes", None, "bob")
    assert (part.id, part.start_s, part.duration_s) == ("a.wav#0.25", 0.25, 0.5)
    assert part.speaker is None
    assert part.path == str(tmp_path / "a.wav")
    assert read_manifest(path, "test") == [part]


def test_without_split_all_is_train(write_audio, tmp_path: Path) -> None:
    write_audio("a.wav")
    path = table(tmp_path, "path\ttranscript\tid", "a.wav\tHELLO THERE\tmine")
    ((split, utterance),) = read_table(path)
    assert (split, utterance.id, utterance.target) == ("train", "mine", "HELLO THERE")


HEAD = "path\tlabel\tstart_s\tduration_s"
BAD = {
    "no path": (["file\tlabel"], 1, "no column 'path'"),
    "commas": (["path,label"], 1, "looks comma-separated"),
    "no target": (["path\tspeaker"], 1, "neither"),
    "double": (["path\tlabel\tlabel"], 1, "names a column twice"),
    "start alone": (["path\tlabel\tstart_s"], 1, "without 'duration_s'"),
    "no rows": (["path\tlabel"], None, "no rows"),
    "short row": ([HEAD, "a.wav\tyes"], 2, "2 columns, must be 4"),
    "empty path": ([HEAD, "\tyes\t\t"], 2, "column 'path' is empty"),
    "empty label": ([HEAD, "a.wav\t \t\t"], 2, "column 'label' is empty"),
    "start": ([HEAD, "a.wav\tyes\tx\t1"], 2, "column 'start_s' is 'x'"),
    "negative": ([HEAD, "a.wav\tyes\t-1\t1"], 2, "column 'start_s' is '-1'"),
    "nan": ([HEAD, "a.wav\tyes\t0\tnan"], 2, "column 'duration_s' is 'nan'"),
    "empty part": ([HEAD, "a.wav\tyes\t0\t0"], 2, "more than 0"),
    "too long": ([HEAD, "a.wav\tyes\t0\t1", "a.wav\tno\t0.5\t1"], 3, "beyond the end"),
    "missing": ([HEAD, "b.wav\tyes\t\t"], 2, "b.wav"),
    "null byte": ([HEAD, "b\0.wav\tyes\t\t"], 2, "cannot be read"),
    "folder": ([HEAD, ".\tyes\t\t"], 2, "directory"),
    "empty split": (["path\tlabel\tsplit", "a.wav\tyes\t"], 2, "column 'split' is empty"),
    "twice": (["path\tlabel", "a.wav\tyes", "a.wav\tyes"], None, "occurs twice"),
}


@pytest.mark.parametrize(("lines", "line", "says"), BAD.values(), ids=BAD.keys())
def test_bad_tables(write_audio, tmp_path: Path, lines: list[str], line: int, says: str) -> None:
    write_audio("a.wav", 1.0)
    path = table(tmp_path, *lines)
    with pytest.raises(SeqlabError, match=says) as error:
        read_table(path)
    assert (f"{path}:{line}" if line else str(path)) in str(error.value)


def test_a_split_column_that_is_not_there(write_audio, tmp_path: Path) -> None:
    write_audio("a.wav")
    with pytest.raises(SeqlabError, match="official_split"):
        read_table(table(tmp_path, "path\tlabel", "a.wav\tx"), split_column="official_split")


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(SeqlabError, match="is missing"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "a.tsv").write_bytes(b"path\tlabel\n\xff")
    with pytest.raises(SeqlabError, match=r"a\.tsv:2: not UTF-8"):
        read_table(tmp_path / "a.tsv")
    (tmp_path / "a.tsv").write_text(" \n")
    with pytest.raises(SeqlabError, match="empty"):
        read_table(tmp_path / "a.tsv")
    with pytest.raises(SeqlabError, match="cannot be read"):
        read_table(tmp_path)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("text") / "m.tsv"
    path.write_text("path\tlabel\n" + text, encoding="utf-8", errors="replace")
    with pytest.raises(SeqlabError, match=r"m\.tsv"):
        read_table(path)
