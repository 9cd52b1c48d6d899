"""``classify``, ``spot`` and ``transcribe`` with what ``seqlab export`` wrote: no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from seqlab.cli.recognise import raise_failed
from seqlab.cli.terminal import Progress, print_json, print_table, say
from seqlab.errors import AudioError, DataError, ModelError

if TYPE_CHECKING:
    from seqlab.audio_file import Samples
    from seqlab.decoding.keyword import Detection
    from seqlab.deploy.model import ExportedModel

Answer = TypeVar("Answer")
Describe = Callable[[argparse.ArgumentParser], None]

_FILE_BLOCK_S, _LIVE_BLOCK_S = 5.0, 0.1


def is_export(name: str) -> bool:
    """Whether a folder says that it is an export."""
    from pathlib import Path

    return (Path(name).expanduser() / "export.json").is_file()


def load(args: argparse.Namespace, task: str) -> ExportedModel:
    """The export, if it does what the command asks for.

    Raises:
        ModelError: Damaged, or it answers another question.
    """
    from seqlab.deploy.model import ExportedModel

    model = ExportedModel.load(args.model)
    if model.task != task:
        does, command = {
            "transcription": ("transcribes speech", "transcribe"),
            "classification": ("classifies recordings", "classify"),
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


def spot(
    args: argparse.Namespace, live: bool, printer: Callable[[argparse.Namespace, bool], Any]
) -> int:
    """``seqlab spot`` of an export."""
    from seqlab.cli.spotting_options import chosen
    from seqlab.deploy.spotting import ExportSpotter, spot_blocks

    for option in ("gate", "microphone"):
        if getattr(args, option):
            raise DataError(
                f"--{option} is not for exports; leave it out, or name the model folder. Live "
                "sound comes by - (standard input)"
            )
    model = load(args, "classification")
    found = chosen(args, model.spotting)
    spotter = ExportSpotter(model, found.settings, **found.windows)
    if model.spotting is None and not args.threshold:
        say(
            f"note: the threshold {found.settings.threshold:g} is a guess; run seqlab "
            "operating-point on the model, and export it again"
        )
    show = printer(args, not live)
    if live:
        for detection in spot_blocks(spotter, _piped(args, model.sample_rate)):
            show("-", detection)
        return 0
    failed = list[str]()
    with Progress(None, "seconds of audio") as progress:
        for file in args.files:
            blocks = _counted(file, model.sample_rate, progress)
            _spot_file(file, spot_blocks(spotter, blocks), show, failed)
    raise_failed(failed, len(args.files))
    return 0


def _spot_file(
    file: str,
    spotted: Iterator[Detection],
    show: Callable[[str, Detection], None],
    failed: list[str],
) -> None:
    try:
        for detection in spotted:
            show(file, detection)
    except AudioError as error:
        failed.append(_naming(file, error))


def _counted(file: str, sample_rate: int, progress: Progress) -> Iterator[Samples]:
    from seqlab.deploy.audio import read_sample_blocks

    heard = 0
    for block in read_sample_blocks(file, _FILE_BLOCK_S, sample_rate):
        yield block
        heard += len(block)
        progress.update(heard // sample_rate)


def _piped(args: argparse.Namespace, sample_rate: int) -> Iterator[Samples]:
    from seqlab.audio_pipe import audio_pipe
    from seqlab.deploy.audio import read_sample_blocks

    with audio_pipe(sys.stdin.buffer, args.rate or sample_rate) as pipe:
        yield from read_sample_blocks(pipe, _LIVE_BLOCK_S, sample_rate)


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
                failed.append(_naming(file, error))
            else:
                yield file, result
            progress.update(done)


def _naming(file: str, error: AudioError) -> str:
    text = str(error)
    return text if file in text else f"{file}: {text}"
