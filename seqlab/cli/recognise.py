"""What ``transcribe`` and ``classify`` share: files loaded in chunks, bad ones reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from seqlab.cli.terminal import Progress
from seqlab.errors import AudioError, ModelError, SeqlabError

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.model import SpeechModel

Answer = TypeVar("Answer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of both."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model, run or export folder")
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio files")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    add_allow_module(parser)


def check_task(model: SpeechModel, name: str, task: str) -> None:
    """Refuse a model that answers another question.

    Raises:
        ModelError: the model's task is not ``task``.
    """
    if model.task != task:
        does, command = {
            "transcription": ("transcribes speech", "transcribe"),
            "classification": ("classifies recordings", "classify"),
            "detection": ("finds sound events", "events"),
        }[model.task]
        raise ModelError(f"{name} {does}; use seqlab {command}")


def recognise(
    model: SpeechModel,
    files: Sequence[str],
    answer: Callable[[Tensor], Answer],
    failed: list[str],
) -> Iterator[tuple[str, Answer]]:
    """The answer for each file, in order; a file that cannot be used is added to ``failed``.

    Args:
        model: its sample rate is what files are resampled to.
        files: paths.
        answer: maps a waveform (N,) at the model's rate to the answer.
        failed: takes one line for each bad file; the others are answered all the same.
    """
    from seqlab.audio import load_audio

    with Progress(len(files), "files") as progress:
        for done, file in enumerate(files, start=1):
            try:
                waveform, _ = load_audio(file, sample_rate=model.sample_rate)
                result = answer(waveform)
            except AudioError as error:
                text = str(error)
                failed.append(text if file in text else f"{file}: {text}")
            else:
                yield file, result
            progress.update(done)


def raise_failed(failed: Sequence[str], total: int) -> None:
    """Report the bad files: their one line, or one line each and the count.

    Raises:
        SeqlabError: if there are any.
    """
    if not failed:
        return
    from seqlab.cli.main import report_error

    if len(failed) == 1:
        raise SeqlabError(failed[0])
    for line in failed:
        report_error(line)
    raise SeqlabError(f"{len(failed)} of {total} files could not be used; see above")
