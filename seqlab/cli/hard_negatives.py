"""Find what a keyword model takes for keywords in recordings without them, to learn from it.

Hears the recordings by the very detector that seqlab spot runs, and writes a manifest of the
sections that fired, which data.unknown.hard of a recipe takes. Use training recordings: what is
found here is trained on.

example: seqlab hard-negatives runs/wake data/speech/train.jsonl.gz -o data/wake/hard.jsonl.gz
"""

from __future__ import annotations

import argparse

from seqlab.cli.spotting_options import add_spotting_options, chosen
from seqlab.cli.terminal import print_json, print_table, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab hard-negatives``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="manifests or folders of recordings"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="MANIFEST", help="a .jsonl or .jsonl.gz to write"
    )
    parser.add_argument(
        "--threshold",
        action="append",
        metavar="T",
        help="posterior at which a section is taken, or LABEL=T for one label; default: 0.2",
    )
    parser.add_argument(
        "--context",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds before and after that belong to a section; default: 1",
    )
    parser.add_argument(
        "--most", type=int, metavar="N", help="keep those with the highest scores alone"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_spotting_options(parser)
    add_allow_module(parser)


def run(args: argparse.Namespace) -> int:
    """Mine and write."""
    from collections import Counter
    from pathlib import Path

    from seqlab.cli.locate import load_model
    from seqlab.data.manifest import write_manifest
    from seqlab.data.sections import read_sources, without_phrases
    from seqlab.errors import DataError
    from seqlab.inference.mining import hard_negatives, strongest
    from seqlab.inference.spotting import KeywordSpotter

    output = Path(args.output)
    if not output.name.endswith((".jsonl", ".jsonl.gz")):
        raise DataError(f"-o {output} must end in .jsonl or .jsonl.gz; rename it")
    if args.most is not None and args.most < 1:
        raise DataError(f"--most {args.most} must be at least 1; leave it out for all")
    args.threshold = args.threshold or ["0.2"]
    model = load_model(args.model, args.allow_module)
    found = chosen(args, None)
    spotter = KeywordSpotter(model, found.settings, block_s=5.0, **found.windows)
    named = read_sources("", args.sources, "SOURCE")
    recordings = without_phrases(named, spotter.detector.keywords)
    if not recordings:
        raise DataError(f"0 of {len(named)} recordings are without the keywords; name others")
    negatives = list(hard_negatives(spotter, recordings, args.context))
    kept = negatives if args.most is None else strongest(negatives, args.most)
    if not kept:
        say("nothing fired: no manifest written; lower --threshold, or be content")
        return 0
    write_manifest((negative.utterance for negative in kept), output)
    counts = Counter(label for negative in kept for label in negative.labels)
    hours = sum(u.duration_s for u in recordings) / 3600
    if args.json:
        print_json({"hours": hours, "sections": len(kept), "heard": dict(counts)})
        return 0
    print_table(["label", "times heard"], [[label, n] for label, n in counts.most_common()])
    left = f", {len(named) - len(recordings)} left out" if len(named) > len(recordings) else ""
    say(f"{len(recordings)} recordings, {hours:.2f} hours{left}")
    say(f"wrote {len(kept)} of {len(negatives)} sections to {output}")
    return 0
