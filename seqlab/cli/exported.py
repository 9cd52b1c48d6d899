"""``classify`` and ``transcribe`` with what ``seqlab export`` wrote: no torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from seqlab.cli.recognise import raise_failed
from seqlab.cli.terminal import Progress, print_json, print_table, say
from seqlab.errors import AudioError, DataError, ModelError

if TYPE_CHECKING:
    from seqlab.audio_file import Samples
    from seqlab.deploy.model import ExportedModel

Answer = TypeVar("Answer")
Describe = Callable[[argparse.ArgumentParser], None]


def is_export(name: str) -> bool:
    """Whether a folder says that it is an export."""
    from pathlib import Path

    return (Path(name).expanduser() / "export.json").is_file()


def load(args: argparse.Namespace, *tasks: str) -> ExportedModel:
    """The export, if it does what the command asks for.

    Raises:
        ModelError: Damaged, or it answers another question.
    """
    from seqlab.deploy.model import ExportedModel

    model = ExportedModel.load(args.model)
    if model.task not in tasks:
        does, command = {
            "transcription": ("transcribes speech", "transcribe"),
            "classification": ("classifies recordings", "classify"),
            "detection": ("finds sound events", "events"),
        }[model.task]
        raise ModelError(f"{args.model} {does}; use seqlab {command}")
    if model.facts.synthetic:
        say("note: this model was trained on synthetic speech; expect it to do worse on people")
    return model


def classify(args: argparse.Namespace) -> int:
    """``seqlab classify`` of an export."""
    model = load(args, "classification")
    top, failed = min(args.top, len(model.labels)), list[str]()
    found = list(_each(args.files, model, lambda s: model.classify(s, top), failed))
    if args.json:
        rows = [
            {
                "file": f,
                "labels": [{"label": c.label, "probability": c.probability} for c in labels],
            }
            for f, labels in found
        ]
        print_json(rows)
    elif found:
        table = [[f, c.label, f"{c.probability:.3f}"] for f, labels in found for c in labels]
        print_table(["file", "label", "probability"], table)
    raise_failed(failed, len(args.files))
    return 0


def transcribe(args: argparse.Namespace, describe: Describe) -> int:
    """``seqlab transcribe`` of an export: plain text, by the best path."""
    _refuse_options(args, describe)
    model = load(args, "transcription")
    failed = list[str]()
    found: list[dict[str, Any]] = []
    for file, text in _each(args.files, model, model.transcribe, failed):
        found.append({"file": file, "text": text})
        if not args.json:
            print(f"{file}\t{text}", flush=True)
    if args.json:
        print_json(found)
    raise_failed(failed, len(args.files))
    return 0


def _refuse_options(args: argparse.Namespace, describe: Describe) -> None:
    """Raise DataError if an option was given that only a model folder has a use for."""
    parser = argparse.ArgumentParser()
    describe(parser)
    for name, value in vars(args).items():
        known = name in parser.parse_args([args.model])
        if known and name not in ("model", "files", "json") and value != parser.get_default(name):
            raise DataError(
                f"--{name.replace('_', '-')} is not for exports, which give plain text by the best "
                "path; leave it out, or name the model folder"
            )


def _each(
    files: list[str],
    model: ExportedModel,
    answer: Callable[[Samples], Answer],
    failed: list[str],
) -> Iterator[tuple[str, Answer]]:
    """The answer for each file; one that cannot be used is added to ``failed``."""
    from seqlab.deploy.audio import load_samples

    with Progress(len(files), "files") as progress:
        for done, file in enumerate(files, start=1):
            try:
                result = answer(load_samples(file, model.sample_rate))
            except AudioError as error:
                failed.append(naming(file, error))
            else:
                yield file, result
            progress.update(done)


def naming(file: str, error: AudioError) -> str:
    """The error, with the file's name."""
    text = str(error)
    return text if file in text else f"{file}: {text}"
