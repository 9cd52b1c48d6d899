"""Typed phrases in hours of recordings or a live stream, by any CTC model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from seqlab.audio import read_blocks
from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.decoding.typed_phrases import phrase_detector
from seqlab.inference.gate import Gate
from seqlab.inference.log_probs import log_prob_stream
from seqlab.inference.spotting import Spotter, spot_blocks
from seqlab.model import SpeechModel

__all__ = ["PhraseSpotter", "spot_phrases"]

_BLOCK_S = 5.0


class PhraseSpotter(Spotter):
    """A CTC model and a detector of phrases that it was never trained to detect.

    Use it where samples come from your own loop; ``spot_phrases`` runs it over a recording. Between
    two tokens of a phrase at most 0.5 seconds of blanks may lie. Phrases are whole words where the
    model writes spaces or the like; without one, 0.3 seconds of blanks end a word.

    Args:
        model: A recogniser with CTC, over any tokens.
        phrases: One at least; each is found by every spelling that ``spell_phrase`` gives it.
        settings: Of the detector; None takes ``PHRASE_DEFAULTS``.
        window_s: See ``seqlab.inference.log_probs.log_prob_stream``.
        hop_s: The same.
        block_s: Seconds that are heard at a time, which add to the delay; within [0.01, 60].

    Raises:
        ModelError: The model has no CTC head.
        DataError: A phrase cannot be spelled.
        SeqlabError: An argument is out of range, or a threshold is for no phrase.
    """

    def __init__(
        self,
        model: SpeechModel,
        phrases: Sequence[str],
        settings: DetectorSettings | None = None,
        *,
        window_s: float = 10.0,
        hop_s: float = 8.0,
        block_s: float = 0.1,
    ) -> None:
        stream = log_prob_stream(model, window_s=window_s, hop_s=hop_s)
        self.phrases, detector = phrase_detector(
            model.tokenizer, phrases, stream.unit / model.sample_rate, settings
        )
        super().__init__(stream, detector, model.sample_rate, block_s)
        self._normalize = model.tokenizer.normalize

    @property
    def warnings(self) -> list[str]:
        """What to say of phrases that are too short to be told apart."""
        return [phrase.warning for phrase in self.phrases if phrase.warning is not None]

    def said(self, text: str) -> list[str]:
        """Those phrases whose words a transcript holds, one after the other."""
        whole = f" {self._normalize(text)} "
        return [p.text for p in self.phrases if f" {self._normalize(p.text)} " in whole]


def spot_phrases(
    model: SpeechModel,
    source: str | os.PathLike[str] | BinaryIO,
    phrases: Sequence[str],
    settings: DetectorSettings | None = None,
    *,
    window_s: float = 10.0,
    hop_s: float = 8.0,
    gate: Gate | None = None,
) -> Iterator[Detection]:
    """Spot phrases in a recording of any length; memory does not grow with it.

    Args:
        model: As in ``PhraseSpotter``, like all that follows.
        source: A path, an open binary file, or ``"-"`` for standard input (WAV or AU).
        phrases: The same.
        settings: The same.
        window_s: The same.
        hop_s: The same.
        gate: As in ``seqlab.inference.spotting.spot_blocks``.

    Raises:
        AudioError: The recording cannot be used, or is damaged further on.
        ModelError: The model has no CTC head.
        DataError: A phrase cannot be spelled.
    """
    spotter = PhraseSpotter(
        model, phrases, settings, window_s=window_s, hop_s=hop_s, block_s=_BLOCK_S
    )
    blocks = read_blocks(source, _BLOCK_S, sample_rate=model.sample_rate)
    return spot_blocks(spotter, (block for block, _ in blocks), gate)
