"""What ``spot`` and ``operating-point`` share: when a keyword counts as heard."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from seqlab.errors import DataError

if TYPE_CHECKING:
    from seqlab.decoding.keyword import DetectorSettings
    from seqlab.deploy.facts import SpottingFacts
    from seqlab.inference.operating_point import OperatingPoint


def add_spotting_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of a detector, but for the threshold."""
    group = parser.add_argument_group("detector; by default as the operating point says")
    group.add_argument(
        "--smoothing", type=float, metavar="S", help="seconds that are averaged; default: 0"
    )
    group.add_argument(
        "--refractory",
        type=float,
        metavar="S",
        help="seconds after a detection without another of its label; default: 1",
    )
    group.add_argument(
        "--release",
        type=float,
        metavar="SHARE",
        help="of the threshold, below which the score must fall before the label is spotted "
        "again; default: 0.8",
    )
    group.add_argument(
        "--window",
        type=float,
        metavar="S",
        help="seconds judged at once by a model without KeywordHead, about as long as the "
        "recordings it learnt from; default: 1",
    )
    group.add_argument(
        "--hop",
        type=float,
        metavar="S",
        help="seconds between two windows of a model that needs whole utterances; default: 0.1",
    )


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Settings of a detector and of windows, as the command line and the model folder say."""

    settings: DetectorSettings
    windows: dict[str, float]  # window_s and hop_s


def chosen(args: argparse.Namespace, stored: OperatingPoint | SpottingFacts | None) -> Chosen:
    """The command line's options where given, else what is stored, else the defaults."""
    from seqlab.decoding.keyword import DetectorSettings

    base = DetectorSettings() if stored is None else stored.settings
    windows = {"window_s": 1.0, "hop_s": 0.1}
    if stored is not None:
        windows = {"window_s": stored.window_s, "hop_s": stored.hop_s}
    given: dict[str, Any] = {
        "smoothing_s": args.smoothing,
        "refractory_s": args.refractory,
        "release": args.release,
        **thresholds(getattr(args, "threshold", None)),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if changes.get("thresholds"):
        whole = "threshold" in changes
        changes["thresholds"] = {**({} if whole else base.thresholds), **changes["thresholds"]}
    elif "threshold" in changes:
        changes["thresholds"] = {}
    overrides = {"window_s": args.window, "hop_s": args.hop}
    windows |= {name: value for name, value in overrides.items() if value is not None}
    return Chosen(dataclasses.replace(base, **changes), windows)


def thresholds(given: list[str] | None) -> dict[str, Any]:
    """The values of ``--threshold``: a number for all labels, or LABEL=NUMBER for one.

    Raises:
        DataError: neither.
    """
    found: dict[str, Any] = {}
    for text in given or []:
        label, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise DataError(
                f"--threshold {text!r} must be a number such as 0.7, or LABEL=NUMBER"
            ) from None
        if equals:
            found.setdefault("thresholds", {})[label] = value
        else:
            found["threshold"] = value
    return found
