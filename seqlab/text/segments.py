"""Words and stretches of speech with their times, as decoders and aligners give them."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from seqlab.errors import DataError


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word and when it was said.

    Args:
        text: the word.
        start_s: 0 or more, seconds from the start of the recording.
        end_s: seconds, not before ``start_s``.
        confidence: in [0, 1].

    Raises:
        DataError: a value outside its range.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float = 1.0

    def __post_init__(self) -> None:
        _check_times("word", self.text, self.start_s, self.end_s)
        _check_confidence("word", self.text, self.confidence)


@dataclass(frozen=True, slots=True)
class TimedSegment:
    """A stretch of speech: its text, and where they are known, the words in it.

    Args:
        start_s: 0 or more, seconds from the start of the recording.
        end_s: seconds, not before ``start_s``.
        text: what was said, as people should read it.
        words: in the order of their starts; their spelling may be plainer than the text's.
        speaker: None where it is not known.
        confidence: in [0, 1].

    Raises:
        DataError: a value outside its range, or words out of order.

    Example:
        >>> segment = TimedSegment(0.0, 1.0, "Go on!", (TimedWord("go", 0.1, 0.3),))
        >>> segment.end_s - segment.start_s
        1.0
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[TimedWord, ...] = field(default=())
    speaker: str | None = None
    confidence: float = 1.0

    def __post_init__(self) -> None:
        _check_times("segment", self.text, self.start_s, self.end_s)
        _check_confidence("segment", self.text, self.confidence)
        for before, word in itertools.pairwise(self.words):
            if word.start_s < before.start_s:
                raise DataError(
                    f"word {word.text!r} starts at {word.start_s} s, must not start before "
                    f"{before.text!r} at {before.start_s} s; sort the words by their starts"
                )


def segment_of(words: Sequence[TimedWord], speaker: str | None = None) -> TimedSegment:
    """The segment that ``words`` make: from the first start to the last end, spaces between.

    Its confidence is the mean of the words'.

    Raises:
        DataError: no words, or words out of order.

    Example:
        >>> segment_of([TimedWord("go", 0.1, 0.3, 0.5), TimedWord("on", 0.4, 0.9)])
        ... # doctest: +NORMALIZE_WHITESPACE
        TimedSegment(start_s=0.1, end_s=0.9, text='go on', words=(TimedWord(text='go', start_s=0.1,
            end_s=0.3, confidence=0.5), TimedWord(text='on', start_s=0.4, end_s=0.9,
            confidence=1.0)), speaker=None, confidence=0.75)
    """
    if not words:
        raise DataError("a segment of 0 words has no times, must have at least 1; leave it out")
    return TimedSegment(
        start_s=words[0].start_s,
        end_s=max(word.end_s for word in words),
        text=" ".join(word.text for word in words),
        words=tuple(words),
        speaker=speaker,
        confidence=sum(word.confidence for word in words) / len(words),
    )


def words_in(segment: TimedSegment) -> tuple[TimedWord, ...]:
    """The words of ``segment``, in the spelling of its text where the two have as many words.

    Where no words are known, the text's share the time by their number of characters.

    Example:
        >>> [(w.text, w.start_s, w.end_s) for w in words_in(TimedSegment(1.0, 3.0, "a bcd"))]
        [('a', 1.0, 1.5), ('bcd', 1.5, 3.0)]
    """
    spelled = clean(segment.text).split()
    if not segment.words:
        return _shared_out(segment, spelled)
    known = [word for word in segment.words if clean(word.text)]
    if len(spelled) != len(known):
        spelled = [clean(word.text) for word in known]
    return tuple(
        TimedWord(text, word.start_s, word.end_s, word.confidence)
        for text, word in zip(spelled, known, strict=True)
    )


def _shared_out(segment: TimedSegment, spelled: Sequence[str]) -> tuple[TimedWord, ...]:
    total = sum(map(len, spelled))
    length_s = segment.end_s - segment.start_s
    words = []
    done = 0
    for text in spelled:
        start_s = segment.start_s + length_s * done / total
        done += len(text)
        end_s = segment.end_s if done == total else segment.start_s + length_s * done / total
        words.append(TimedWord(text, start_s, max(start_s, end_s), segment.confidence))
    return tuple(words)


def clean(text: str) -> str:
    r"""``text`` on one line: line ends and control characters become single spaces.

    Other white space, such as a no-break space, stays; half a surrogate pair, which no file can
    hold, becomes U+FFFD.

    Example:
        >>> clean(" one\r\n\x00two ")
        'one two'
    """
    characters = [_plain(character) for character in text]
    return " ".join(part for part in "".join(characters).split(" ") if part)


def _plain(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "\ufffd" if category == "Cs" else character


def _check_times(what: str, text: str, start_s: float, end_s: float) -> None:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s <= end_s):
        raise DataError(
            f"{what} {text[:40]!r} runs from {start_s} to {end_s} s, must run from 0 or later to "
            "its start or later; correct the times"
        )


def _check_confidence(what: str, text: str, confidence: float) -> None:
    if not 0 <= confidence <= 1:
        raise DataError(
            f"{what} {text[:40]!r} has confidence={confidence}, must be within 0 and 1; "
            "pass a probability"
        )
