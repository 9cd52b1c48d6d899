"""What decides a synthetic corpus: who says what, how often."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version

from seqlab.data.speech_programs import check_voice, voice_digest
from seqlab.errors import DataError

FORMAT = 1  # raise it when the same plan gives other samples


def is_of_program(voice: str) -> bool:
    """Whether it is the voice of another program, such as ``flite:slt``."""
    return ":" in voice


def in_phonemes(word: str) -> bool:
    """Whether it stands in espeak-ng's names of phonemes, which no other program reads."""
    return "[[" in word


@dataclass(frozen=True)
class Plan:
    """Everything that decides a synthetic corpus.

    Args:
        words: what is said, each by every voice.
        voices: espeak-ng voices, such as ``en-us+f3``, and voices of other programs, such as
            ``flite:slt`` (they say no words in phonemes, nor those with a sound that they have no
            recording of); each counts as one speaker.
        per_word: takes of each word by each voice; rate, pitch, level and pauses differ.
        seed: 0 to 2**31 - 1.
        lively: whether rate, pitch and melody differ more, and words are emphasised now and then.

    Raises:
        DataError: nothing to say or nobody to say it, repetitions, or numbers out of range.
    """

    words: tuple[str, ...]
    voices: tuple[str, ...]
    per_word: int = 4
    seed: int = 0
    lively: bool = False

    def __post_init__(self) -> None:
        for name in ("words", "voices"):
            values = getattr(self, name)
            if not values or not all(value.strip() for value in values):
                raise DataError(f"{name}={values!r} must be one or more, none empty; name them")
            if len(set(values)) != len(values):
                raise DataError(f"{name}={values!r} must not repeat themselves; drop the doubles")
            if any(c in value for value in values for c in "\t\n\r\0"):
                raise DataError(f"{name}={values!r} must not hold tabs or line breaks")
        if self.per_word < 1:
            raise DataError(f"per_word={self.per_word} must be 1 or more")
        if not 0 <= self.seed < 2**31:
            raise DataError(f"seed={self.seed} must be within 0 and 2**31 - 1")
        for voice in filter(is_of_program, self.voices):
            check_voice(voice)
            if all(map(in_phonemes, self.words)):
                raise DataError(f"voice {voice} reads no phonemes of espeak-ng; give it words")

    @property
    def key(self) -> str:
        """Name of the corpus in the cache: all that decides its samples."""
        settings = {**asdict(self), "format": FORMAT}
        if self.needs_espeak:
            settings["espeak"] = version("espeakng-loader")
        programs = {voice: voice_digest(voice) for voice in filter(is_of_program, self.voices)}
        if programs:
            settings["programs"] = programs
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def needs_espeak(self) -> bool:
        """Whether a voice is espeak-ng's from the wheel."""
        return not all(map(is_of_program, self.voices))
