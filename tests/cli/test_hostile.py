"""Bad and hostile input: each gives one clear line and a non-zero exit code, never a traceback.

What could run code (a pickle, a class path, a command in a table) is given a canary: a file that
would appear if it ran.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Trained
from tests.cli.hostile_models import AUDIO, MODELS
from tests.cli.hostile_recipes import MANIFESTS, RECIPES
from tests.cli.room import Room


@pytest.fixture
def room(tmp_path: Path, keywords: Trained, speech: Trained) -> Room:
    return Room(tmp_path, keywords, speech)


CASES = AUDIO | MODELS | RECIPES | MANIFESTS


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_a_code(call: Call, room: Room, name: str) -> None:
    case, expected = CASES[name]
    outcome = call(*case(room))
    errors = [line for line in outcome.lines if not line.startswith("note: ")]
    assert outcome.code == 2, outcome
    assert len(errors) == 1, outcome.err
    assert errors[0].startswith("seqlab: error: ")
    assert len(errors[0]) < 800
    assert expected in errors[0]
    assert errors[0].isprintable()
    assert "Traceback" not in outcome.err
    assert not room.canary.exists()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 30


def test_the_bomb_would_go_off(room: Room) -> None:
    pickle.loads(room.bomb())
    assert room.canary.exists()


@pytest.mark.parametrize(
    "name",
    ["truncated wav", "config names subprocess.Popen", "pickle bomb as checkpoint", "unknown key"],
)
def test_the_same_in_a_process_of_its_own(room: Room, name: str) -> None:
    case, expected = CASES[name]
    command = [sys.executable, "-m", "seqlab.cli.main", *map(str, case(room))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.returncode == 2
    assert len(errors) == 1
    assert errors[0].startswith("seqlab: error: ")
    assert expected in errors[0]
    assert not room.canary.exists()
