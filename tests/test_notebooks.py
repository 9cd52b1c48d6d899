"""Notebooks hold no outputs, and run from top to bottom in a folder of their own."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LIMIT_S = 300  # of one cell; all of a notebook takes about half a minute on one core
MISSING = "raise ModuleNotFoundError(name='espeakng_loader')\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without settings or caches, so that nothing of the user's is read or written."""
    folder = tmp_path_factory.mktemp("home")
    fonts = Path(matplotlib.get_cachedir())
    if fonts.is_dir():  # else each kernel would look through the fonts of the machine
        shutil.copytree(fonts, folder / "matplotlib")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
            patch.setenv(name, str(folder))
        patch.setenv("MPLCONFIGDIR", str(folder / "matplotlib"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


def read(name: str) -> Any:
    return nbformat.read(FOLDER / name, as_version=4)


def execute(name: str, folder: Path) -> Any:
    """The notebook after running it in ``folder``, with its outputs."""
    notebook = read(name)
    settings = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=settings).execute()
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook: Any) -> str:
    return "".join(o.text for o in outputs(notebook) if o.output_type == "stream")


def pictures(notebook: Any) -> list[bytes]:
    found = [o.data["image/png"] for o in outputs(notebook) if "image/png" in o.get("data", {})]
    return [base64.b64decode(picture) for picture in found]


def test_the_notebooks_are_found() -> None:
    assert NAMES == ["features.ipynb", "ngram_models.ipynb", "train_and_use.ipynb"]


@pytest.mark.parametrize("name", NAMES)
def test_stored_without_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert outputs(notebook) == []
    for cell in notebook.cells:
        assert cell.source.strip()
        assert cell.metadata == {}
        assert cell.get("execution_count") is None
    assert (FOLDER / name).stat().st_size < 30_000


@pytest.mark.slow
def test_features_run(home: Path, tmp_path: Path) -> None:
    notebook = execute("features.ipynb", tmp_path)
    assert len(pictures(notebook)) == 13
    assert "stderr" not in {output.get("name") for output in outputs(notebook)}
    assert list(tmp_path.iterdir()) == []  # nothing is left beside the notebook


@pytest.mark.slow
def test_features_run_without_synthetic_speech(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "espeakng_loader.py").write_text(MISSING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    notebook = execute("features.ipynb", tmp_path)
    assert "25600 samples" in notebook.cells[4].outputs[0].data["text/plain"]
    assert len(pictures(notebook)) == 13


@pytest.mark.slow
def test_ngram_models_run(home: Path, tmp_path: Path) -> None:
    notebook = execute("ngram_models.ipynb", tmp_path)
    text = printed(notebook)
    assert "perplexity inf" in text
    assert "at most 0e+00" in text  # ARPA keeps single precision
    assert len(pictures(notebook)) == 6
    assert "stderr" not in {output.get("name") for output in outputs(notebook)}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_training_and_use_run(home: Path, tmp_path: Path) -> None:
    notebook = execute("train_and_use.ipynb", tmp_path)
    text = printed(notebook)
    assert "did you mean 'epochs'?" in text
    assert "synthetic recordings right" in text
    assert len(pictures(notebook)) == 4
    assert "stderr" not in {output.get("name") for output in outputs(notebook)}
    assert list(tmp_path.iterdir()) == []
