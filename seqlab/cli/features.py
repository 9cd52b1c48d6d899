"""Log-mel, MFCC or spectrogram features of files, folders or manifests, one array a recording.

examples: seqlab features a.wav b.flac --kind mfcc --preset htk -o features --plot
          seqlab features corpus/ -o features --jobs 4 --resume --format lhotse

The output folder keeps the folders of the input, and gets an index.jsonl (id, path, frames,
seconds) and a settings.json. What is interrupted, even by kill -9, goes on with --resume.
"""

from __future__ import annotations

import argparse
import time
import typing
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, duration, print_json, print_table, say
from seqlab.errors import RecipeError, SeqlabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from seqlab.contracts import Frontend
    from seqlab.data.feature_inputs import FeatureInput
    from seqlab.data.feature_jobs import Extraction, Outcome

KINDS = {"logmel": "LogMel", "mfcc": "MFCC", "spectrogram": "Spectrogram"}
PRESETS = ("kaldi", "htk", "librosa", "torchaudio", "whisper")
FORMATS = ("npy", "npz", "lhotse")
MOST_ERRORS = 20  # told one by one
MOST_ROWS = 40  # of the table; of more recordings only the sum is told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab features``."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="PATH",
        help="audio files, folders (searched to any depth), manifests (.tsv, .jsonl, .jsonl.gz)",
    )
    parser.add_argument("--kind", choices=KINDS, default="logmel", help="default: logmel")
    parser.add_argument("--preset", choices=PRESETS, default="kaldi", help="default: kaldi")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change one setting of the preset, such as n_mels=40; may be repeated",
    )
    parser.add_argument(
        "--resample",
        action="store_true",
        help="resample files whose rate differs from the preset's, instead of refusing them",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="npy",
        help="npy: arrays; npz: arrays with lengths, rate, hop and settings; lhotse: npy, and "
        "manifests for CutSet and FeatureSet; default: npy",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes, of one thread each; default: 1"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what an earlier call finished; go on from there"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first file that cannot be used; default: report such files at the end",
    )
    parser.add_argument("--plot", action="store_true", help="write a PNG picture of each, too")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Settings from ``name=value`` texts, values read as YAML scalars.

    Raises:
        RecipeError: a text without ``=``, or a value that is not a scalar.

    >>> parse_settings(["n_mels=40", "dither=0.5", "window=hann"])
    {'n_mels': 40, 'dither': 0.5, 'window': 'hann'}
    """
    import yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise RecipeError(f"--set {pair!r} must be NAME=VALUE, such as --set n_mels=40")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if not isinstance(value, str | int | float | bool | None):
            raise RecipeError(f"--set {name}={text} must be one number, word or true/false")
        settings[name] = value
    return settings


def make_frontend(kind: str, preset: str, settings: dict[str, Any]) -> Frontend:
    """The front end that ``--kind``, ``--preset`` and ``--set`` name.

    Raises:
        RecipeError: a setting has the wrong type.
        SeqlabError: there is no such setting, or its value is out of range.
    """
    import seqlab
    from seqlab.values import check_value

    frontend_class = getattr(seqlab, KINDS[kind])
    types = typing.get_type_hints(frontend_class.__init__)
    checked = {
        name: check_value(value, types.get(name, Any), f"--set {name}")
        for name, value in settings.items()
    }
    frontend: Frontend = frontend_class.from_preset(preset, **checked)
    return frontend


def draw(features: Tensor, frontend: Frontend, title: str) -> Figure:
    """A picture of features (T, F) on the axis and colour scale that suit their kind."""
    from seqlab import MFCC, Spectrogram
    from seqlab.plot import plot_features

    frame_s = frontend.hop_length / frontend.sample_rate
    if isinstance(frontend, MFCC):
        # c0 and the energy are several times larger than the rest, and would hide it.
        rest = features[:, 1:-1] if features.shape[1] > 2 else features
        limits = (float(rest.min()), float(rest.max()))
        return plot_features(features, frame_s, title, "coefficient", limits=limits)
    if isinstance(frontend, Spectrogram) and features.shape[1] == frontend.n_fft // 2 + 1:
        highest = frontend.sample_rate / 2
        return plot_features(features, frame_s, title, "frequency (Hz)", highest=highest)
    return plot_features(features, frame_s, title, "band")


def write_picture(
    array: Path, picture: Path, frontend: Frontend, title: str, subtitle: str
) -> None:
    """Draw stored features; nothing or the whole picture appears."""
    import numpy as np
    import torch

    from seqlab.data.feature_storage import atomic_file

    loaded = np.load(array)
    features = torch.from_numpy(loaded if array.suffix == ".npy" else loaded["features"])
    figure = draw(features, frontend, f"{title}: {subtitle}")
    with atomic_file(picture) as file:
        figure.savefig(file, dpi=150, format="png")


def extract_all(
    extraction: Extraction, items: Sequence[FeatureInput], jobs: int, strict: bool
) -> list[Outcome]:
    """Outcomes of all recordings, in their order, with progress.

    Raises:
        SeqlabError: ``strict``, and a recording cannot be used.
        KeyboardInterrupt: by Ctrl-C, with what is done and how to go on.
    """
    from seqlab.data.feature_jobs import run_all

    outcomes: dict[int, Outcome] = {}
    started, seconds = time.monotonic(), 0.0
    try:
        with Progress(len(items), "features") as progress:
            for index, outcome in run_all(extraction, items, jobs):
                if outcome.error and strict:
                    raise SeqlabError(outcome.error)
                outcomes[index] = outcome
                seconds += 0 if outcome.skipped else outcome.seconds
                progress.update(len(outcomes), pace(seconds, time.monotonic() - started))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped by Ctrl-C with {len(outcomes)} of {len(items)} files done; "
            "--resume goes on from there"
        ) from None
    return [outcomes[index] for index in range(len(items))]


def pace(audio_s: float, wall_s: float) -> str:
    """How much audio in how much time.

    >>> pace(3600.0, 12.0)
    '1:00:00 of audio in 12.0 s, 300 x real time'
    """
    speed = audio_s / max(wall_s, 1e-9)
    return f"{duration(audio_s)} of audio in {duration(wall_s)}, {speed:.3g} x real time"


def run(args: argparse.Namespace) -> int:
    """Write the features of every file, and say how fast."""
    from seqlab.checks import check_at_least
    from seqlab.data.feature_inputs import find_inputs
    from seqlab.data.feature_manifest import write_listings
    from seqlab.data.feature_storage import open_folder, sole_writer

    check_at_least("--jobs", args.jobs, 1, "the number of cores is a good choice")
    frontend = make_frontend(args.kind, args.preset, parse_settings(args.set))
    items = find_inputs(args.files)
    folder = Path(args.output)
    started = time.monotonic()
    with sole_writer(folder):
        since_ns = open_folder(folder, frontend, args.format, args.resume)
        extraction = make_extraction(args, frontend, since_ns)
        outcomes = extract_all(extraction, items, args.jobs, args.strict)
        left_out = write_listings(extraction, items, outcomes)
    report(args, items, outcomes, frontend.output_dim)
    summarise(outcomes, folder, time.monotonic() - started)
    if left_out:
        say(f"note: {left_out} recordings without a frame are not in the lhotse manifests")
    report_failed([outcome.error for outcome in outcomes if outcome.error], len(items), folder)
    return 0


def report_failed(failed: Sequence[str], total: int, folder: Path) -> None:
    """Report the first bad files, one line each, and where all of them are listed.

    Raises:
        SeqlabError: if there are any.
    """
    from seqlab.cli.main import report_error

    if len(failed) == 1:
        raise SeqlabError(failed[0])
    for line in failed[:MOST_ERRORS]:
        report_error(line)
    if failed:
        listed = folder / "failed.jsonl"
        raise SeqlabError(f"{len(failed)} of {total} files could not be used; listed in {listed}")


def make_extraction(args: argparse.Namespace, frontend: Frontend, since_ns: int) -> Extraction:
    """What the command line asks to be done with each recording."""
    from seqlab.data.feature_jobs import Extraction

    return Extraction(
        frontend,
        Path(args.output),
        args.format,
        resample=args.resample,
        since_ns=since_ns if args.resume else None,
        draw=partial(write_picture, subtitle=f"{args.kind}, {args.preset}") if args.plot else None,
    )


def report(
    args: argparse.Namespace, items: Sequence[FeatureInput], outcomes: Sequence[Outcome], dim: int
) -> None:
    """The features there are now: as JSON, as a table, or where they are many, not at all."""
    columns = ["file", "written", "frames", "dim", "seconds"]
    rows: list[list[object]] = [
        [printable(item.path), printable(o.path), o.frames, dim, round(o.seconds, 3)]
        for item, o in zip(items, outcomes, strict=True)
        if not o.error
    ]
    if args.json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif len(rows) <= MOST_ROWS:
        print_table(columns, rows)


def summarise(outcomes: Sequence[Outcome], folder: Path, wall_s: float) -> None:
    """Say how much was done, and how fast, unless nothing was."""
    good = [outcome for outcome in outcomes if not outcome.error]
    new = [outcome for outcome in good if not outcome.skipped]
    kept = f" ({len(good) - len(new)} more were finished before)" if len(new) < len(good) else ""
    if good:
        speed = pace(sum(outcome.seconds for outcome in new), wall_s)
        count = f"{len(new)} file{'' if len(new) == 1 else 's'}"
        say(f"{count}{kept}: {speed}; listed in {folder / 'index.jsonl'}")


def printable(path: str) -> str:
    """A path that can be printed, even where its name is no UTF-8."""
    return path.encode(errors="backslashreplace").decode()
