"""A training that is killed or interrupted, and resumed, ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqlab.training.checkpoint import load_safely
from seqlab.training.writers import read_metrics

from .corpus import make_corpus

SCRIPT = Path(__file__).with_name("train_script.py")
# Everything random or stateful at once: dropout, masks, speeds, batch norm, Adam, accumulation.
CHANGES: dict[str, Any] = {
    "training__epochs": 3,
    "training__accumulate": 2,
    "training__checkpoint_every_steps": 1,
    "training__log_every_steps": 1,
    "training__average_last": 2,
    "data__batch_size": 2,
    "data__augment": {"speeds": [0.9, 1.0, 1.1], "gain_db": [-6, 6]},
}


def start(root: Path, folder: Path, *rest: str, **changes: Any) -> subprocess.Popen[str]:
    arguments = [str(root), str(folder), "transcription", json.dumps(CHANGES | changes), *rest]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output


def stop_at(process: subprocess.Popen[str], step: int, number: signal.Signals) -> None:
    """Send a signal as soon as the training reports ``step``, while it works on the next."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"step {step} "):
            process.send_signal(number)
            return
    raise AssertionError(process.communicate()[1])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), "transcription", train=21, other=3)


@pytest.fixture(scope="module")
def uninterrupted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    finish(start(root, folder))
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Bit-identical models, optimizer states, and metrics but for their times."""
    ours, theirs = (load_file(f / "model" / "model.safetensors") for f in (one, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = (load_safely(f / "checkpoints" / "last.pt") for f in (one, other))
    for content in (ours, theirs):
        content["state"].pop("elapsed_s")
        for row in content["state"]["history"]:
            row.pop("elapsed_s")
    torch.testing.assert_close(ours["optimizer"], theirs["optimizer"], rtol=0, atol=0)
    assert ours["state"] == theirs["state"]
    timed = {"elapsed_s", "utterances_per_s", "audio_s_per_s"}
    ours, theirs = (
        [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(f)]
        for f in (one / "metrics.jsonl", other / "metrics.jsonl")
    )
    assert ours == theirs


# 6 steps an epoch: step 8 lies in the middle of the second.
@pytest.mark.slow
@pytest.mark.parametrize(("num_workers", "every"), [(0, 1), (0, 3), (2, 1), (2, 3)])
def test_sigkill_in_mid_epoch(
    root: Path, uninterrupted: Path, tmp_path: Path, num_workers: int, every: int
) -> None:
    changes = {"data__num_workers": num_workers, "training__checkpoint_every_steps": every}
    process = start(root, tmp_path / "run", **changes)
    stop_at(process, 8, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "model").exists()
    state = load_safely(tmp_path / "run" / "checkpoints" / "last.pt")["state"]
    assert state["epoch"] == 1
    assert state["batch"] > 0 or every == 3
    output = finish(start(root, tmp_path / "run", "resume", **changes))
    assert f"step {state['step'] + 1} " in output
    assert f"step {state['step']} " not in output
    assert_same(tmp_path / "run", uninterrupted)


@pytest.mark.slow
def test_killed_twice(root: Path, uninterrupted: Path, tmp_path: Path) -> None:
    process = start(root, tmp_path / "run")
    stop_at(process, 5, signal.SIGKILL)
    process.communicate()
    process = start(root, tmp_path / "run", "resume")
    stop_at(process, 14, signal.SIGKILL)
    process.communicate()
    finish(start(root, tmp_path / "run", "resume"))
    assert_same(tmp_path / "run", uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_go_on(
    root: Path, uninterrupted: Path, tmp_path: Path, number: signal.Signals
) -> None:
    changes = {"training__checkpoint_every_steps": None, "data__num_workers": 1}
    process = start(root, tmp_path / "run", **changes)
    stop_at(process, 8, number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    last = errors.strip().splitlines()[-1]
    assert "TrainingInterrupted: training stopped after step" in last
    assert "with --resume" in last
    state = load_safely(tmp_path / "run" / "checkpoints" / "last.pt")["state"]
    assert 8 <= state["step"] <= 11
    finish(start(root, tmp_path / "run", "resume", **changes))
    assert_same(tmp_path / "run", uninterrupted)
