"""Typed phrases, for the commands that spot them: ``spot`` and ``operating-point``."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from seqlab.cli.spotting_options import thresholds
from seqlab.cli.terminal import say
from seqlab.errors import DataError, ModelError
from seqlab.values import shown

if TYPE_CHECKING:
    from seqlab.decoding.keyword import DetectorSettings
    from seqlab.deploy.facts import SpottingFacts
    from seqlab.inference.operating_point import OperatingPoint
    from seqlab.model import SpeechModel


class Warns(Protocol):
    """A spotter of phrases."""

    @property
    def warnings(self) -> list[str]:
        """What to say of phrases that are too short."""
        ...


Found = TypeVar("Found", bound=Warns)
_LARGEST_FILE = 2**20  # bytes
_WINDOW_S, _KEPT = 10.0, 0.8  # of models that need whole utterances


def add_phrase_options(parser: argparse.ArgumentParser) -> None:
    """Describe what names phrases."""
    group = parser.add_argument_group("phrases, spotted by any CTC model without training for them")
    group.add_argument(
        "--phrase", action="append", metavar="TEXT", help="that is spotted; may be repeated"
    )
    group.add_argument(
        "--phrases",
        metavar="FILE",
        help="text file of phrases, one a line, each with its threshold after a tab where it has "
        "one of its own",
    )


def wants_phrases(
    args: argparse.Namespace, model: SpeechModel, stored: OperatingPoint | None
) -> bool:
    """Whether phrases are spotted, not labels.

    Raises:
        ModelError: a CTC model without phrases.
    """
    if args.phrase or args.phrases:
        return True
    if model.head.output == "frames" and not (stored and stored.phrases):
        raise without_phrases(args)
    return model.head.output == "frames"


def make_phrase_spotter(
    args: argparse.Namespace,
    stored: OperatingPoint | SpottingFacts | None,
    make: Callable[..., Found],
) -> Found:
    """Model and detector, with a remark where a phrase is short or a threshold a guess.

    Args:
        args: Of the command line.
        stored: The operating point.
        make: Of phrases, settings and windows; ``PhraseSpotter`` or ``ExportPhraseSpotter``.

    Raises:
        DataError: the file of phrases cannot be read, or a phrase cannot be spelled.
        ModelError: a CTC model without phrases.
        SeqlabError: an option is out of range.
    """
    given = given_phrases(args)
    if not given and stored is not None:
        given = dict.fromkeys(stored.phrases)
    if not given:
        raise without_phrases(args)
    settings = _settings(args, given, stored)
    spotter = make(list(given), settings, **windows(args, stored))
    for warning in spotter.warnings:
        say(f"note: {warning}")
    guessed = [phrase for phrase in given if phrase not in settings.thresholds]
    if guessed and hasattr(args, "threshold") and not _told(args):
        say(
            f"note: the threshold {settings.threshold:g} is a guess; seqlab operating-point finds "
            "one for a rate of false alarms"
        )
    return spotter


def without_phrases(args: argparse.Namespace) -> ModelError:
    """What to say of a CTC model of which no phrase was asked for."""
    return ModelError(
        f"{args.model} transcribes speech and can spot any phrase; name it, as in --phrase "
        "'hey sunflower'"
    )


def given_phrases(args: argparse.Namespace) -> dict[str, float | None]:
    """Phrases of the command line and of the file, with thresholds of their own.

    Raises:
        DataError: the file cannot be read, or a line is not what it must be.
    """
    found: dict[str, float | None] = {" ".join(p.split()): None for p in args.phrase or []}
    if args.phrases is None:
        return found
    path = Path(args.phrases)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(
                f"{path} is larger than {_LARGEST_FILE} bytes; is it a list of phrases?"
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"phrases {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        text, tab, threshold = line.partition("\t")
        if not line.strip():
            continue
        if not text.strip():
            raise DataError(f"{path}, line {number}: no phrase before the tab; write one")
        found[" ".join(text.split())] = _threshold(threshold, path, number) if tab else None
    if not found:
        raise DataError(f"phrases {path} holds none; write one a line")
    return found


def windows(
    args: argparse.Namespace, stored: OperatingPoint | SpottingFacts | None
) -> dict[str, float]:
    """``window_s`` and ``hop_s`` of a model that needs whole utterances."""
    window_s, hop_s = _WINDOW_S, _WINDOW_S * _KEPT
    if stored is not None:
        window_s, hop_s = stored.window_s, stored.hop_s
    if args.window is not None:
        window_s, hop_s = args.window, args.window * _KEPT
    return {"window_s": window_s, "hop_s": hop_s if args.hop is None else args.hop}


def _told(args: argparse.Namespace) -> list[str]:
    """What ``--threshold`` was given, by a command that has it."""
    return list(getattr(args, "threshold", None) or [])


def _settings(
    args: argparse.Namespace,
    given: dict[str, float | None],
    stored: OperatingPoint | SpottingFacts | None,
) -> DetectorSettings:
    """What is stored for these phrases, then what the file says, then the command line."""
    from seqlab.decoding.phrase_detector import PHRASE_DEFAULTS

    base = PHRASE_DEFAULTS if stored is None else stored.settings
    told = thresholds(_told(args))
    own = {} if "threshold" in told else {n: t for n, t in base.thresholds.items() if n in given}
    own |= {phrase: value for phrase, value in given.items() if value is not None}
    own |= {" ".join(name.split()): t for name, t in told.get("thresholds", {}).items()}
    options = {
        "threshold": told.get("threshold"),
        "smoothing_s": args.smoothing,
        "refractory_s": args.refractory,
        "release": args.release,
    }
    changes = {name: value for name, value in options.items() if value is not None}
    return dataclasses.replace(base, thresholds=own, **changes)


def _threshold(text: str, path: Path, number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise DataError(
            f"{path}, line {number}: threshold {shown(text.strip())} must be a number above 0 and "
            "at most 1, after the phrase and one tab"
        )
    return value
