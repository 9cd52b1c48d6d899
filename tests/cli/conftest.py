"""Two tiny trained runs, made once through the command line itself, and a way to call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqlab.cli.main import main
from tests.training.corpus import make_corpus, make_recipe


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


@dataclass(frozen=True)
class Trained:
    """A run of the command line: its corpus, recipe, run folder, and what training printed."""

    corpus: Path
    recipe: Path
    run: Path
    code: int

    @property
    def wav(self) -> str:
        return str(sorted(self.corpus.glob("test*.wav"))[0])


Call = Callable[..., Outcome]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run ``seqlab ARGUMENTS`` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run


def train(folder: Path, task: str, synthetic: bool) -> Trained:
    corpus = make_corpus(folder / "corpus", task)
    recipe = folder / "tones.yaml"
    changes = {"synthetic": synthetic, "training__epochs": 2}
    recipe.write_text(make_recipe(corpus, task, **changes).to_yaml(), encoding="utf-8")
    code = main(["train", str(recipe), "-o", str(folder / "run"), "--seed", "3"])
    return Trained(corpus, recipe, folder / "run", code)


@pytest.fixture(scope="session")
def keywords(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A classifier of three tones, in a recipe that calls its speech synthetic."""
    return train(tmp_path_factory.mktemp("keywords"), "classification", True)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A CTC recogniser of sequences of tones."""
    return train(tmp_path_factory.mktemp("speech"), "transcription", False)
