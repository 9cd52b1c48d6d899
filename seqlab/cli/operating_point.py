"""Choose the thresholds of a keyword model for a wanted rate of false alarms.

Hears recordings of the keywords, and hours of sound without them, by the very detector that
seqlab spot runs; writes the thresholds that miss least into the model folder as spotting.json,
which seqlab spot then uses, and a picture of misses over false alarms as spotting.png.

For phrases that a CTC model spots (--phrase), the recordings that count are found by their
transcripts: of the positives those that hold a phrase, of the negatives those that hold none.

example: seqlab operating-point runs/wake --positives dev.jsonl --negatives other.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.cli.phrase_options import (
    add_phrase_options,
    make_phrase_spotter,
    wants_phrases,
    windows,
)
from seqlab.cli.spotting_options import add_spotting_options, chosen
from seqlab.cli.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from seqlab.data.utterance import Utterance
    from seqlab.inference.operating_point import Measurement, OperatingPoint
    from seqlab.inference.spotting import Spotter

PICTURE = "spotting.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab operating-point``."""
    from seqlab.cli.train import add_allow_module

    parser.add_argument("model", metavar="MODEL", help="a model folder or a run folder")
    parser.add_argument(
        "--positives",
        required=True,
        metavar="MANIFEST",
        help="recordings of a keyword each, not those of the test",
    )
    parser.add_argument(
        "--negatives",
        required=True,
        nargs="+",
        metavar="MANIFEST",
        help="hours without the keywords; recordings that say one are left out",
    )
    for name in ("positives", "negatives"):
        parser.add_argument(f"--{name}-split", metavar="SPLIT", help="of a .tsv table with several")
    parser.add_argument(
        "--false-alarms-per-hour",
        type=float,
        default=0.4,
        metavar="RATE",
        help="that are allowed, of each keyword; default: 0.4",
    )
    parser.add_argument(
        "--picture", metavar="FILE", help="draw misses over false alarms there, too"
    )
    parser.add_argument("--by-speaker", action="store_true", help="show misses of each speaker")
    parser.add_argument(
        "--stored",
        action="store_true",
        help="measure the thresholds that the model folder holds, as on a test, and beside them "
        "the least misses at the wanted rate of any thresholds; write nothing there",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the figures, write nothing")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_phrase_options(parser)
    add_spotting_options(parser)
    add_allow_module(parser)


def figures(point: OperatingPoint, measured: Measurement) -> list[dict[str, object]]:
    """A row a keyword."""
    rows: list[dict[str, object]] = []
    for label, phrase in point.phrases.items():
        curve = measured.curves[label]
        rate = phrase.false_alarms / point.negative_hours
        rows.append(
            {
                "label": label,
                "threshold": phrase.threshold,
                "missed": phrase.missed,
                "keywords": phrase.total,
                "miss_rate": phrase.missed / phrase.total,
                "miss_rate_on_curve": curve.at(point.wanted)[0],
                "false_alarms": phrase.false_alarms,
                "false_alarms_per_hour": rate,
                "at_most_per_hour": curve.most_alarms(rate),
                "false_alarms_in_other_keywords": phrase.other_alarms,
                "hours_of_other_keywords": phrase.other_hours,
            }
        )
    return rows


def show(args: argparse.Namespace, point: OperatingPoint, measured: Measurement) -> None:
    """Print the figures, and what they cannot tell."""
    from seqlab.detection import miss_rates

    rows = figures(point, measured)
    used = {label: phrase.threshold for label, phrase in point.phrases.items()}
    speakers = miss_rates(measured.trials, used, "speaker") if args.by_speaker else {}
    if args.json:
        facts = {name: {"missed": m.missed, "keywords": m.total} for name, m in speakers.items()}
        print_json({"negative_hours": point.negative_hours, "labels": rows, "speakers": facts})
        return
    # fmt: off
    columns = ["label", "threshold", "missed", "of", "%", "false alarms", "per hour", "at most",
               "in other keywords"]
    cells = [
        [r["label"], f"{r['threshold']:.4f}", r["missed"], r["keywords"],
         f"{100 * float(str(r['miss_rate'])):.2f}", r["false_alarms"],
         f"{r['false_alarms_per_hour']:.2f}", f"{r['at_most_per_hour']:.2f}",
         f"{r['false_alarms_in_other_keywords']} in {r['hours_of_other_keywords']:.2f} h"]
        for r in rows
    ]
    # fmt: on
    if args.stored:  # otherwise it is what was chosen
        columns.append(f"% at {point.wanted:g} an hour")
        for row, cell in zip(rows, cells, strict=True):
            cell.append(f"{100 * float(str(row['miss_rate_on_curve'])):.2f}")
    print_table(columns, cells)
    if speakers:
        print_table(
            ["speaker", "missed", "of", "%"],
            [[n, m.missed, m.total, f"{100 * m.rate:.2f}"] for n, m in speakers.items()],
        )
    say_resolution(point.negative_hours, point.wanted)


def say_resolution(hours: float, wanted: float) -> None:
    """Say what rates of false alarms so many hours of negatives can tell."""
    say(
        f"{hours:.2f} hours of negatives: one false alarm is {1 / hours:.2f} an hour; "
        '"at most" is what the true rate may be, with 95 % confidence'
    )
    if 0 < wanted < 1 / hours:
        say(
            f"note: {wanted:g} an hour is finer than that; only none at all was allowed. "
            f"{1 / wanted:.1f} hours of negatives can tell"
        )


def save(folder: Path, point: OperatingPoint, measured: Measurement) -> None:
    """Write the operating point, and the picture."""
    from seqlab.inference.operating_point import FILE_NAME

    draw(folder / PICTURE, point, measured)
    point.save(folder)
    say(f"wrote {folder / FILE_NAME} and {PICTURE}")


def draw(path: Path, point: OperatingPoint, measured: Measurement) -> None:
    """Draw misses over false alarms into a PNG file, the thresholds in use as points."""
    import io

    from seqlab.data.manifest import write_atomically
    from seqlab.plot import plot_detection

    used = {label: phrase.threshold for label, phrase in point.phrases.items()}
    picture = io.BytesIO()
    title = f"{point.negative_hours:.1f} hours of negatives, {len(measured.trials)} keywords"
    plot_detection(measured.curves, used, title).savefig(picture, format="png", dpi=150)
    write_atomically(path, picture.getvalue())


def heard_negatives(args: argparse.Namespace, spotter: Spotter) -> list[Utterance]:
    """The negatives of all manifests in which no keyword is said; says what it left out."""
    from seqlab.data.manifest import read_manifest
    from seqlab.data.sections import without_phrases

    named = [u for name in args.negatives for u in read_manifest(name, args.negatives_split)]
    kept = without_phrases(named, spotter.detector.keywords)
    kept = [u for u in kept if not spotter.said(u.target or "")]
    if len(kept) < len(named):
        say(f"note: {len(named) - len(kept)} of {len(named)} negatives say a keyword; left out")
    return kept


def run(args: argparse.Namespace) -> int:
    """Measure, choose, show and save."""
    from seqlab.cli.locate import load_model, model_folder
    from seqlab.data.manifest import read_manifest
    from seqlab.errors import DataError
    from seqlab.inference.judging import at_stored
    from seqlab.inference.operating_point import Measurement, OperatingPoint, choose
    from seqlab.inference.spotting import KeywordSpotter

    positives = read_manifest(args.positives, args.positives_split)
    model = load_model(args.model, args.allow_module)
    stored = OperatingPoint.load(model_folder(args.model)) if args.stored else None
    if args.stored and stored is None:
        raise DataError(
            f"{args.model} holds no operating point; choose one first, without --stored"
        )
    spotter: Spotter
    if wants_phrases(args, model, stored):
        from seqlab.inference.phrases import PhraseSpotter

        spotter = make_phrase_spotter(
            args,
            stored,
            lambda *given, **found: PhraseSpotter(model, *given, block_s=5.0, **found),
        )
        used = windows(args, stored)
        positives = [u for u in positives if spotter.said(u.target or "")]
    else:
        found = chosen(args, stored)
        used = found.windows
        spotter = KeywordSpotter(model, found.settings, block_s=5.0, **used)
    negatives = heard_negatives(args, spotter)
    measured = Measurement.of(spotter, positives, negatives)
    if stored is None:
        point = choose(measured, args.false_alarms_per_hour, spotter, **used)
    else:
        point = at_stored(measured, stored)
    show(args, point, measured)
    if args.picture:
        draw(Path(args.picture), point, measured)
    if not args.dry_run and not args.stored:
        save(model_folder(args.model), point, measured)
    return 0
