"""Speech to text: of files, hours long if need be, or while somebody speaks.

Without further options a line a file: the path and the text with a tab between them. Recordings
longer than 30 s are cut at pauses; with --format or -o all are. With -o FOLDER a run that was
stopped goes on where it was when the same command is given again.

example: seqlab transcribe runs/an4 a.wav b.flac --times
example: seqlab transcribe runs/an4 lecture.mp3 --format srt -o lecture.srt
example: seqlab transcribe runs/an4 meetings/*.wav --format json -o texts/
example: arecord -f S16_LE -r 16000 | seqlab transcribe runs/an4 --stream -
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli import exported, recognise
from seqlab.cli.chunks import add_chunk_option, set_chunks
from seqlab.cli.decoding_options import add_decoding_options, chosen_decoder
from seqlab.cli.terminal import print_json
from seqlab.cli.transcribe_files import FORMATS, Target, journaled, run_key, targets, write_whole
from seqlab.cli.transcribe_job import Job
from seqlab.errors import DataError

if TYPE_CHECKING:
    from seqlab.inference.stitching import Heard
    from seqlab.text.segments import TimedSegment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab transcribe``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model, run or export folder")
    parser.add_argument("files", nargs="*", metavar="FILE", help="audio files")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")
    parser.add_argument(
        "--times", action="store_true", help="a line a word: path, start and end (s), word"
    )
    parser.add_argument(
        "--format",
        type=str.lower,
        choices=FORMATS,
        help="of timed text, one line or cue for what is said between two pauses",
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="write a file, or into a folder one for each file"
    )
    parser.add_argument(
        "--max-segment", type=float, default=20.0, metavar="S", help="seconds; default: 20"
    )
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="segments at a time; default: 8"
    )
    live = parser.add_argument_group("live")
    live.add_argument(
        "--stream",
        metavar="SOURCE",
        help="results as speech comes: - for standard input (WAV, or raw 16-bit little-endian "
        "samples of one channel) or microphone; latency counts from the end of the last word",
    )
    live.add_argument(
        "--rate", type=int, metavar="HZ", help="of raw samples; default: the model's own"
    )
    add_chunk_option(live)
    add_decoding_options(parser)
    add_allow_module(parser)


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other.

    Raises:
        DataError: they do, or one is out of range.
    """
    if args.stream is not None:
        if args.stream not in ("-", "microphone"):
            raise DataError(f"--stream {args.stream!r} must be - (standard input) or microphone")
        if args.files or args.format or args.output or args.times:
            raise DataError("--stream goes with no files, --format, -o or --times; leave them out")
    elif not args.files:
        raise DataError("no files; name at least one, or --stream - for standard input")
    elif args.rate is not None:
        raise DataError(f"--rate {args.rate} is for raw samples with --stream; leave it out")
    elif (args.format or args.output) and (args.json or args.times):
        raise DataError("--json and --times go without --format and -o; take --format json or ctm")
    if args.batch_size < 1:
        raise DataError(f"--batch-size {args.batch_size} must be at least 1")


def as_json(file: str, segments: Sequence[TimedSegment]) -> dict[str, Any]:
    """One answer as plain values."""
    words = [word for segment in segments for word in segment.words]
    count = sum(max(1, len(segment.words)) for segment in segments)
    total = sum(segment.confidence * max(1, len(segment.words)) for segment in segments)
    return {
        "file": file,
        "text": " ".join(segment.text for segment in segments if segment.text),
        "confidence": total / count if count else 0.0,
        "words": [
            {"word": w.text, "start_s": w.start_s, "end_s": w.end_s, "confidence": w.confidence}
            for w in words
        ],
    }


def print_answers(args: argparse.Namespace, job: Job) -> None:
    """A line a file, lines of words, or JSON."""
    collected: list[dict[str, Any]] = []

    def said(place: int, segments: Iterator[TimedSegment]) -> None:
        answer = as_json(args.files[place], list(segments))
        if args.json:
            collected.append(answer)
        elif args.times:
            for w in answer["words"]:
                print(f"{answer['file']}\t{w['start_s']:.2f}\t{w['end_s']:.2f}\t{w['word']}")
        else:
            print(f"{answer['file']}\t{answer['text']}", flush=True)

    job.each(job.whole_or_cut, said, empty=True)
    if args.json:
        print_json(collected)


def write_answers(args: argparse.Namespace, job: Job) -> None:
    """Timed text on standard output or in files."""
    from seqlab.inference.journal import Journal, file_key, job_key

    goals = targets(args)
    facts = run_key(args, job.model, job.cutting) if goals[0].journal else []

    def hear(place: int, file: str) -> Iterator[Heard]:
        path = goals[place].journal
        if path is None:
            return job.cut(file)
        journal = Journal(path, job_key(*facts, file_key(file)))
        batch = args.batch_size
        return journaled(journal, file, lambda skip: job.cut(file, skip), batch)

    job.each(hear, lambda place, found: write_segments(args.files[place], goals[place], found))


def write_segments(file: str, target: Target, segments: Iterator[TimedSegment]) -> None:
    """Write the segments of a recording where they go; plain text is printed as it comes."""
    from seqlab.inference.recordings import duration_s
    from seqlab.text.timed import CueLayout, timed_text

    if target.path is None and target.form == "txt":
        for segment in segments:
            print(timed_text([segment], "txt"), end="", flush=True)
        return
    text = timed_text(
        list(segments),
        target.form,
        recording=Path(file).stem,
        duration_s=duration_s(file) if target.form == "TextGrid" else None,
        layout=CueLayout(),
    )
    if target.path is None:
        print(text, end="", flush=True)
    else:
        write_whole(target.path, text)


def run(args: argparse.Namespace) -> int:
    """Transcribe."""
    check_options(args)
    if exported.is_export(args.model):
        return exported.transcribe(args, add_arguments)
    from seqlab.cli.locate import load_model, warn_if_synthetic

    timed = bool(args.format or args.output)
    if timed:
        targets(args)  # before the model is loaded
    model = load_model(args.model, args.allow_module)
    recognise.check_task(model, args.model, "transcription")
    warn_if_synthetic(model)
    set_chunks(model, args)
    decoder = chosen_decoder(args, model)
    if args.stream is not None:
        from seqlab.cli import transcribe_live

        return transcribe_live.run(args, model, decoder)
    from seqlab.inference.cutting import Cutting

    overlap_s = min(Cutting.overlap_s, args.max_segment / 4)
    job = Job(args, model, decoder, Cutting(max_s=args.max_segment, overlap_s=overlap_s))
    (write_answers if timed else print_answers)(args, job)
    recognise.raise_failed(job.failed, len(args.files))
    return 0
