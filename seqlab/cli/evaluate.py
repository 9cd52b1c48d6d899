"""Measure a model on a manifest: error rate or accuracy, its confidence interval, each speaker.

example: seqlab evaluate runs/fsdd data/fsdd/test.jsonl.gz
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.adapt_options import adaptation_of, adapts, add_adapt_options, first_decoder
from seqlab.cli.chunks import add_chunk_option, set_chunks
from seqlab.cli.decoding_options import add_decoding_options, chosen_decoder
from seqlab.cli.terminal import Progress, duration, print_json, print_table
from seqlab.cli.train import add_allow_module
from seqlab.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seqlab.data.utterance import Utterance
    from seqlab.model import SpeechModel
    from seqlab.training.validate import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab evaluate``."""
    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument(
        "manifest", metavar="MANIFEST", help="a manifest (.jsonl, .jsonl.gz) or a TSV file"
    )
    parser.add_argument("--split", metavar="NAME", help="split to read from a TSV file of several")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="default: 16")
    parser.add_argument(
        "--by-speaker",
        action="store_true",
        help="draw speakers, not utterances, for the confidence interval",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="write evaluation.json and report.html there"
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything, every utterance too, as JSON"
    )
    add_chunk_option(parser)
    add_decoding_options(parser)
    add_adapt_options(parser)
    add_allow_module(parser)


def as_json(evaluation: Evaluation, by_speaker: bool) -> dict[str, Any]:
    """The evaluation as plain values, with a figure for each speaker."""
    from seqlab.training.findings import speaker_rows

    content = evaluation.to_dict()
    if by_speaker:
        content["confidence_interval"] = evaluation.interval(by_speaker=True)
    speakers = speaker_rows(content["records"], evaluation.metric, most=None)
    content["speakers"] = [
        {name: row[name] for name in ("speaker", "utterances", "value")} for row in speakers
    ]
    return content


def speed(utterances: Sequence[Utterance], seconds: float) -> dict[str, Any]:
    """How long the evaluation took beside the length of the audio, reading and loss included."""
    import torch

    audio_s = sum(utterance.duration_s for utterance in utterances)
    return {
        "audio_s": audio_s,
        "seconds": seconds,
        "real_time_factor": seconds / audio_s,
        "threads": torch.get_num_threads(),
    }


def print_evaluation(content: dict[str, Any]) -> None:
    """Print the figures, then a row for each speaker."""
    from seqlab.training.findings import METRIC_NAMES, interval_text, percent

    metric = content["metric"]
    name = METRIC_NAMES.get(metric, metric)
    interval = interval_text(content["confidence_interval"])
    rows = [[name, percent(content["value"]), interval]]
    rows += [
        [METRIC_NAMES.get(other, other), percent(value), ""]
        for other, value in content["figures"].items()
        if other != metric
    ]
    print_table(["metric", "value", "95 % interval"], rows, f"{len(content['records'])} utterances")
    taken = content["speed"]
    threads = "1 thread" if taken["threads"] == 1 else f"{taken['threads']} threads"
    print(
        f"{duration(taken['audio_s'])} of audio in {duration(taken['seconds'])}, "
        f"real-time factor {taken['real_time_factor']:.2g} ({threads})"
    )
    if content["speakers"]:
        print()
        rows = [[s["speaker"], s["utterances"], percent(s["value"])] for s in content["speakers"]]
        print_table(["speaker", "utterances", name], rows)


def check_output(folder: Path) -> None:
    """Refuse to replace what a training has left.

    Raises:
        DataError: it is a run folder.
    """
    if (folder / "checkpoints").exists() or (folder / "recipe.yaml").exists():
        raise DataError(
            f"{folder} is the folder of a training, must be another: its evaluation.json, run.json "
            "and report.html would be replaced; choose a new folder"
        )


def write_evaluation(content: dict[str, Any], folder: Path, args: argparse.Namespace) -> None:
    """Leave ``evaluation.json`` and ``report.html`` in a folder."""
    from seqlab.training.report import write_report

    folder.mkdir(parents=True, exist_ok=True)
    split = args.split or Path(args.manifest).name.partition(".")[0]
    text = json.dumps({split: content}, ensure_ascii=False, indent=1)
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    facts = {"title": f"{args.model} on {args.manifest}", "command": args.argv}
    (folder / "run.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    write_report(folder)


def measure(
    args: argparse.Namespace,
    model: SpeechModel,
    utterances: Sequence[Utterance],
    decoder: Any,
    progressed: Callable[[int, int], None],
) -> Evaluation:
    """The evaluation, of the model as it is or adapted to each speaker."""
    from seqlab.training.speakers import evaluate_adapted
    from seqlab.training.validate import evaluate

    given: dict[str, Any] = {"batch_size": args.batch_size, "decoder": decoder}
    given["progressed"] = progressed
    if adapts(args):
        given["first_decoder"] = first_decoder(args, model, args.language_model)
        return evaluate_adapted(model, utterances, adaptation_of(args), **given)
    return evaluate(model, utterances, **given)


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    from seqlab.cli.locate import load_model, warn_if_synthetic
    from seqlab.data.manifest import read_manifest

    if args.batch_size < 1:
        raise DataError(f"--batch-size {args.batch_size} must be at least 1")
    if args.output:
        check_output(Path(args.output))
    utterances = read_manifest(args.manifest, args.split)
    if not utterances:
        raise DataError(f"{args.manifest} has 0 utterances, must have at least 1")
    model = load_model(args.model, args.allow_module)
    warn_if_synthetic(model)
    set_chunks(model, args)
    decoder = chosen_decoder(args, model)
    started = time.perf_counter()
    with Progress(len(utterances), "evaluating") as progress:

        def progressed(done: int, total: int) -> None:
            progress.update(done, total=total)

        evaluation = measure(args, model, utterances, decoder, progressed)
    content = as_json(evaluation, args.by_speaker)
    content["speed"] = speed(utterances, time.perf_counter() - started)
    if args.output:
        write_evaluation(content, Path(args.output), args)
    if args.json:
        print_json(content)
    else:
        print_evaluation(content)
    return 0
