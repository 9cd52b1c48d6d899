"""Metrics files are cut back to the step a training resumes from."""

import json
import math
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


def test_a_row_whose_checkpoint_was_not_written_is_dropped(tmp_path: Path) -> None:
    """Killed after the row of epoch 2; the checkpoint is of the same step, before its end."""
    with MetricsWriter(tmp_path) as writer:
        writer.write({"step": 2, "epoch": 1, "epoch_loss": 1.0})
        writer.write({"step": 4, "epoch": 2, "train_loss": 0.5})
        writer.write({"step": 4, "epoch": 2, "epoch_loss": 0.6})
    with MetricsWriter(tmp_path, keep_steps=4, keep_epochs=1):
        pass
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [(r["step"], "epoch_loss" in r) for r in rows] == [(2, True), (4, False)]


def test_figures_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write({"step": 1, "epoch": 1, "dev_loss": math.nan, "gradient_norm": math.inf})
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "epoch": 1}]
    assert "nan" not in (tmp_path / "metrics.csv").read_text()


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.jsonl") == []
