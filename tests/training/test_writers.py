"""Metrics files are cut back to the step a training resumes from."""

import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqlab.training.writers import MetricsWriter, read_metrics


def row(step: int) -> dict[str, float]:
    return {"step": step, "epoch": 1, "elapsed_s": 0.5, "train_loss": 1 / step}


def test_cut_back(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        for step in range(1, 6):
            writer.write(row(step))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "epo')  # killed while writing
    with MetricsWriter(tmp_path, keep_steps=3) as writer:
        writer.write(row(4) | {"train_loss": 9.0})
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [r["step"] for r in rows] == [1, 2, 3, 4]
    assert rows[3]["train_loss"] == 9.0
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 5
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [e.step for e in board.Scalars("train_loss")] == [1, 2, 3, 4]


def test_a_new_training_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        with MetricsWriter(tmp_path) as writer:
            writer.write(row(1))
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1


def test_rows_are_readable_while_training(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write(row(1))
        writer.flush()
        assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 1


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
