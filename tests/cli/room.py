"""Where hostile input is made: bad recordings, recipes, models and manifests, and a canary."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from tests.cli.conftest import Trained


@dataclass(frozen=True)
class Room:
    """What a case may use: an empty folder, the two runs, and the canary."""

    path: Path
    keywords: Trained
    speech: Trained

    @property
    def canary(self) -> Path:
        return self.path / "canary"

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def wav(self, name: str, samples: Any, sample_rate: int = 8000, subtype: str = "FLOAT") -> Path:
        path = self.path / name
        soundfile.write(path, np.asarray(samples, dtype=np.float32), sample_rate, subtype=subtype)
        return path

    def recipe(self, **changes: Any) -> Path:
        """The speech recipe with values replaced; None drops one, __ separates sections."""
        raw = yaml.safe_load(self.speech.recipe.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *sections, last = name.split("__")
            place = raw
            for section in sections:
                place = place[section]
            place[last] = value
        return self.file("recipe.yaml", yaml.safe_dump(raw))

    def model(self, source: Trained | None = None, **config: Any) -> Path:
        """A copy of a model folder, with entries of its config.json replaced."""
        folder = self.path / "model"
        shutil.copytree((source or self.keywords).run / "model", folder)
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for name, value in config.items():
            *sections, last = name.split("__")
            place = content
            for section in sections:
                place = place[section]
            place[last] = value
        (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    def manifest(self, **changes: Any) -> Path:
        """A TSV manifest of one speech recording, with cells replaced or (None) left out."""
        row = {"path": self.speech.wav, "transcript": "ab", "speaker": "s", "split": "test"}
        row = {name: value for name, value in (row | changes).items() if value is not None}
        lines = ["\t".join(row), "\t".join(map(str, row.values()))]
        return self.file("m.tsv", "\n".join(lines) + "\n")

    def bomb(self) -> bytes:
        """A pickle that touches the canary when it is loaded."""
        return pickle.dumps(Bomb(str(self.canary)))


class Bomb:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return subprocess.check_call, (["touch", self.canary],)


Case = Callable[[Room], list[object]]


def truncated(path: str | Path, keep: int) -> bytes:
    return Path(path).read_bytes()[:keep]


def popen(room: Room) -> dict[str, Any]:
    return {
        "class_path": "subprocess.Popen",
        "init_args": {"args": ["touch", str(room.canary)]},
    }
