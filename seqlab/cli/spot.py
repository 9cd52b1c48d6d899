"""Keywords in recordings, hours long if need be, or while somebody speaks.

A model of keywords spots its labels. Any CTC model spots phrases that are typed (--phrase), by
letters, subwords or phones, with every pronunciation of its lexicon. A phrase's score is the
probability of its best path against all else that may have been said, as the mean of its tokens;
phrases are whole words where the model writes spaces. Their times are those at which they end;
json and tsv tell where they begin, too.

Each detection is a line as soon as it is known: time in seconds, label and score, with the path
before them where files are named. Thresholds are those of the model's operating point, which
seqlab operating-point finds.

example: seqlab spot runs/wake day.flac night.flac
example: seqlab spot runs/wake --microphone --threshold 0.8
example: seqlab spot runs/an4 meeting.flac --phrase "nineteen" --phrase "rub out"
example: arecord -f S16_LE -r 16000 | seqlab spot runs/wake - --format json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seqlab.cli import exported
from seqlab.cli.live import is_live, live_blocks
from seqlab.cli.phrase_options import add_phrase_options, make_phrase_spotter, wants_phrases
from seqlab.cli.spotting_options import add_spotting_options, chosen
from seqlab.cli.terminal import Progress, say
from seqlab.errors import AudioError

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.decoding.keyword import Detection
    from seqlab.inference.gate import Gate
    from seqlab.inference.spotting import Spotter
    from seqlab.model import SpeechModel

COLUMNS = ("file", "start_s", "time_s", "label", "score")
_FILE_BLOCK_S, _LIVE_BLOCK_S = 5.0, 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab spot``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model, run or export folder")
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio files; - for standard input (WAV, or raw 16-bit little-endian samples of one "
        "channel)",
    )
    parser.add_argument("--microphone", action="store_true", help="listen, until Ctrl-C")
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help="of raw samples; default: the model's"
    )
    parser.add_argument(
        "--format", choices=("txt", "json", "tsv"), default="txt", help="json: an object a line"
    )
    parser.add_argument(
        "--threshold",
        action="append",
        metavar="SCORE",
        help="at which labels are spotted, in (0, 1], or LABEL=SCORE for one; may be repeated",
    )
    parser.add_argument(
        "--gate",
        action="store_true",
        help="the model hears speech only, found by its level over the noise: cheaper in silence",
    )
    add_phrase_options(parser)
    add_spotting_options(parser)
    add_allow_module(parser)


def make_spotter(args: argparse.Namespace, model: SpeechModel, block_s: float) -> Spotter:
    """Model and detector, with a remark where a figure is a guess or the model is slow."""
    from seqlab.cli.locate import model_folder
    from seqlab.inference.encoding import why_not_streamed
    from seqlab.inference.operating_point import OperatingPoint
    from seqlab.inference.spotting import KeywordSpotter

    stored = OperatingPoint.load(model_folder(args.model))
    reason = why_not_streamed(model)
    if wants_phrases(args, model, stored):
        if reason is not None:
            say(f"note: hears windows and is late by as much: {reason}")
        from seqlab.inference.phrases import PhraseSpotter

        return make_phrase_spotter(
            args,
            stored,
            lambda *given, **windows: PhraseSpotter(model, *given, block_s=block_s, **windows),
        )
    found = chosen(args, stored)
    spotter = KeywordSpotter(model, found.settings, block_s=block_s, **found.windows)
    if stored is None and not args.threshold:
        say(
            f"note: the threshold {found.settings.threshold:g} is a guess; seqlab operating-point "
            "finds one for a rate of false alarms"
        )
    if reason is not None:
        window_s, hop_s = found.windows["window_s"], found.windows["hop_s"]
        say(f"note: hears {window_s:g} s anew every {hop_s:g} s: {reason}")
    return spotter


def printer(args: argparse.Namespace, named: bool) -> Any:
    """What prints a detection in a file, in the format that was asked for."""
    if args.format == "tsv":
        print("\t".join(COLUMNS if named else COLUMNS[1:]), flush=True)

    def show(file: str, found: Detection) -> None:
        start, time, score = f"{found.start_s:.2f}", f"{found.time_s:.2f}", f"{found.score:.3f}"
        name = [file] if named else []
        if args.format == "json":
            facts: dict[str, Any] = {"file": file} if named else {}
            facts |= {"start_s": round(found.start_s, 3), "time_s": round(found.time_s, 3)}
            facts |= {"label": found.label, "score": round(found.score, 6)}
            print(json.dumps(facts, ensure_ascii=False), flush=True)
        elif args.format == "tsv":
            print("\t".join([*name, start, time, found.label, score]), flush=True)
        else:
            print("\t".join([*name, time, found.label, score]), flush=True)

    return show


def spot_files(args: argparse.Namespace, spotter: Spotter, gate: Gate | None, show: Any) -> None:
    """Spot in every file; bad ones are reported at the end, others go on."""
    from seqlab.audio import read_blocks
    from seqlab.cli.recognise import raise_failed
    from seqlab.inference.spotting import spot_blocks

    failed: list[str] = []
    heard = 0
    with Progress(None, "seconds of audio") as progress:

        def blocks(file: str) -> Iterator[Tensor]:
            nonlocal heard
            for block, rate in read_blocks(file, _FILE_BLOCK_S, sample_rate=spotter.sample_rate):
                yield block
                heard += len(block)
                progress.update(heard // rate)

        for file in args.files:
            try:
                for found in spot_blocks(spotter, blocks(file), gate):
                    show(file, found)
            except AudioError as error:
                text = str(error)
                failed.append(text if file in text else f"{file}: {text}")
    raise_failed(failed, len(args.files))


def run(args: argparse.Namespace) -> int:
    """Spot."""
    live = is_live(args)
    if exported.is_export(args.model):
        from seqlab.cli import exported_streams

        return exported_streams.spot(args, live, printer)
    from seqlab.cli.locate import load_model, warn_if_synthetic
    from seqlab.inference.gate import Gate
    from seqlab.inference.spotting import spot_blocks

    model = load_model(args.model, args.allow_module)
    spotter = make_spotter(args, model, _LIVE_BLOCK_S if live else _FILE_BLOCK_S)
    warn_if_synthetic(model)
    gate = Gate() if args.gate else None
    show = printer(args, named=not live)
    if live:
        heard = live_blocks(args.microphone, args.rate, model.sample_rate)
        for found in spot_blocks(spotter, heard, gate):
            show("-", found)
    else:
        spot_files(args, spotter, gate, show)
    return 0
