"""Options of speaker adaptation, the same for every command that adapts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqlab.decoding.prefix_beam import PrefixBeamDecoder
    from seqlab.model import SpeechModel
    from seqlab.training.adaptation import Adaptation

_OPTIONS: dict[str, tuple[type, str, str]] = {
    "rounds": (int, "N", "how often answers are learned from, each better (default: 1)"),
    "passes": (int, "N", "how often each recording is learned from in a round (default: 20)"),
    "learning_rate": (float, "X", "of Adam (default: 2e-4)"),
    "speaker_weight": (
        float,
        "X",
        "of the speaker's mean and deviation beside the utterance's, 0 to 1 (default: 0.5)",
    ),
}


def add_adapt_options(parser: argparse.ArgumentParser, switch: bool = True) -> None:
    """Add ``--adapt-passes`` and so on, and ``--adapt`` where it is a choice."""
    group = parser.add_argument_group("speaker adaptation")
    if switch:
        group.add_argument(
            "--adapt",
            action="store_true",
            help="adapt the model to each speaker of the manifest first, by its own answers "
            "(transcripts are not used)",
        )
        group.add_argument(
            "--adapt-decoding",
            metavar="FILE",
            help="settings from seqlab tune for the answers that are learned from (default: the "
            "same as for the last ones)",
        )
    for name, (kind, metavar, text) in _OPTIONS.items():
        flag = "--adapt-" + name.replace("_", "-")
        group.add_argument(flag, type=kind, metavar=metavar, help=text)


def adaptation_of(args: argparse.Namespace) -> Adaptation:
    """The adaptation that the options ask for."""
    from seqlab.training.adaptation import Adaptation

    given = {name: getattr(args, f"adapt_{name}") for name in _OPTIONS}
    return Adaptation(**{name: value for name, value in given.items() if value is not None})


def first_decoder(
    args: argparse.Namespace, model: SpeechModel, language_model: str | None = None
) -> PrefixBeamDecoder | None:
    """The decoder for the answers that are learned from; None where it is that for the last ones.

    ``language_model``, that of the last answers, goes before the one that the file names.
    """
    import dataclasses

    from seqlab.inference.settings import DecodingSettings

    if args.adapt_decoding is None:
        return None
    settings = DecodingSettings.load(args.adapt_decoding)
    if language_model is not None:
        settings = dataclasses.replace(settings, language_model=language_model)
    return settings.decoder(model)


def adapts(args: argparse.Namespace) -> bool:
    """Whether ``--adapt`` was given; DataError for its settings without it."""
    from seqlab.errors import DataError

    names = [*_OPTIONS, "decoding"]
    given = [name for name in names if getattr(args, f"adapt_{name}") is not None]
    if given and not args.adapt:
        flag = given[0].replace("_", "-")
        raise DataError(f"--adapt-{flag} says how to adapt, but not to; give --adapt as well")
    return bool(args.adapt)
