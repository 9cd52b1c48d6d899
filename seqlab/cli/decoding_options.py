"""Options of the beam search, the same for every command that turns speech into text."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from seqlab.errors import DataError

if TYPE_CHECKING:
    from seqlab.decoding.prefix_beam import PrefixBeamDecoder
    from seqlab.inference.settings import DecodingSettings
    from seqlab.model import SpeechModel

_OPTIONS: dict[str, tuple[type, str, str]] = {
    "beam": (int, "N", "texts that the beam search follows"),
    "language_model": (str, "FILE", "n-gram model, .ngram or ARPA, fused with the beam search"),
    "lm_unit": (str, "UNIT", "word, or token where the model's words are the recogniser's tokens"),
    "lm_weight": (float, "X", "weight of the language model; see seqlab tune"),
    "word_bonus": (float, "NATS", "added for each word"),
    "unknown_penalty": (float, "NATS", "taken for each word the language model does not know"),
    "lexicon": (str, "FILE", "the only words allowed, one a line"),
}


def add_decoding_options(parser: argparse.ArgumentParser, hotwords: bool = True) -> None:
    """Add ``--decoding``, an option for each setting, ``--hotword`` and ``--best-path``."""
    group = parser.add_argument_group(
        "beam search",
        "Without any of these: as the model's folder says, if seqlab tune --store left settings "
        "there, and the best path otherwise."
        if hotwords
        else None,
    )
    group.add_argument(
        "--decoding", metavar="FILE", help="settings from seqlab tune; the options below go before"
    )
    for name, (kind, metavar, text) in _OPTIONS.items():
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=kind, metavar=metavar, help=text)
    if hotwords:
        group.add_argument(
            "--hotword",
            action="append",
            metavar="PHRASE[=NATS]",
            help="a word or phrase to prefer, and by how much; may be given many times",
        )
        group.add_argument(
            "--best-path", action="store_true", help="no search, whatever the model's folder says"
        )


def given_settings(args: argparse.Namespace) -> DecodingSettings | None:
    """The settings that the options ask for; None where there are no options."""
    from seqlab.inference.settings import DecodingSettings

    given = _given(args)
    if args.decoding is None and not given:
        return None
    found = DecodingSettings() if args.decoding is None else DecodingSettings.load(args.decoding)
    return dataclasses.replace(found, **given)


def decoding_settings(args: argparse.Namespace) -> DecodingSettings | None:
    """The settings to use, options before those in the model's folder; None: the best path.

    Raises:
        DataError: ``--best-path`` beside another option, or damaged settings.
    """
    from seqlab.cli.locate import model_folder
    from seqlab.inference.settings import DecodingSettings

    given = _given(args)
    asked = args.decoding is not None or bool(given) or bool(args.hotword)
    if args.best_path:
        if asked:
            raise DataError("--best-path searches nothing; leave it or the other options out")
        return None
    if args.decoding is not None:
        return given_settings(args)
    stored = DecodingSettings.stored(model_folder(args.model))
    if stored is None and not asked:
        return None
    return dataclasses.replace(stored or DecodingSettings(), **given)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}


class HotwordDecoder:
    """A beam search that prefers the same phrases in every utterance.

    Args:
        decoder: The beam search.
        phrases: Phrases and their boosts in nats.
    """

    def __init__(self, decoder: PrefixBeamDecoder, phrases: dict[str, float]) -> None:
        self.decoder = decoder
        self.hotwords = decoder.hotwords(phrases)

    def decode(self, log_probs: Any, lengths: Any) -> Any:
        """As the decoder, with the phrases."""
        return self.decoder.decode(log_probs, lengths, self.hotwords)


def chosen_decoder(args: argparse.Namespace, model: SpeechModel) -> Any:
    """The decoder that the options ask for; None for the model's own."""
    settings = decoding_settings(args)
    if settings is None:
        return None
    decoder = settings.decoder(model)
    phrases = getattr(args, "hotword", None)
    return HotwordDecoder(decoder, hotwords_of(phrases)) if phrases else decoder


def hotwords_of(texts: list[str]) -> dict[str, float]:
    """Phrases and boosts of ``PHRASE=NATS`` texts.

    Raises:
        DataError: No phrase, or a boost that is no number.

    Example:
        >>> hotwords_of(["new york=8", "ann"])
        {'new york': 8.0, 'ann': 5.0}
    """
    from seqlab.decoding.hotwords import DEFAULT_BOOST

    found: dict[str, float] = {}
    for text in texts:
        phrase, _, boost = text.partition("=")
        try:
            found[phrase.strip()] = float(boost) if boost else DEFAULT_BOOST
        except ValueError:
            phrase = ""
        if not phrase.strip():
            raise DataError(f"--hotword {text!r} must be PHRASE or PHRASE=NATS, such as ann=6")
    return found
