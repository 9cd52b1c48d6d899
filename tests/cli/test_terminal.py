"""Tables, JSON, progress and overrides, on a terminal and piped."""

from __future__ import annotations

import argparse
import io
import json
import sys

import pytest

from seqlab.cli.main import one_line
from seqlab.cli.overrides import take_overrides
from seqlab.cli.terminal import Progress, print_json, print_table
from seqlab.errors import RecipeError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "value"], [["a", "1.5 %"], ["long", "12.0 %"], ["b", None]], "title")
    assert capsys.readouterr().out == ("title\nname   value\na      1.5 %\nlong  12.0 %\nb\n")


def test_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    print_table(["name"], [["[red]a"]])
    assert "[red]a" in screen.getvalue()
    assert len(screen.getvalue().splitlines()) > 3


def test_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [])
    assert capsys.readouterr().out == "name\n"


def test_json_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": "é"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": "é"}
    assert "é" in text


def test_progress_on_a_terminal_shows_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(10, "training") as progress:
        progress.update(5, "loss [0.5]", left_s=75.0)
        progress.line("epoch [1]")
    assert "1:15 left" in screen.getvalue()
    assert "epoch [1]" in screen.getvalue()
    assert "loss [0.5]" in screen.getvalue()


def test_piped_progress_is_plain_and_rare(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, "files") as progress:
        progress.update(5)
    assert capsys.readouterr().err == ""
    with Progress(10, "files", every_s=0.0) as progress:
        progress.update(5, "loss 1.0", left_s=3.0)
        progress.update(10)
    assert capsys.readouterr().err == "files: 5 of 10  loss 1.0  3.0 s left\n"


@pytest.mark.parametrize("order", [["r", "--a.b", "1"], ["--a.b", "1", "r"], ["--a.b=1", "r"]])
def test_overrides_may_stand_anywhere(order: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    assert take_overrides(parser, order) == (["r"], ["--a.b=1"])


def test_overrides_leave_own_options_alone() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output")
    parser.add_argument("--json", action="store_true")
    own, overrides = take_overrides(parser, ["--json", "--output", "--x", "--lr", "-1"])
    assert own == ["--json", "--output", "--x"]
    assert overrides == ["--lr=-1"]
    with pytest.raises(RecipeError, match="no value"):
        take_overrides(parser, ["--lr"])


def test_errors_are_one_printable_line() -> None:
    assert one_line("a\n  b\t\x1b[31m\u202ec") == r"a b \x1b[31m\u202ec"
