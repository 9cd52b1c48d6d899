"""Recipes, manifests and arguments that do not fit, and what the error names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.room import Case, Room, popen, truncated


def evaluate(manifest: Callable[[Room], object]) -> Case:
    return lambda r: ["evaluate", r.speech.run, manifest(r)]


def train(recipe: Callable[[Room], object], *more: object) -> Case:
    return lambda r: ["train", recipe(r), "-o", r.path / "run", *more]


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
