"""Temporary folders go, whatever interrupts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seqlab.errors import DataError
from seqlab.lm.ngram import folders
from seqlab.lm.ngram.folders import TemporaryFolder


def test_it_goes_in_the_end_of_with(tmp_path: Path) -> None:
    with TemporaryFolder(tmp_path) as folder:
        assert os.path.isabs(folder) and os.listdir(tmp_path) == [os.path.basename(folder)]
        Path(folder, "below").mkdir()
        Path(folder, "below", "file").write_text("x")
        if sys.platform != "win32":
            assert os.stat(folder).st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_it_goes_with_the_object_and_by_hand(tmp_path: Path) -> None:
    first, second = TemporaryFolder(str(tmp_path)), TemporaryFolder(tmp_path)
    assert first.path != second.path
    second.remove()
    second.remove()
    assert os.listdir(tmp_path) == [os.path.basename(first.path)]
    del first
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from seqlab.lm.ngram.folders import TemporaryFolder\n"
        "kept = TemporaryFolder(sys.argv[1]); open(kept.path + '/file', 'w').close()\n"
        "sys.modules['kept'] = kept; raise KeyboardInterrupt\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_interrupted_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.mkdir

    def interrupted(path: str, mode: int) -> None:
        make(path, mode)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", interrupted)
        with pytest.raises(KeyboardInterrupt) as stop:
            TemporaryFolder(tmp_path)
    del stop
    assert list(tmp_path.iterdir()) == []


def test_interrupted_while_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = TemporaryFolder(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt) as stop:
            folder.remove()
    assert list(tmp_path.iterdir()) != []
    del folder, stop
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("until_s", [0.0, 0.15])
def test_somebody_still_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until_s: float
) -> None:
    """The first try may find the folder filled again; the last comes when nobody writes."""
    monkeypatch.setattr(folders, "_WAIT_S", 0.02)
    folder = TemporaryFolder(tmp_path)
    end = time.monotonic() + until_s
    remove = shutil.rmtree

    def raced(path: str, ignore_errors: bool) -> None:
        remove(path, ignore_errors)
        if time.monotonic() < end:
            Path(path).mkdir()

    monkeypatch.setattr(shutil, "rmtree", raced)
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_many_threads(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(20):
            with TemporaryFolder(tmp_path) as folder:
                assert os.listdir(folder) == []

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_no_folder_to_make_it_in(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scratch folder .*missing is not a folder; create it"):
        TemporaryFolder(tmp_path / "missing")
