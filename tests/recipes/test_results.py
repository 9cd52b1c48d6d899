"""Measured results beside the recipes, and the tables of the READMEs, say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlab.training.results import END, marked_table, read_results

RECIPES = Path(__file__).parents[2] / "recipes"
FOLDERS = sorted({path.parent for path in RECIPES.rglob("*.yaml")})
OWN_FORM = {RECIPES / "lm" / "wikitext2"}  # tests/lm/ngram/test_page.py
PLACEHOLDER = f"<!-- results: none yet -->\n{END}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_readme_has_the_table_of_the_record(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.count("<!-- results:") == readme.count(END) <= 1
    if (folder / "results.json").exists():
        assert read_results(folder / "results.json")
        assert marked_table(folder) in readme
    else:
        assert "<!-- results:" not in readme or PLACEHOLDER in readme


def test_every_record_stands_beside_recipes() -> None:
    assert {path.parent for path in RECIPES.rglob("results.json")} <= {*FOLDERS, *OWN_FORM}


def test_commands_name_recipes_that_exist() -> None:
    for folder in FOLDERS:
        for entry in read_results(folder / "results.json"):
            named = [word for word in entry["command"].split() if word.endswith(".yaml")]
            assert [Path(name).name for name in named if (folder / Path(name).name).exists()]
