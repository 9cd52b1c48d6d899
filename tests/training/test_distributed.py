"""Two processes with the same global batches have the loss curve of one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seqlab.training.checkpoint import load_safely

from .corpus import make_corpus

SCRIPT = Path(__file__).with_name("train_script.py")


def train(processes: int, root: Path, folder: Path, task: str, changes: dict[str, Any]) -> str:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command += [str(SCRIPT), str(root), str(folder), task, json.dumps(changes)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(output: str) -> list[float]:
    rows = [line.split() for line in output.splitlines() if line.startswith("step ")]
    assert [int(row[1]) for row in rows] == list(range(1, len(rows) + 1))
    return [float(row[2]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["transcription", "classification"])
def test_two_processes_as_one(task: str, tmp_path: Path) -> None:
    """21 utterances in batches of 5, two batches a step: shares and steps of unequal size."""
    root = make_corpus(tmp_path / "corpus", task, train=21, other=5)
    changes = {
        "training__epochs": 3,
        "training__accumulate": 2,
        "data__batch_size": 5,
        "data__augment": {"speeds": [0.9, 1.1]},
        "encoder__init_args__dropout": 0.0,
    }
    one = losses(train(1, root, tmp_path / "one", task, changes))
    two = losses(train(2, root, tmp_path / "two", task, changes))
    assert len(one) == 9
    assert two == pytest.approx(one, abs=1e-4)
    ours, theirs = (
        load_safely(tmp_path / name / "checkpoints" / "last.pt")["state"]["history"]
        for name in ("one", "two")
    )
    for row, other in zip(ours, theirs, strict=True):
        assert row["dev_loss"] == pytest.approx(other["dev_loss"], abs=1e-3)
    one_test, two_test = (
        json.loads((tmp_path / name / "evaluation.json").read_text())["test"]
        for name in ("one", "two")
    )
    assert [r["id"] for r in one_test["records"]] == [r["id"] for r in two_test["records"]]
