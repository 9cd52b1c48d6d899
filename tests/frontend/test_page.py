"""The page on presets says what the presets say."""

from __future__ import annotations

import re

from seqlab.frontend.presets import PRESETS
from tests.reference.preset_page import FOLDER, NAMES, marked_tables, utterance

PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_presets() -> None:
    assert marked_tables() in PAGE, "run python -m tests.reference.preset_page"


def test_every_preset_is_explained() -> None:
    assert {name for table in PRESETS.values() for name in table} == set(NAMES)
    assert all(f"`{name}`" in PAGE for name in NAMES)


def test_pictures_exist_and_are_small() -> None:
    pictures = re.findall(r"\]\((\w+\.png)\)", PAGE)
    assert len(pictures) == 4
    assert all(0 < (FOLDER / name).stat().st_size < 400_000 for name in pictures)


def test_the_utterance_is_sound_in_range() -> None:
    samples = utterance(16000)
    assert 1.2 < len(samples) / 16000 < 2
    assert 0.1 < float(samples.abs().max()) <= 1
