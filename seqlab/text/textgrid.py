"""Praat's TextGrid: tiers of intervals, to look at and correct alignments by hand."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seqlab.errors import DataError
from seqlab.text.segments import TimedSegment, TimedWord, clean, segment_of

_SEGMENTS, _WORDS = "segments", "words"
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<([^<>\s]*)>|!.*|([^\s"]+)')
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class _Interval:
    start: int  # microseconds, which makes neighbours meet exactly
    end: int
    text: str


def to_textgrid(segments: Sequence[TimedSegment], duration_s: float | None = None) -> str:
    """TextGrid in Praat's long text format, with a tier of segments and a tier of words.

    Each speaker has tiers of their own, named ``Ann - segments``, ``Ann - words``. Within a tier an
    interval that starts before the last one's end starts there instead. Times are rounded to
    microseconds; confidences cannot be kept.

    Args:
        segments: in any order.
        duration_s: of the recording; None: up to the last end. A segment that ends later makes
            it longer.

    Raises:
        DataError: ``duration_s`` is not a number of 0 or more.

    Source: Boersma and Weenink, Praat manual, "TextGrid file formats".

    Example:
        >>> grid = to_textgrid([TimedSegment(0.25, 1.0, 'say "hi" now')], duration_s=1.5)
        >>> [line.strip() for line in grid.splitlines() if "say" in line]
        ['text = "say ""hi"" now"']
    """
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s >= 0):
        raise DataError(f"duration_s={duration_s} must be 0 or more seconds; correct it")
    tiers = _tiers(segments)
    ends = [tier[-1].end for _, tier in tiers if tier]
    end = max([round((duration_s or 0.0) * 1e6), 1, *ends])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {_seconds(end)}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, tier) in enumerate(tiers, start=1):
        intervals = _without_gaps(tier, end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f"        name = {_quoted(name)}", "        xmin = 0"]
        lines += [f"        xmax = {_seconds(end)}", f"        intervals: size = {len(intervals)}"]
        for place, interval in enumerate(intervals, start=1):
            lines += [f"        intervals [{place}]:"]
            lines += [f"            xmin = {_seconds(interval.start)}"]
            lines += [f"            xmax = {_seconds(interval.end)}"]
            lines += [f"            text = {_quoted(interval.text)}"]
    return "\n".join(lines) + "\n"


def from_textgrid(content: str | bytes) -> list[TimedSegment]:
    """The segments of a TextGrid, long or short text format; empty intervals are left out.

    Tiers are taken by name as ``to_textgrid`` writes them, and as aligners do: ``words`` and
    ``Ann - words`` hold words, every other tier of intervals, but for ``phones``, holds segments.
    Words without a segment around them make one segment together. Tiers of points are left out.

    Args:
        content: the text, or a file's bytes in UTF-8 or UTF-16, as Praat writes them.

    Raises:
        DataError: not a TextGrid, or damaged.

    Example:
        >>> said = [TimedSegment(0.5, 1.0, "go on", speaker="Ann")]
        >>> from_textgrid(to_textgrid(said)) == said
        True
    """
    tokens = _tokens(_text_of(content))
    speakers: dict[str | None, tuple[list[TimedSegment], list[TimedWord]]] = {}
    for name, intervals in _read_tiers(tokens):
        before, dash, last = name.rpartition(" - ")
        speaker, kind = (before, last) if dash else (None, name)
        if kind == "phones":
            continue
        found, words = speakers.setdefault(speaker, ([], []))
        for start_s, end_s, text in intervals:
            if clean(text) and kind == _WORDS:
                words.append(TimedWord(text, start_s, end_s))
            elif clean(text):
                found.append(TimedSegment(start_s, end_s, text, speaker=speaker))
    merged = [s for name, (found, words) in speakers.items() for s in _merged(found, words, name)]
    return sorted(merged, key=lambda segment: segment.start_s)


def _tiers(segments: Sequence[TimedSegment]) -> list[tuple[str, list[_Interval]]]:
    ordered = sorted(segments, key=lambda segment: segment.start_s)
    tiers = []
    for speaker in dict.fromkeys(segment.speaker for segment in ordered):
        own = [segment for segment in ordered if segment.speaker == speaker]
        words = sorted((w for s in own for w in s.words), key=lambda word: word.start_s)
        prefix = f"{clean(speaker)} - " if speaker is not None else ""
        tiers.append((prefix + _SEGMENTS, _apart((s.start_s, s.end_s, s.text) for s in own)))
        tiers.append((prefix + _WORDS, _apart((w.start_s, w.end_s, w.text) for w in words)))
    return tiers or [(_SEGMENTS, []), (_WORDS, [])]


def _apart(entries: Iterable[tuple[float, float, str]]) -> list[_Interval]:
    """Intervals of 1 microsecond or more that do not overlap."""
    intervals: list[_Interval] = []
    for start_s, end_s, text in entries:
        start = max(round(start_s * 1e6), intervals[-1].end if intervals else 0)
        intervals.append(_Interval(start, max(round(end_s * 1e6), start + 1), clean(text)))
    return intervals


def _without_gaps(intervals: Sequence[_Interval], end: int) -> list[_Interval]:
    filled: list[_Interval] = []
    reached = 0
    for interval in intervals:
        if interval.start > reached:
            filled.append(_Interval(reached, interval.start, ""))
        filled.append(interval)
        reached = interval.end
    if reached < end:
        filled.append(_Interval(reached, end, ""))
    return filled


def _seconds(microseconds: int) -> str:
    whole, rest = divmod(microseconds, 1_000_000)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + clean(text).replace('"', '""') + '"'


def _text_of(content: str | bytes) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = "utf-16" if content.startswith(marks) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"the TextGrid is no {encoding} text ({error.reason}); save it from Praat as UTF-8"
        ) from None


def _tokens(text: str) -> Iterator[str | float]:
    """Texts (with a quote before them), flags and numbers: all that Praat itself reads.

    Everything else, such as ``xmin =`` and ``[1]:``, is there for people.
    """
    for match in _TOKEN.finditer(text):
        quoted, flag, word = match.groups()
        if quoted is not None:
            yield '"' + quoted.replace('""', '"')
        elif flag is not None:
            yield f"<{flag}>"
        elif word is not None and _NUMBER.fullmatch(word):
            yield float(word)


def _read_tiers(
    tokens: Iterator[str | float],
) -> Iterator[tuple[str, list[tuple[float, float, str]]]]:
    if [next(tokens, ""), next(tokens, "")] != ['"ooTextFile', '"TextGrid']:
        raise DataError("the text does not start as a TextGrid does; is it another format?")
    _skip_times(tokens)
    if _next(tokens) != "<exists>":
        return
    for _ in range(_count(tokens)):
        kind, name = _text(tokens), _text(tokens)
        _skip_times(tokens)
        intervals = []
        for _ in range(_count(tokens)):
            start_s = _number(tokens)
            end_s = _number(tokens) if kind == "IntervalTier" else start_s
            intervals.append((start_s, end_s, _text(tokens)))
        if kind == "IntervalTier":
            yield name, intervals


def _next(tokens: Iterator[str | float]) -> str | float:
    token = next(tokens, None)
    if token is None:
        raise DataError("the TextGrid ends before its last interval; is the file cut short?")
    return token


def _number(tokens: Iterator[str | float]) -> float:
    token = _next(tokens)
    if isinstance(token, str):
        raise DataError(f"the TextGrid has {token[:40]!r} where a number must stand; repair it")
    return token


def _skip_times(tokens: Iterator[str | float]) -> None:
    _number(tokens)
    _number(tokens)


def _count(tokens: Iterator[str | float]) -> int:
    number = _number(tokens)
    if number < 0 or number != int(number):
        raise DataError(f"the TextGrid has a size of {number}, must be a whole number; repair it")
    return int(number)


def _text(tokens: Iterator[str | float]) -> str:
    token = _next(tokens)
    if not isinstance(token, str) or not token.startswith('"'):
        raise DataError(f"the TextGrid has {token!r} where a text must stand; repair it")
    return token[1:]


def _merged(
    segments: Sequence[TimedSegment], words: Sequence[TimedWord], speaker: str | None
) -> list[TimedSegment]:
    """Segments with the words whose middle lies in them; words in none make one of their own."""
    ordered = sorted(words, key=lambda word: word.start_s)
    merged = []
    for segment in segments:
        middle = [word for word in ordered if _holds(segment, word)]
        merged.append(replace(segment, words=tuple(middle)))
    alone = [word for word in ordered if not any(_holds(segment, word) for segment in segments)]
    return [*merged, segment_of(alone, speaker)] if alone else merged


def _holds(segment: TimedSegment, word: TimedWord) -> bool:
    return segment.start_s <= (word.start_s + word.end_s) / 2 < segment.end_s
