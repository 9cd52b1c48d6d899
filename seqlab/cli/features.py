"""Log-mel, MFCC or spectrogram features of audio files, one array (and picture) a file.

example: seqlab features a.wav b.flac --kind mfcc --preset htk -o features --plot
"""

from __future__ import annotations

import argparse
import os
import typing
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab.cli.terminal import Progress, print_json, print_table
from seqlab.errors import DataError, RecipeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from seqlab.contracts import Frontend

KINDS = {"logmel": "LogMel", "mfcc": "MFCC", "spectrogram": "Spectrogram"}
PRESETS = ("kaldi", "htk", "librosa", "torchaudio", "whisper")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe ``seqlab features``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio files")
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
    parser.add_argument("--format", choices=("npy", "npz"), default="npy", help="default: npy")
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


def output_paths(files: Sequence[str], folder: Path, suffix: str) -> list[Path]:
    """Where the features of each file go: its path below the files' common folder.

    Raises:
        DataError: two files would be written to one place.

    >>> [str(p) for p in output_paths(["/a/x.wav", "/a/b/x.wav"], Path("out"), ".npy")]
    ['out/x.npy', 'out/b/x.npy']
    """
    paths = [Path(os.path.abspath(file)) for file in files]
    common = os.path.commonpath([path.parent for path in paths])
    outputs = [folder / path.relative_to(common).with_suffix(suffix) for path in paths]
    target, count = Counter(outputs).most_common(1)[0]
    if count > 1:
        first, second = [f for f, o in zip(files, outputs, strict=True) if o == target][:2]
        raise DataError(
            f"{first} and {second} would both be written to {target}; "
            "pass each recording once, and equal names in separate calls"
        )
    return outputs


def write_features(path: Path, features: Any, frontend: Frontend) -> None:
    """Write features (T, F) as npy, or as npz with ``sample_rate`` and ``hop_length``."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(
                file,
                features=features,
                sample_rate=frontend.sample_rate,
                hop_length=frontend.hop_length,
            )
        else:
            np.save(file, features)
    partial.replace(path)


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


def one_file(file: str, target: Path, frontend: Frontend, args: argparse.Namespace) -> list[object]:
    """Write the features of one file; returns its row of the table."""
    from seqlab.audio import load_audio

    wanted = frontend.sample_rate if args.resample else None
    waveform, sample_rate = load_audio(file, sample_rate=wanted)
    if sample_rate != frontend.sample_rate:
        raise DataError(
            f"{file} has {sample_rate} Hz, the {args.preset} preset is for "
            f"{frontend.sample_rate} Hz; pass --resample, or --set sample_rate={sample_rate}"
        )
    features = frontend.extract(waveform, sample_rate)
    write_features(target, features.numpy(), frontend)
    if args.plot and len(features):
        figure = draw(features, frontend, f"{Path(file).name}: {args.kind}, {args.preset}")
        figure.savefig(target.with_suffix(".png"), dpi=150)
    seconds = round(len(waveform) / sample_rate, 3)
    return [file, str(target), len(features), features.shape[1], seconds]


def run(args: argparse.Namespace) -> int:
    """Write the features of every file."""
    import torch

    frontend = make_frontend(args.kind, args.preset, parse_settings(args.set))
    targets = output_paths(args.files, Path(args.output), f".{args.format}")
    rows = []
    with Progress(len(args.files), "features") as progress, torch.inference_mode():
        for file, target in zip(args.files, targets, strict=True):
            rows.append(one_file(file, target, frontend, args))
            progress.update(len(rows))
    columns = ["file", "written", "frames", "dim", "seconds"]
    if args.json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
    return 0
