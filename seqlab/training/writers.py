"""Metrics of a run as CSV, JSONL and TensorBoard, cut back to the checkpoint on resumption."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

# The first three stand in every row; the next five in rows of training, every so many steps;
# the rest in rows of validation, at the ends of epochs.
COLUMNS = (
    "step",
    "epoch",
    "elapsed_s",
    "learning_rate",
    "train_loss",
    "gradient_norm",
    "utterances_per_s",
    "audio_s_per_s",
    "epoch_loss",
    "dev_loss",
    "dev_accuracy",
    "dev_word_error_rate",
    "dev_character_error_rate",
    "dev_miss_rate",
    "dev_event_f1",
    "dev_event_precision",
    "dev_event_recall",
    "dev_onset_f1",
    "dev_segment_f1",
    "dev_average_precision_50",
    "dev_mean_average_precision",
)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a ``metrics.jsonl``; a last line that was cut off in writing is left out.

    Args:
        path: The file; a missing one has no rows.

    Returns:
        One dictionary a row, keys among `COLUMNS`.
    """
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class MetricsWriter:
    """Writes rows of metrics into ``metrics.jsonl``, ``metrics.csv`` and ``tensorboard/``.

    Rows later than the checkpoint that a training resumes from are dropped, so that the files
    look as if it had never stopped.

    Args:
        folder: The run folder.
        keep_steps: Keep existing rows up to this step, at least 0; 0 begins anew.
        keep_epochs: Of the rows at the ends of epochs, keep those up to this one; a training
            killed between such a row and its checkpoint will write it again. None: all.
    """

    def __init__(self, folder: Path, keep_steps: int = 0, keep_epochs: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = [
            row
            for row in read_metrics(folder / "metrics.jsonl")
            if row["step"] <= keep_steps
            and (keep_epochs is None or "epoch_loss" not in row or row["epoch"] <= keep_epochs)
        ]
        board = folder / "tensorboard"
        for events in board.glob("events.out.tfevents.*"):
            events.unlink()
        self._board = SummaryWriter(str(board))
        self._jsonl = (folder / "metrics.jsonl").open("w", encoding="utf-8")
        self._csv_file = (folder / "metrics.csv").open("w", encoding="utf-8", newline="")
        self._csv = csv.DictWriter(self._csv_file, COLUMNS)
        self._csv.writeheader()
        for row in kept:
            self.write(row)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row; its keys are among `COLUMNS`, "step" and "epoch" among them.

        Figures that are not finite are left out: JSON has no word for them.
        """
        row = {name: value for name, value in row.items() if math.isfinite(value)}
        self._jsonl.write(json.dumps(row) + "\n")
        self._csv.writerow(row)
        for name, value in row.items():
            if name != "step":
                self._board.add_scalar(name, value, row["step"])

    def flush(self) -> None:
        """Bring all rows to the disk."""
        self._jsonl.flush()
        self._csv_file.flush()
        self._board.flush()

    def close(self) -> None:
        """Flush and close the files."""
        self.flush()
        self._jsonl.close()
        self._csv_file.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
