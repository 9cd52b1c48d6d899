"""Phrases as they are typed, and the detector that finds them by a tokenizer's units."""

from __future__ import annotations

from collections.abc import Sequence

from seqlab.decoding.keyword import DetectorSettings
from seqlab.decoding.phrase_detector import PhraseDetector
from seqlab.decoding.phrases import PhraseSearch
from seqlab.errors import ModelError
from seqlab.text.base import Tokenizer
from seqlab.text.phrases import SpelledPhrase, edge_tokens, spell_phrase

__all__ = ["phrase_detector"]

_PAUSE_S, _QUIET_S = 0.5, 0.3


def phrase_detector(
    tokenizer: Tokenizer,
    phrases: Sequence[str],
    frame_s: float,
    settings: DetectorSettings | None = None,
) -> tuple[list[SpelledPhrase], PhraseDetector]:
    """The phrases spelled, and what finds them in log-probabilities.

    Between two tokens of a phrase at most 0.5 seconds of blanks may lie. Phrases are whole words
    where the model writes spaces or the like; without one, 0.3 seconds of blanks end a word.

    Args:
        tokenizer: Of a CTC model.
        phrases: One at least.
        frame_s: Seconds from one frame to the next.
        settings: Of the detector; None takes ``PHRASE_DEFAULTS``.

    Raises:
        ModelError: The tokenizer has no blank.
        DataError: A phrase cannot be spelled.
        SeqlabError: A threshold is for no phrase, or there are none.

    Example:
        >>> from seqlab.text.tokenizers import CharacterTokenizer
        >>> tokenizer = CharacterTokenizer().fit(["go on"])
        >>> phrase_detector(tokenizer, ["go on"], 0.02)[1].keywords
        ['go on']
    """
    if tokenizer.blank is None:
        raise ModelError(f"{type(tokenizer).__name__} has no blank; phrases need a CTC model")
    spelled = [spell_phrase(tokenizer, phrase) for phrase in phrases]
    search = PhraseSearch(
        [phrase.spellings for phrase in spelled],
        len(tokenizer),
        tokenizer.blank,
        edges=edge_tokens(tokenizer),
        pause=round(_PAUSE_S / frame_s),
        quiet=max(1, round(_QUIET_S / frame_s)),
    )
    return spelled, PhraseDetector(search, [phrase.text for phrase in spelled], frame_s, settings)
