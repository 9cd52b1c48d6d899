"""The page on WikiText-2 says what was measured, by commands that exist, and it can be repeated."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shlex
from pathlib import Path

import pytest

from seqlab.cli.ngram import COMMANDS
from tests.reference.ngram_measure import KENLM, TEST, TRAIN, VALID, Cell, Shell, cells
from tests.reference.ngram_page import FOLDER, blocks, read_records

PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
README = (FOLDER.parents[2] / "README.md").read_text(encoding="utf-8")
RECORDS = read_records()
WIKITEXT = Path(os.environ.get("SEQLAB_DATA", "/nowhere")) / "text" / "wikitext2"
TOKENS = 245_569


@pytest.mark.parametrize("name", blocks(RECORDS))
def test_tables_are_those_of_the_record(name: str) -> None:
    assert blocks(RECORDS)[name] in PAGE, "run python -m tests.reference.ngram_page"


def test_pictures_exist_and_are_small() -> None:
    pictures = re.findall(r"\]\((\w+\.png)\)", PAGE)
    assert pictures == ["orders.png", "sizes.png"]
    assert all(0 < (FOLDER / name).stat().st_size < 100_000 for name in pictures)


def test_the_record_is_of_all_cells_by_their_commands() -> None:
    made = [
        " && ".join((*cell.commands, f"seqlab ngram perplexity {cell.model} {cell.test}"))
        for cell in cells()
    ]
    assert [record["command"] for record in RECORDS] == made


def test_every_figure_is_of_the_same_tokens() -> None:
    for record in RECORDS:
        if record["split"] == TEST:
            assert record["tokens"] == TOKENS
        (value,) = record["values"]
        assert (value is None) == (record["zeros"] > 0)
        assert value is None or record["confidence_interval"][0] < value
        assert value is None or value < record["confidence_interval"][1]
        assert len(record["ngrams"]) <= record["order"]


def test_figures_equal_those_of_kenlm() -> None:
    measured = {r["system"]: r["values"][0] for r in RECORDS if r["section"] == "kenlm"}
    assert measured == {name: pytest.approx(value, rel=1e-4) for name, value in KENLM.items()}


def arguments_of(command: str) -> argparse.Namespace:
    """A command line, parsed as the command does."""
    name, *rest = shlex.split(command)[2:]
    assert name in COMMANDS
    module = importlib.import_module(f"seqlab.cli.ngram.{name}")
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    module.add_arguments(parser)
    return parser.parse_args(rest)


def commands_of(text: str) -> list[str]:
    """The `seqlab ngram` lines of a page, without comments, what is piped in, and prompts."""
    lines = re.findall(r"^(?:\$ |.*\| *|    )?(seqlab ngram [^|`\n]+)$", text, re.MULTILINE)
    return [line.split("  #")[0].split(" > ")[0] for line in lines]


def test_commands_can_be_typed() -> None:
    printed = [*commands_of(PAGE), *commands_of(README)]
    recorded = {part for record in RECORDS for part in record["command"].split(" && ")}
    assert len(commands_of(PAGE)) >= 8
    for command in [*printed, *recorded]:
        arguments_of(command)


@pytest.mark.data
@pytest.mark.skipif(not WIKITEXT.is_dir(), reason="SEQLAB_DATA is unset or has no text/wikitext2")
def test_some_cells_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TRAIN, VALID, TEST):
        (tmp_path / name).symlink_to(WIKITEXT / name)
    monkeypatch.chdir(tmp_path)
    shell = Shell()
    chosen = [
        ("modified Kneser-Ney", 2),
        ("Witten-Bell", 1),
        ("Jelinek-Mercer, held out", 2),
        ("stupid back-off (scores)", 2),
    ]
    cell: Cell
    for cell, record in zip(cells(), RECORDS, strict=True):
        if cell.section == "smoothing" and (cell.system, cell.order) in chosen:
            again = shell.measure(cell)
            for field in ("values", "excluding_unknown", "confidence_interval"):
                assert again[field] == pytest.approx(record[field], rel=1e-6), (cell, field)
            assert again["bytes"] == pytest.approx(record["bytes"], rel=0.1)
            for field in ("tokens", "unknown", "zeros", "ngrams"):
                assert again[field] == record[field], (cell, field)
