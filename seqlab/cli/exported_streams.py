"""``spot`` and ``events`` with what ``seqlab export`` wrote: no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seqlab.cli.exported import load, naming
from seqlab.cli.phrase_options import make_phrase_spotter
from seqlab.cli.recognise import raise_failed
from seqlab.cli.spotting_options import chosen
from seqlab.cli.terminal import Progress, say
from seqlab.errors import AudioError, DataError

if TYPE_CHECKING:
    from seqlab.audio_file import Samples
    from seqlab.decoding.events import EventSettings
    from seqlab.decoding.keyword import Detection
    from seqlab.deploy.model import ExportedModel
    from seqlab.deploy.spotting import StreamSpotter
    from seqlab.events.event import Event

_FILE_BLOCK_S, _LIVE_BLOCK_S = 5.0, 0.1


def spot(
    args: argparse.Namespace, live: bool, printer: Callable[[argparse.Namespace, bool], Any]
) -> int:
    """``seqlab spot`` of an export."""
    from seqlab.deploy.spotting import spot_blocks

    _refuse(args, "gate", "microphone")
    spotter = _spotter(args, load(args, "classification", "transcription"))
    show = printer(args, not live)
    if live:
        for detection in spot_blocks(spotter, piped(args.rate, spotter.sample_rate)):
            show("-", detection)
        return 0
    failed = list[str]()
    with Progress(None, "seconds of audio") as progress:
        for file in args.files:
            blocks = _counted(file, spotter.sample_rate, progress)
            _spot_file(file, spot_blocks(spotter, blocks), show, failed)
    raise_failed(failed, len(args.files))
    return 0


def events(
    args: argparse.Namespace,
    settings: Callable[[argparse.Namespace, Sequence[str]], EventSettings],
    show: Callable[[Event], None],
    failed: list[str],
) -> dict[str, list[Event]]:
    """The events that ``seqlab events`` finds by an export; live ones go to ``show``."""
    from seqlab.deploy.events import events_of_file, live_events

    _refuse(args, "microphone")
    model = load(args, "detection")
    wanted = settings(args, model.labels)
    found: dict[str, list[Event]] = {}
    if args.files == ["-"]:
        for event in live_events(model, piped(args.rate, model.sample_rate), wanted):
            show(event)
        return found
    with Progress(len(args.files), "files") as progress:
        for done, file in enumerate(args.files, start=1):
            try:
                found[file] = events_of_file(model, file, wanted)
            except AudioError as error:
                failed.append(naming(file, error))
            progress.update(done)
    return found


def _refuse(args: argparse.Namespace, *options: str) -> None:
    for option in options:
        if getattr(args, option):
            raise DataError(
                f"--{option} is not for exports; leave it out, or name the model folder. Live "
                "sound comes by - (standard input)"
            )


def _spotter(args: argparse.Namespace, model: ExportedModel) -> StreamSpotter:
    """Model and detector, with a remark where a figure is a guess."""
    from seqlab.deploy.spotting import ExportPhraseSpotter, ExportSpotter

    stored = model.spotting
    if model.task == "transcription" or args.phrase or args.phrases:
        if model.task == "transcription" and model.stream is None:
            say("note: hears windows and is late by as much; it was exported for recordings alone")
        return make_phrase_spotter(
            args, stored, lambda *given, **windows: ExportPhraseSpotter(model, *given, **windows)
        )
    found = chosen(args, stored)
    if stored is None and not args.threshold:
        say(
            f"note: the threshold {found.settings.threshold:g} is a guess; run seqlab "
            "operating-point on the model, and export it again"
        )
    return ExportSpotter(model, found.settings, **found.windows)


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
        failed.append(naming(file, error))


def _counted(file: str, sample_rate: int, progress: Progress) -> Iterator[Samples]:
    from seqlab.deploy.audio import read_sample_blocks

    heard = 0
    for block in read_sample_blocks(file, _FILE_BLOCK_S, sample_rate):
        yield block
        heard += len(block)
        progress.update(heard // sample_rate)


def piped(raw_rate: int | None, sample_rate: int) -> Iterator[Samples]:
    """Standard input as it comes."""
    from seqlab.audio_pipe import audio_pipe
    from seqlab.deploy.audio import read_sample_blocks

    with audio_pipe(sys.stdin.buffer, raw_rate or sample_rate) as pipe:
        yield from read_sample_blocks(pipe, _LIVE_BLOCK_S, sample_rate)
