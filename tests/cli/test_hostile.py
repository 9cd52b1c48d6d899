"""Bad and hostile input: each gives one clear line and a non-zero exit code, never a traceback.

What could run code (a pickle, a class path, a command in a table) is given a canary: a file that
would appear if it ran.
"""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.conftest import Call, Trained
from tests.cli.room import Bomb, Room


@pytest.fixture
def room(tmp_path: Path, keywords: Trained, speech: Trained) -> Room:
    return Room(tmp_path, keywords, speech)


Case = Callable[[Room], list[object]]


def truncated(path: str | Path, keep: int) -> bytes:
    return Path(path).read_bytes()[:keep]


def classify(file: object) -> Case:
    return lambda r: ["classify", r.keywords.run, file(r) if callable(file) else file]


def evaluate(manifest: Callable[[Room], object]) -> Case:
    return lambda r: ["evaluate", r.speech.run, manifest(r)]


def train(recipe: Callable[[Room], object], *more: object) -> Case:
    return lambda r: ["train", recipe(r), "-o", r.path / "run", *more]


def use(model: Callable[[Room], object]) -> Case:
    return lambda r: ["classify", model(r), r.keywords.wav]


def popen(room: Room) -> dict[str, Any]:
    return {
        "class_path": "subprocess.Popen",
        "init_args": {"args": ["touch", str(room.canary)]},
    }


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


def kaldi_command(room: Room) -> list[object]:
    room.file("kaldi/wav.scp", f"a touch {room.canary} |\n")
    room.file("kaldi/text", "a hello\n")
    return ["prepare", "kaldi", room.path / "kaldi", room.path / "out"]


def jsonl(room: Room, content: str) -> Path:
    return room.file("m.jsonl", content)


def yaml_bomb(_: Room) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join(lines)


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

RECIPES: dict[str, tuple[Case, str]] = {
    "missing recipe": (train(lambda r: "nowhere.yaml"), "nowhere.yaml"),
    "directory as recipe": (train(lambda r: r.path), "folder"),
    "empty recipe": (train(lambda r: r.file("r.yaml", "")), "r.yaml"),
    "list as recipe": (train(lambda r: r.file("r.yaml", "- 1\n- 2\n")), "r.yaml"),
    "broken YAML": (train(lambda r: r.file("r.yaml", "a: [1,\nb: }")), "r.yaml"),
    "binary as recipe": (train(lambda r: r.file("r.yaml", bytes(range(256)))), "r.yaml"),
    "object tag in YAML": (
        train(
            lambda r: r.file(
                "r.yaml", f"a: !!python/object/apply:subprocess.call [[touch, {r.canary}]]"
            )
        ),
        "r.yaml",
    ),
    "YAML aliases that explode": (train(lambda r: r.file("r.yaml", yaml_bomb(r))), "r.yaml"),
    "recipe names subprocess.Popen": (
        train(lambda r: r.recipe(encoder=popen(r))),
        "subprocess.Popen",
    ),
    "recipe names a function": (
        train(lambda r: r.recipe(encoder__class_path="seqlab.cli.main.main")),
        "seqlab.cli.main.main",
    ),
    "unknown section": (train(lambda r: r.recipe(optimiser={})), "optimizer"),
    "unknown key": (train(lambda r: r.recipe(training__epoch=3)), "epochs"),
    "unknown class": (
        train(
            lambda r: r.recipe(encoder__class_path="seqlab.encoders.separable.SeparableConvEncodr")
        ),
        "SeparableConvEncoder",
    ),
    "wrong type": (train(lambda r: r.recipe(training__epochs="many")), "epochs"),
    "value out of range": (train(lambda r: r.recipe(training__epochs=0)), "epochs"),
    "number that is none": (train(lambda r: r.recipe(optimizer__lr=float("nan"))), "lr"),
    "wired key by hand": (
        train(lambda r: r.recipe(encoder__init_args={"input_dim": 16})),
        "input_dim",
    ),
    "unknown override": (train(lambda r: r.speech.recipe, "--optimizer.le", "1"), "lr"),
    "override without a value": (train(lambda r: r.speech.recipe, "--optimizer.lr"), "no value"),
    "missing corpus": (
        train(lambda r: r.speech.recipe, "--data.root", "/nowhere"),
        "/nowhere/train.jsonl.gz",
    ),
    "head of the other task": (
        lambda r: [
            "check",
            r.recipe(head={"class_path": "seqlab.heads.classifier.ClassifierHead"}),
        ],
        "",
    ),
    "targets longer than the audio": (
        train(lambda r: r.speech.recipe, "--frontend.init_args.hop_length", "1600"),
        "skip_too_short",
    ),
}

MANIFESTS: dict[str, tuple[Case, str]] = {
    "missing manifest": (evaluate(lambda r: "/nowhere.jsonl"), "/nowhere.jsonl"),
    "directory as manifest": (evaluate(lambda r: r.path), ""),
    "empty manifest": (evaluate(lambda r: r.file("m.jsonl", "")), "m.jsonl"),
    "text as gzip": (evaluate(lambda r: r.file("m.jsonl.gz", "{}\n")), "m.jsonl.gz"),
    "truncated gzip": (
        evaluate(lambda r: r.file("m.jsonl.gz", truncated(r.speech.corpus / "test.jsonl.gz", 100))),
        "m.jsonl.gz",
    ),
    "gzip of bytes": (
        evaluate(lambda r: r.file("m.jsonl.gz", gzip.compress(bytes(range(256))))),
        "m.jsonl.gz",
    ),
    "line that is no JSON": (evaluate(lambda r: jsonl(r, '{"id": \n')), "m.jsonl"),
    "JSON that is no cut": (evaluate(lambda r: jsonl(r, '{"id": 3}\n[1]\n')), "m.jsonl"),
    "another kind of file": (evaluate(lambda r: r.keywords.wav), ""),
    "table without a path": (evaluate(lambda r: r.manifest(path=None)), "path"),
    "table with a short line": (
        evaluate(lambda r: r.file("m.tsv", "path\ttranscript\tsplit\na.wav\n")),
        "m.tsv:2:",
    ),
    "audio that is not there": (evaluate(lambda r: r.manifest(path="nowhere.wav")), "nowhere.wav"),
    "negative duration": (
        evaluate(lambda r: r.manifest(start_s=0, duration_s=-1)),
        "-1",
    ),
    "duration that is no number": (
        evaluate(lambda r: r.manifest(start_s=0, duration_s="nan")),
        "nan",
    ),
    "duration beyond the file": (evaluate(lambda r: r.manifest(start_s=0, duration_s=99)), "99"),
    "character outside the vocabulary": (evaluate(lambda r: r.manifest(transcript="aéz")), "é"),
    "no transcripts": (evaluate(lambda r: r.manifest(transcript=None)), ""),
    "label absent from training": (
        lambda r: [
            "evaluate",
            r.keywords.run,
            r.file("m.tsv", f"path\tlabel\tspeaker\n{r.keywords.wav}\tzebra\ts\n"),
        ],
        "zebra",
    ),
    "label only in dev": (
        lambda r: [
            "train",
            r.keywords.recipe,
            "-o",
            r.path / "run",
            "--data.dev",
            json.dumps(
                [str(r.file("m.tsv", f"path\tlabel\tspeaker\n{r.keywords.wav}\tzebra\ts\n"))]
            ),
        ],
        "zebra",
    ),
    "batch size of zero": (
        lambda r: [*evaluate(lambda s: s.speech.corpus / "test.jsonl.gz")(r), "--batch-size", "0"],
        "batch",
    ),
    "unknown corpus": (lambda r: ["prepare", "fsd", "x", "y"], "fsdd"),
    "corpus that is not there": (lambda r: ["prepare", "fsdd", "/nowhere", r.path], "/nowhere"),
    "corpus of nothing": (lambda r: ["prepare", "folder", r.path, r.path / "out"], ""),
    "unknown corpus option": (
        lambda r: ["prepare", "fsdd", r.path, r.path / "out", "--dev_take", "3"],
        "dev_takes",
    ),
    "prepare without a place": (lambda r: ["prepare", "fsdd"], "DEST"),
    "command in a Kaldi table": (kaldi_command, "is a command"),
    "unknown command": (lambda r: ["trian"], "train"),
    "unknown option": (lambda r: ["classify", r.keywords.run, r.keywords.wav, "--tpo"], "--tpo"),
}

CASES = AUDIO | MODELS | RECIPES | MANIFESTS


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_a_code(call: Call, room: Room, name: str) -> None:
    case, expected = CASES[name]
    outcome = call(*case(room))
    errors = [line for line in outcome.lines if not line.startswith("note: ")]
    assert outcome.code == 2, outcome
    assert len(errors) == 1, outcome.err
    assert errors[0].startswith("seqlab: error: ")
    assert len(errors[0]) < 800
    assert expected in errors[0]
    assert errors[0].isprintable()
    assert "Traceback" not in outcome.err
    assert not room.canary.exists()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 30


def test_the_bomb_would_go_off(room: Room) -> None:
    pickle.loads(room.bomb())
    assert room.canary.exists()


@pytest.mark.parametrize(
    "name",
    ["truncated wav", "config names subprocess.Popen", "pickle bomb as checkpoint", "unknown key"],
)
def test_the_same_in_a_process_of_its_own(room: Room, name: str) -> None:
    case, expected = CASES[name]
    command = [sys.executable, "-m", "seqlab.cli.main", *map(str, case(room))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.returncode == 2
    assert len(errors) == 1
    assert errors[0].startswith("seqlab: error: ")
    assert expected in errors[0]
    assert not room.canary.exists()
