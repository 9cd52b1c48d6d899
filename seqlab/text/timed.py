"""Timed text and its file formats: what recognition and alignment write.

``write_timed`` picks the format by name; ``to_...`` and ``from_...`` are each a function from
segments to text or back. Whatever stands in a text, the files stay well formed: line ends and
control characters become spaces.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from seqlab.checks import check_choice
from seqlab.errors import DataError
from seqlab.text.segments import TimedSegment, TimedWord, clean, segment_of, words_in
from seqlab.text.subtitles import CueLayout, from_srt, from_vtt, to_srt, to_vtt
from seqlab.text.textgrid import from_textgrid, to_textgrid

__all__ = [
    "FORMATS",
    "CueLayout",
    "TimedSegment",
    "TimedWord",
    "clean",
    "from_ctm",
    "from_json",
    "from_srt",
    "from_textgrid",
    "from_vtt",
    "segment_of",
    "timed_text",
    "to_ctm",
    "to_json",
    "to_srt",
    "to_textgrid",
    "to_txt",
    "to_vtt",
    "words_in",
]

FORMATS = ("txt", "srt", "vtt", "ctm", "TextGrid", "json")  # as their files end


def timed_text(
    segments: Sequence[TimedSegment],
    form: str,
    *,
    recording: str = "recording",
    duration_s: float | None = None,
    layout: CueLayout | None = None,
) -> str:
    """The segments of one recording in one of ``FORMATS``.

    Args:
        segments: in any order.
        form: one of ``FORMATS``.
        recording: its name; for ctm alone.
        duration_s: of the recording; for TextGrid alone.
        layout: of cues; for srt and vtt alone.

    Raises:
        SeqlabError: there is no such format.
    """
    check_choice("form", form, FORMATS)
    if form == "ctm":
        return to_ctm(segments, recording)
    if form == "TextGrid":
        return to_textgrid(segments, duration_s)
    if form in ("srt", "vtt"):
        return (to_srt if form == "srt" else to_vtt)(segments, layout)
    return (to_txt if form == "txt" else to_json)(segments)


def to_txt(segments: Sequence[TimedSegment]) -> str:
    r"""A line for each segment that has text, in order of time; no times.

    Example:
        >>> to_txt([TimedSegment(1.0, 2.0, "two"), TimedSegment(0.0, 1.0, "one")])
        'one\ntwo\n'
    """
    ordered = sorted(segments, key=lambda segment: segment.start_s)
    texts = [clean(segment.text) for segment in ordered]
    return "".join(f"{text}\n" for text in texts if text)


def to_ctm(segments: Sequence[TimedSegment], recording: str, channel: str = "1") -> str:
    r"""NIST's conversation time marks: a line a word, with start, duration and confidence.

    White space within a name or a word becomes ``_``, for it separates the columns.

    Args:
        segments: in any order; one without words shares its time among those of its text.
        recording: name of the recording, the first column.
        channel: the second column.

    Source: NIST, SCTK, "CTM file format". Times have three digits instead of two.

    Example:
        >>> to_ctm([TimedSegment(0.5, 1.0, "go", (TimedWord("go", 0.5, 0.75, 0.9),))], "a")
        'a 1 0.500 0.250 go 0.900\n'
    """
    words = sorted((w for s in segments for w in words_in(s)), key=lambda word: word.start_s)
    lines = []
    for word in words:
        # Rounded as ends, so that words which touch still do.
        start, end = round(word.start_s * 1000), round(word.end_s * 1000)
        times = f"{_thousandths(start)} {_thousandths(end - start)}"
        columns = f"{_column(recording)} {_column(channel)} {times} {_column(word.text)}"
        lines.append(f"{columns} {word.confidence:.3f}\n")
    return "".join(lines)


def from_ctm(text: str) -> dict[tuple[str, str], tuple[TimedWord, ...]]:
    r"""The words of each (recording, channel) of CTM text; comments are left out.

    Raises:
        DataError: a line that has not five or six columns, or times that are no numbers.

    Example:
        >>> from_ctm(";; a comment\na 1 0.50 0.25 go 0.9\n")
        {('a', '1'): (TimedWord(text='go', start_s=0.5, end_s=0.75, confidence=0.9),)}
    """
    found: dict[tuple[str, str], list[TimedWord]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith(";;"):
            continue
        columns = line.split()
        try:
            if len(columns) not in (5, 6):
                raise ValueError(f"it has {len(columns)} columns")
            start_s, length_s = float(columns[2]), float(columns[3])
            confidence = float(columns[5]) if len(columns) == 6 else 1.0
            # A microsecond: the sum of two decimals is not quite the decimal it should be.
            word = TimedWord(columns[4], start_s, round(start_s + length_s, 6), confidence)
        except ValueError as error:
            raise DataError(
                f"CTM line {number} {line[:60]!r} must be: recording channel start duration word "
                f"[confidence] ({error}); correct it"
            ) from None
        found.setdefault((columns[0], columns[1]), []).append(word)
    return {
        key: tuple(sorted(words, key=lambda word: word.start_s)) for key, words in found.items()
    }


def to_json(segments: Sequence[TimedSegment]) -> str:
    """JSON with everything that is known: ``{"segments": [{"start_s": ..., "words": [...]}]}``.

    Example:
        >>> said = [TimedSegment(0.5, 1.0, "go", (TimedWord("go", 0.5, 0.75, 0.9),), "Ann", 0.5)]
        >>> from_json(to_json(said)) == said
        True
    """
    content = {"segments": [segment_facts(segment) for segment in segments]}
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def segment_facts(segment: TimedSegment) -> dict[str, Any]:
    """One segment as plain values, as ``to_json`` writes it."""
    return {
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "text": segment.text,
        "speaker": segment.speaker,
        "confidence": segment.confidence,
        "words": [
            {"text": w.text, "start_s": w.start_s, "end_s": w.end_s, "confidence": w.confidence}
            for w in segment.words
        ],
    }


def from_json(text: str) -> list[TimedSegment]:
    """What ``to_json`` wrote; words, speaker and confidence may be missing.

    Raises:
        DataError: not such JSON; the message says what is wrong.
    """
    try:
        content = json.loads(text)
        return [_segment(entry) for entry in content["segments"]]
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"the JSON holds no timed text ({type(error).__name__}: {error}); must be an object "
            "with a list 'segments' of objects with start_s, end_s and text"
        ) from None


def _segment(entry: dict[str, Any]) -> TimedSegment:
    speaker = entry.get("speaker")
    return TimedSegment(
        start_s=_float(entry["start_s"]),
        end_s=_float(entry["end_s"]),
        text=_str(entry["text"]),
        words=tuple(
            TimedWord(
                _str(word["text"]),
                _float(word["start_s"]),
                _float(word["end_s"]),
                _float(word.get("confidence", 1.0)),
            )
            for word in entry.get("words", ())
        ),
        speaker=None if speaker is None else _str(speaker),
        confidence=_float(entry.get("confidence", 1.0)),
    )


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _column(text: str) -> str:
    joined = "_".join(clean(text).split())
    return "_" + joined if joined.startswith(";;") or not joined else joined


def _thousandths(value: int) -> str:
    return f"{value // 1000}.{value % 1000:03}"
