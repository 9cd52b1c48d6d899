"""When each word of a known text was said: for subtitles, for Praat, for cutting up recordings.

examples: seqlab align runs/an4 talk.wav talk.txt -o talk.TextGrid
          seqlab align runs/an4 lecture.mp3 lecture.txt -o lecture.srt
          seqlab align runs/an4 --manifest data/an4/test.jsonl.gz -o aligned --resume

A text of one line is all that was said. Of a text of several lines some may be missing in the
recording, and more may be said than the text has: lines that were not said are named. Every
utterance of a manifest becomes a file, and a line of alignments.jsonl with its confidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.cli.terminal import say
from seqlab.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqlab.model import SpeechModel
    from seqlab.text.timed import TimedSegment

MOST_LINES = 10  # named of those that were not found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab align``."""
    from seqlab.cli.train import add_allow_module
    from seqlab.text.timed import FORMATS

    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument("audio", nargs="?", metavar="AUDIO", help="an audio file of any length")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="its text (UTF-8), line by line")
    parser.add_argument("--manifest", metavar="FILE", help="align every utterance of a manifest")
    parser.add_argument("--split", metavar="NAME", help="split to read from a TSV of several")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help=f"file to write, .{', .'.join(FORMATS)}; with --manifest a folder",
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="default: as FILE ends; TextGrid with --manifest"
    )
    parser.add_argument(
        "--resume", action="store_true", help="with --manifest: keep what an earlier call finished"
    )
    parser.add_argument(
        "--cue-characters", type=int, default=42, metavar="N", help="in a line of subtitles: 42"
    )
    parser.add_argument(
        "--cue-lines", type=int, default=2, metavar="N", help="of subtitles at once: 2"
    )
    parser.add_argument(
        "--gap-cost",
        type=float,
        default=1.0,
        metavar="X",
        help="price of speech that is not in the text, in nats a frame; default: 1",
    )
    parser.add_argument(
        "--skip-cost",
        type=float,
        default=3.0,
        metavar="X",
        help="price of text that was not said, in nats a token; default: 3",
    )
    add_allow_module(parser)


def run(args: argparse.Namespace) -> int:
    """Align."""
    from seqlab.cli import recognise
    from seqlab.cli.locate import load_model, warn_if_synthetic

    if args.manifest is None and (args.audio is None or args.text is None):
        raise DataError("align needs AUDIO and TEXT, or --manifest FILE; see seqlab align --help")
    if args.manifest is not None and args.audio is not None:
        raise DataError(f"--manifest goes without AUDIO, here {args.audio}; leave one of them out")
    if args.manifest is None and args.resume:
        raise DataError("--resume goes with --manifest; leave it out")
    for source in (args.audio, args.text, args.manifest):
        if source is not None and Path(source).resolve() == Path(args.output).resolve():
            raise DataError(f"-o {args.output} would replace {source}; write to another file")
    form = choose_format(args)
    lines = [] if args.text is None else read_lines(Path(args.text))
    model = load_model(args.model, args.allow_module)
    recognise.check_task(model, args.model, "transcription")
    warn_if_synthetic(model)
    if args.manifest is None:
        align_one(model, args, form, lines)
    else:
        from seqlab.cli.align_manifest import align_manifest

        align_manifest(model, args, form)
    return 0


def choose_format(args: argparse.Namespace) -> str:
    """The format that ``--format`` or the output file's name asks for.

    Raises:
        DataError: the name ends in none.
    """
    from seqlab.text.timed import FORMATS

    if args.format is not None:
        return str(args.format)
    if args.manifest is not None:
        return "TextGrid"
    suffix = Path(args.output).suffix.lower()
    for form in FORMATS:
        if suffix == f".{form.lower()}":
            return form
    raise DataError(f"-o {args.output} must end in .{', .'.join(FORMATS)}; or add --format")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        DataError: not UTF-8, or nothing in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line} is not UTF-8 text; convert it first") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} holds no text, must hold at least 1 line; was it saved?")
    return lines


def align_one(
    model: SpeechModel, args: argparse.Namespace, form: str, lines: Sequence[str]
) -> None:
    """Align one recording with its text, and say what was not found."""
    from seqlab.cli.align_manifest import render
    from seqlab.data.manifest import write_atomically
    from seqlab.inference.alignment import align_file

    costs = {"gap_cost": args.gap_cost, "skip_cost": args.skip_cost}
    found = align_file(model, args.audio, lines, **costs)
    said = [segment for segment in found if segment is not None]
    text = render(said, args, form, Path(args.audio))
    write_atomically(Path(args.output), text.encode())
    missing = [number for number, one in enumerate(found, start=1) if one is None]
    say(summary(said, len(found), args.output))
    if missing:
        named = ", ".join(map(str, missing[:MOST_LINES])) + (
            ", ..." if missing[MOST_LINES:] else ""
        )
        plural = "" if len(missing) == 1 else "s"
        say(f"note: {len(missing)} line{plural} not found in the recording: {named}")


def summary(said: Sequence[TimedSegment], lines: int, output: str) -> str:
    """How many lines were found, how surely, and where they are written."""
    count = f"{len(said)} of {lines} line{'' if lines == 1 else 's'} found"
    if said:
        low = min(said, key=lambda one: one.confidence)
        count += f", lowest confidence {low.confidence:.2f} ({low.text[:40]!r})"
    return f"{count}; written to {output}"
