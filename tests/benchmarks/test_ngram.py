"""The pieces of the n-gram benchmark: what they report can be believed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import ngram_estimation, ngram_files, ngram_memory, ngram_query
from tests.benchmarks.ngram_peers import Peers
from tests.benchmarks.ngram_process import Usage, in_turns, run, summary
from tests.benchmarks.ngram_text import write_text
from tests.benchmarks.ngram_texts import Text, given, tiled, with_marks

BUSY = "import time\nwhile time.process_time() < 0.3: pass"
LARGE = "block = bytearray(200_000_000)"


def test_a_program_is_charged_for_its_own_time_and_memory() -> None:
    busy = run([sys.executable, "-c", BUSY])
    assert 0.3 <= busy.cpu_s < 2 and busy.wall_s >= 0.3 and not busy.failure
    # From a small process: until it starts, a program is charged with the memory of its parent.
    code = "import sys; from tests.benchmarks.ngram_process import run; "
    code += f"print(run([sys.executable, '-c', {LARGE!r}]).peak_mb)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert 200 < float(done.stdout) < 300
    assert run([sys.executable, "-c", "import time; time.sleep(0.3)"]).cpu_s < 0.3


def test_a_program_that_fails_says_why() -> None:
    assert run([sys.executable, "-c", "raise ValueError('no luck')"]).failure == (
        "failed (1): ValueError: no luck"
    )
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert run(sleeping, limit_s=0.2).failure == "over 0 s"


def test_programs_read_and_write_files(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_text("words", encoding="ascii")
    run([sys.executable, "-c", "print(input())"], source, target)
    assert target.read_text(encoding="ascii") == "words\n"


def test_tasks_take_turns_and_one_that_fails_is_not_repeated() -> None:
    order: list[str] = []

    def task(name: str, failure: str = "") -> Usage:
        order.append(name)
        return Usage(1.0, float(len(order)), 1.0, failure)

    found = in_turns(
        {"a": lambda: task("a"), "b": lambda: task("b", "broken"), "c": lambda: task("c")},
        {"a": 3, "b": 3, "c": 1},
    )
    assert order == ["a", "b", "c", "a", "a"]
    assert summary(found["a"])["cpu_s"] == 4.0 and summary(found["a"])["rounds"] == 3
    assert summary(found["b"]) == {"failure": "broken"}


def test_a_generated_text_is_repeatable_and_can_be_continued(tmp_path: Path) -> None:
    names = ("whole", "again", "head", "tail", "other")
    whole, again, head, tail, other = (tmp_path / name for name in names)
    write_text(whole, 3000)
    write_text(again, 3000)
    write_text(head, 2000)
    write_text(tail, 3000, skip=2000)
    write_text(other, 3000, seed=2)
    assert whole.read_bytes() == again.read_bytes() != other.read_bytes()
    words = whole.read_text(encoding="ascii").split()
    assert len(words) == 3000
    assert head.read_text(encoding="ascii").split() == words[:2000]
    assert tail.read_text(encoding="ascii").split() == words[2000:]


def test_texts_are_made_ready(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"one two\n\nthree\n" * 100)
    with with_marks(text, tmp_path) as marked:
        assert marked.read_bytes().startswith(b"<s> one two </s>\n<s>  </s>\n<s> three </s>\n")
    assert not marked.exists()
    long, times = tiled(text, 0.015, tmp_path)
    assert times == 10 and long.read_bytes() == text.read_bytes() * 10
    assert text.read_bytes().endswith(given(text, tmp_path).test.read_bytes())


def test_programs_are_found_where_they_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("KENLM_BIN", raising=False)
    assert Peers.find(irstlm=str(tmp_path)).lmplz is None
    for name in ("lmplz", "tlm"):
        (tmp_path / name).touch(mode=0o755)
    found = Peers.find(kenlm=str(tmp_path), irstlm=str(tmp_path))
    assert (found.lmplz, found.tlm) == (str(tmp_path / "lmplz"), str(tmp_path / "tlm"))
    assert found.query is None
    monkeypatch.setenv("KENLM_BIN", str(tmp_path))
    assert Peers.find().lmplz == str(tmp_path / "lmplz")


@pytest.mark.slow
def test_everything_is_measured_without_any_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text"
    write_text(text, 20_000)
    estimation = ngram_estimation.measure(Text("tiny", text, text), [2], Peers(), tmp_path, 1, 1.0)
    ngram_estimation.show("tiny", estimation)
    built = ngram_query.build(text, text, 2, Peers(), tmp_path)
    query = ngram_query.measure(text, Peers(), tmp_path, 1, 0.2)
    ngram_query.show("tiny", built, query)
    ngram_files.show("tiny", built, ngram_files.measure(tmp_path, Peers(), 1, arpa=True))
    bounded = ngram_memory.measure(text, Text("tiny", text, text))
    ngram_memory.show(bounded)
    shown = capsys.readouterr().out
    assert shown.count("not found") == 8  # every peer once
    assert ngram_estimation.ratios(estimation["orders"][2]) == {}
    assert bounded["small_text"]["equal"]
    by_disk, in_memory = bounded["small_text"]["perplexities"]
    assert by_disk == in_memory > 1
