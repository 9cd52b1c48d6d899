"""Trains in a process of its own: ``train_script.py ROOT FOLDER TASK CHANGES [resume]``.

Prints a line a step. Started by tests that kill, interrupt or distribute a training.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


class Lines:
    """An observer that prints."""

    def stepped(self, progress: Any) -> None:
        print("step", progress.step, repr(progress.loss), flush=True)

    def validated(self, row: Mapping[str, Any]) -> None:
        print("epoch", json.dumps(dict(row)), flush=True)

    def noted(self, message: str) -> None:
        print("note", message, flush=True)


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.training.corpus import make_recipe, run

    torch.set_num_threads(1)
    root, folder, task, changes, *rest = sys.argv[1:]
    recipe = make_recipe(Path(root), task, **json.loads(changes))
    run(recipe, Path(folder), resume="resume" in rest, observer=Lines())


if __name__ == "__main__":
    main()
