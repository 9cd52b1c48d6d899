"""What a run folder says about itself stays true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqlab.errors import TrainingError
from seqlab.training.checkpoint import load_safely, save_atomically
from seqlab.training.run import processor_name

from .corpus import make_corpus, make_recipe, run


def test_the_processor_of_linux(tmp_path: Path) -> None:
    """In the files of x86 a number called model stands before the model's name."""
    told = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD  EPYC 9\n\nmodel name\t: AMD EPYC 9\n"
    (tmp_path / "cpuinfo").write_text(told)
    assert processor_name(tmp_path / "cpuinfo") == "AMD EPYC 9"
    (tmp_path / "board").write_text("BogoMIPS : 2\n\nModel : Raspberry Pi 4\n")
    assert processor_name(tmp_path / "board") == "Raspberry Pi 4"


@pytest.mark.parametrize("content", [None, "", "flags : fpu\nmodel name :\n"])
def test_the_processor_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor_name(tmp_path / "cpuinfo") == "arm64"


def test_a_refused_resumption_leaves_the_recipe(tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "corpus", "classification", train=6, other=3)
    run(make_recipe(root, "classification", training__epochs=1), tmp_path / "run")
    recipe = (tmp_path / "run" / "recipe.yaml").read_text()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["machine"]["processor"] == processor_name()
    changed = make_recipe(root, "classification", training__epochs=1, optimizer__lr=0.5)
    with pytest.raises(TrainingError, match=r"optimizer\.lr"):
        run(changed, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "recipe.yaml").read_text() == recipe
    renamed = make_recipe(root, "classification", training__epochs=1, title="new")
    run(renamed, tmp_path / "run", resume=True)
    assert "title: new" in (tmp_path / "run" / "recipe.yaml").read_text()


def test_a_run_of_an_older_version_resumes(tmp_path: Path) -> None:
    """Its checkpoint lacks the settings that came later; they may be there if they do nothing."""
    root = make_corpus(tmp_path / "corpus", "classification", train=6, other=3)
    run(make_recipe(root, "classification", training__epochs=1), tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    content = load_safely(path)
    del content["settings"]["training"]["mixup"], content["settings"]["data"]["silence"]
    save_atomically(content, path)
    run(make_recipe(root, "classification", training__epochs=1), tmp_path / "run", resume=True)
    save_atomically(content, path)
    changed = make_recipe(root, "classification", training__epochs=1, training__mixup=0.3)
    with pytest.raises(TrainingError, match=r"in training\.mixup, must be the same"):
        run(changed, tmp_path / "run", resume=True)
