"""A trained model as ONNX, to run without torch: waveform in, probabilities out.

Writes a folder that seqlab classify, spot, events and transcribe take in place of a model folder:
model.onnx for whole recordings, stream.onnx for streams where the model is causal, export.json, its
operating point if there is one, and a recogniser's tokenizer. The graphs are held against torch
before the folder appears. Recordings to check on, and to calibrate int8 on, are best real ones.

example: seqlab export runs/wake -o wake-onnx --audio clips/*.wav
example: seqlab export runs/wake -o wake-int8 --int8 --audio clips/*.wav
example: seqlab spot wake-onnx day.flac
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seqlab.cli.terminal import print_json, print_table, say
from seqlab.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.model import SpeechModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab export``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the export's folder")
    parser.add_argument(
        "--audio", nargs="+", default=[], metavar="FILE", help="recordings to check on"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--offline", action="store_true", help="only the graph for recordings")
    which.add_argument("--streaming", action="store_true", help="only the graph for streams")
    parser.add_argument(
        "--int8", action="store_true", help="quantise the network, calibrated on --audio"
    )
    parser.add_argument(
        "--block", type=float, default=0.1, metavar="S",
        help="seconds a streaming graph hears at a time; default: 0.1",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=float, metavar="S",
        help="seconds judged at once in a stream by a model without KeywordHead; default: as the "
        "operating point says, or 1",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, metavar="P",
        help="greatest difference of a probability from torch; default: 1e-4, or 0.1 with --int8",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the check as JSON")
    add_allow_module(parser)


def run(args: argparse.Namespace) -> int:
    """Export."""
    from seqlab.cli.locate import load_model, model_folder, warn_if_synthetic
    from seqlab.export.export import export_model
    from seqlab.inference.operating_point import OperatingPoint

    if args.int8 and not args.audio:
        raise DataError("--int8 needs recordings to calibrate on; name some with --audio")
    model = load_model(args.model, args.allow_module)
    warn_if_synthetic(model)
    point = OperatingPoint.load(model_folder(args.model))
    window_s = args.window
    if window_s is None:
        window_s = 1.0 if point is None else point.window_s
    agreement = export_model(
        model,
        args.output,
        recordings=_recordings(args.audio, model),
        offline=not args.streaming,
        streaming=True if args.streaming else False if args.offline else None,
        int8=args.int8,
        block_s=args.block,
        window_s=window_s,
        tolerance=args.tolerance,
        operating_point=point,
    )
    if args.json:
        print_json(agreement.as_dict())
        return 0
    rows = [("model.onnx", agreement.offline), ("stream.onnx", agreement.stream)]
    print_table(
        ["graph", "furthest from torch", "same answer"],
        [[n, f"{d:.2e}", f"{100 * agreement.same:.1f} %"] for n, d in rows if d is not None],
    )
    if agreement.stream is None and not args.offline:
        _say_why(model)
    return 0


def _recordings(files: list[str], model: SpeechModel) -> list[Tensor]:
    from seqlab.audio import load_audio
    from seqlab.export.export import made_recordings

    if not files:
        say("note: checked on made sound; name recordings with --audio to check on real ones")
        return made_recordings(model.sample_rate)
    return [load_audio(file, sample_rate=model.sample_rate)[0] for file in files]


def _say_why(model: SpeechModel) -> None:
    """Say why there is no streaming graph."""
    from seqlab.errors import SeqlabError
    from seqlab.export.plan import plan_stream

    try:
        plan_stream(model, 0.1, 1.0)
    except SeqlabError as error:
        say(f"note: no graph for streams: {error}")
