"""Sound events in recordings: which, from when to when.

Each event is a line: onset and offset in seconds, label and score, with the path before them
where several files are named. The format tsv is a label track that Audacity imports. Live sound
needs a causal model; each event is then printed once it is over, as JSON an object a line.

example: seqlab events runs/events street.wav
example: seqlab events runs/events street.wav --format tsv > street.txt
example: seqlab events runs/events --microphone
example: seqlab events runs/events *.wav --threshold 0.4 --threshold noise=0.7 --format json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seqlab.cli import exported, recognise
from seqlab.cli.live import is_live, live_blocks
from seqlab.errors import DataError

if TYPE_CHECKING:
    from seqlab.decoding.events import EventSettings
    from seqlab.events.event import Event

_OPTIONS = {  # option -> setting, what it means
    "release": "share of the threshold that an event may fall to before it ends; default: 0.6",
    "median": "seconds of the median that smooths probabilities; default: 0.1",
    "min-gap": "events of a label nearer than this are joined, in seconds; default: 0.1",
    "min-duration": "shorter events are dropped, in seconds; default: 0.08",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab events``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model, run or export folder")
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio files of any length; - for standard input (WAV, or raw 16-bit little-endian "
        "samples of one channel)",
    )
    parser.add_argument("--microphone", action="store_true", help="listen, until Ctrl-C")
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="of raw samples; default: the model's"
    )
    parser.add_argument(
        "--format",
        choices=("txt", "json", "tsv"),
        default="txt",
        help="tsv: a label track for Audacity, of one file",
    )
    parser.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="SCORE",
        help="probability that an event reaches, in (0, 1], or LABEL=SCORE for one label; may be "
        "repeated; default: 0.5",
    )
    for name, text in _OPTIONS.items():
        parser.add_argument(f"--{name}", type=float, metavar="X", help=text)
    add_allow_module(parser)


def chosen_settings(args: argparse.Namespace, labels: Sequence[str]) -> EventSettings:
    """The settings that the options ask for.

    Raises:
        DataError: a threshold is no number, or of a label that the model does not have.
    """
    from seqlab.checks import did_you_mean
    from seqlab.decoding.events import EventSettings

    names = {"release": "release", "median": "median_s"}
    names |= {"min_gap": "min_gap_s", "min_duration": "min_duration_s"}
    given = {own: getattr(args, name) for name, own in names.items()}
    values = {name: value for name, value in given.items() if value is not None}
    thresholds: dict[str, float] = {}
    for text in args.threshold:
        label, _, number = text.rpartition("=")
        try:
            level = float(number)
        except ValueError:
            raise DataError(
                f"--threshold {text} must be a number, or LABEL=NUMBER, such as 0.5"
            ) from None
        if not label:
            values["threshold"] = level
        elif label not in labels:
            raise DataError(f"--threshold {text}: no label {label!r}{did_you_mean(label, labels)}")
        else:
            thresholds[label] = level
    return EventSettings(**values, thresholds=thresholds)


def print_events(found: dict[str, list[Event]], form: str, named: bool) -> None:
    """Print the events of each file, with its name if ``named``."""
    from seqlab.events.event import to_audacity, to_json

    if form == "json":
        print(to_json(found))
    for file, events in found.items() if form != "json" else ():
        if form == "tsv":
            print(to_audacity(events), end="")
            continue
        for event in events:
            times = f"{event.onset_s:.2f}", f"{event.offset_s:.2f}"
            name = [file] if named else []
            print("\t".join([*name, *times, event.label, f"{event.score:.3f}"]))


def print_live(form: str) -> Callable[[Event], None]:
    """What prints an event of a stream as soon as it is known."""
    from seqlab.events.event import event_facts, to_audacity

    def show(event: Event) -> None:
        if form == "json":
            print(json.dumps(event_facts(event), ensure_ascii=False), flush=True)
        elif form == "tsv":
            print(to_audacity([event]), end="", flush=True)
        else:
            times = f"{event.onset_s:.2f}", f"{event.offset_s:.2f}"
            print("\t".join([*times, event.label, f"{event.score:.3f}"]), flush=True)

    return show


def run(args: argparse.Namespace) -> int:
    """Find events."""
    live = is_live(args)
    if args.format == "tsv" and len(args.files) > 1:
        raise DataError(
            f"--format tsv is the label track of one recording, not of {len(args.files)}; name "
            "one file at a time"
        )
    failed: list[str] = []
    if exported.is_export(args.model):
        from seqlab.cli import exported_streams

        found = exported_streams.events(args, chosen_settings, print_live(args.format), failed)
    else:
        found = _with_torch(args, live, failed)
    if not live:
        print_events(found, args.format, len(args.files) > 1)
    recognise.raise_failed(failed, len(args.files))
    return 0


def _with_torch(args: argparse.Namespace, live: bool, failed: list[str]) -> dict[str, list[Event]]:
    """The events of each file; those of live sound are printed as they are found."""
    from seqlab.cli.locate import load_model, warn_if_synthetic
    from seqlab.cli.terminal import Progress
    from seqlab.errors import AudioError
    from seqlab.inference.events import events_of_file, live_events

    model = load_model(args.model, args.allow_module)
    recognise.check_task(model, args.model, "detection")
    settings = chosen_settings(args, model.tokenizer.tokens)
    warn_if_synthetic(model)
    found: dict[str, list[Event]] = {}
    if live:
        show = print_live(args.format)
        heard = live_blocks(args.microphone, args.rate, model.sample_rate)
        for event in live_events(model, heard, settings):
            show(event)
        return found
    with Progress(len(args.files), "files") as progress:
        for done, file in enumerate(args.files, start=1):
            try:
                found[file] = events_of_file(model, file, settings)
            except AudioError as error:
                failed.append(exported.naming(file, error))
            progress.update(done)
    return found
