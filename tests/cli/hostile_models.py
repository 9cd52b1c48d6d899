"""Recordings and model folders that cannot or must not be used, and what the error names."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.cli.room import Bomb, Case, Room, popen, truncated


def classify(file: object) -> Case:
    return lambda r: ["classify", r.keywords.run, file(r) if callable(file) else file]


def use(model: Callable[[Room], object]) -> Case:
    return lambda r: ["classify", model(r), r.keywords.wav]


def bomb_model(room: Room) -> Path:
    folder = room.model()
    (folder / "model.safetensors").write_bytes(room.bomb())
    return folder


def bomb_checkpoint(room: Room, content: bytes | None = None) -> list[object]:
    run = room.path / "run"
    shutil.copytree(room.speech.run, run)
    (run / "checkpoints" / "last.pt").write_bytes(room.bomb() if content is None else content)
    return ["train", room.speech.recipe, "-o", run, "--seed", "3", "--resume"]


def zipped_bomb_checkpoint(room: Room) -> list[object]:
    path = room.path / "bomb.pt"
    torch.save({"format": 1, "model": Bomb(str(room.canary))}, path)
    return bomb_checkpoint(room, path.read_bytes())


def shorter_model(room: Room) -> Path:
    folder = room.model()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return folder


def other_weights(room: Room) -> Path:
    folder = room.model()
    shutil.copy(room.speech.run / "model" / "model.safetensors", folder)
    return folder


HEADER = (
    b"RIFF"
    + struct.pack("<I", 2**31)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
)

AUDIO: dict[str, tuple[Case, str]] = {
    "missing file": (classify("/nowhere/a.wav"), "/nowhere/a.wav"),
    "empty file": (classify(lambda r: r.file("a.wav", b"")), "a.wav"),
    "directory as audio": (classify(lambda r: r.path), "is a directory"),
    "text as audio": (classify(lambda r: r.file("a.wav", "hello " * 99)), "a.wav"),
    "noise bytes as flac": (classify(lambda r: r.file("a.flac", bytes(range(256)))), "a.flac"),
    "truncated wav": (classify(lambda r: r.file("a.wav", truncated(r.keywords.wav, 900))), "a.wav"),
    "cut in the header": (
        classify(lambda r: r.file("a.wav", truncated(r.keywords.wav, 30))),
        "wav",
    ),
    "header of two gigabytes": (
        classify(lambda r: r.file("a.wav", HEADER + b"data" + struct.pack("<I", 2**31 - 64))),
        "a.wav",
    ),
    "zero-length wav": (classify(lambda r: r.wav("a.wav", [])), "a.wav"),
    "one sample": (classify(lambda r: r.wav("a.wav", [0.1])), "a.wav"),
    "NaN samples": (classify(lambda r: r.wav("a.wav", [0.1] * 4000 + [np.nan] * 9)), "a.wav"),
    "infinite samples": (classify(lambda r: r.wav("a.wav", [np.inf] * 4000)), "a.wav"),
    "device file": (classify("/dev/null"), "/dev/null"),
    "control characters in a name": (classify("/nowhere/\x1b[31m\na.wav"), "/nowhere/"),
    "wrong rate": (lambda r: ["features", r.speech.wav, "-o", r.path], "--resample"),
    "NaN in features": (
        lambda r: ["features", r.wav("a.wav", [np.nan] * 900, 16000), "-o", r.path],
        "a.wav",
    ),
    "output is a file": (
        lambda r: ["features", r.speech.wav, "--resample", "-o", r.file("out", "")],
        "out",
    ),
    "unknown setting": (
        lambda r: ["features", r.speech.wav, "-o", r.path, "--set", "n_mel=40"],
        "n_mels",
    ),
    "setting without a value": (
        lambda r: ["features", r.speech.wav, "-o", r.path, "--set", "n_mels"],
        "NAME=VALUE",
    ),
    "setting of a wrong type": (
        lambda r: ["features", r.speech.wav, "-o", r.path, "--set", "n_mels=many"],
        "n_mels",
    ),
    "setting out of range": (
        lambda r: ["features", r.speech.wav, "-o", r.path, "--set", "n_mels=-3"],
        "n_mels",
    ),
    "unknown preset": (
        lambda r: ["features", r.speech.wav, "-o", r.path, "--preset", "kalid"],
        "kaldi",
    ),
}

MODELS: dict[str, tuple[Case, str]] = {
    "missing model": (use(lambda r: "/nowhere/model"), "/nowhere/model"),
    "empty folder as model": (use(lambda r: r.path), "config.json"),
    "pickle bomb as model": (use(lambda r: r.file("model.pt", r.bomb())), "model.pt"),
    "pickle bomb as weights": (use(bomb_model), "model.safetensors"),
    "truncated weights": (use(shorter_model), "model.safetensors"),
    "weights of another model": (use(other_weights), "weight"),
    "config is no JSON": (use(lambda r: r.file("m/config.json", "{").parent), "config.json"),
    "config nested too deep": (
        use(lambda r: r.file("m/config.json", "[" * 100_000).parent),
        "config.json",
    ),
    "config is a list": (use(lambda r: r.file("m/config.json", "[]").parent), "config.json"),
    "config names subprocess.Popen": (
        use(lambda r: r.model(components__encoder=popen(r))),
        "subprocess.Popen",
    ),
    "config names os.system as tokenizer": (
        use(lambda r: r.model(components__tokenizer={"class_path": "os.system"})),
        "os.system",
    ),
    "config names a class of another contract": (
        use(
            lambda r: r.model(
                components__encoder__class_path="seqlab.heads.classifier.ClassifierHead"
            )
        ),
        "Encoder",
    ),
    "config reaches for a module of the command line": (
        use(lambda r: r.model(components__encoder__class_path="seqlab.cli.main.main")),
        "seqlab.cli.main.main",
    ),
    "unknown argument in config": (
        use(lambda r: r.model(components__encoder__init_args={"hiden": 1})),
        "hiden",
    ),
    "tokenizer file outside of the folder": (
        use(lambda r: r.model(tokenizer_files=["../../../../etc/passwd"])),
        "passwd",
    ),
    "format of the future": (use(lambda r: r.model(format_version=99)), "99"),
    "pickle bomb as checkpoint": (bomb_checkpoint, "last.pt"),
    "pickle bomb in a zipped checkpoint": (zipped_bomb_checkpoint, "last.pt"),
    "empty checkpoint": (lambda r: bomb_checkpoint(r, b""), "last.pt"),
    "nothing to resume": (
        lambda r: ["train", r.speech.recipe, "-o", r.path / "new", "--resume"],
        "last.pt",
    ),
    "transcribe with a classifier": (
        lambda r: ["transcribe", r.keywords.run, r.keywords.wav],
        "use seqlab classify",
    ),
    "classify with a recogniser": (
        lambda r: ["classify", r.speech.run, r.speech.wav],
        "use seqlab transcribe",
    ),
    "no labels at all": (
        lambda r: ["classify", r.keywords.run, r.keywords.wav, "--top", "0"],
        "--top 0",
    ),
}
