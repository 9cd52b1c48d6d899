"""Subtitles: SubRip (.srt) and WebVTT (.vtt), and how text is cut into cues and lines."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqlab.checks import check_at_least
from seqlab.errors import DataError
from seqlab.text.segments import TimedSegment, TimedWord, clean, words_in

_STAMP = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMING = re.compile(rf"\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?")
_SRT_TAG = re.compile(r"</?(?:[bius]|font)(?:\s[^>]*)?>|\{\\an?\d+\}", re.IGNORECASE)
_VTT_TAG = re.compile(r"<[^>]*>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>]*)>")


@dataclass(frozen=True, slots=True)
class CueLayout:
    """How much of a text may stand on the screen at once; longer segments become several cues.

    Args:
        line_characters: in one line, at least 1; 42 is what broadcasters take for Latin script.
            A longer word is broken.
        lines: of a cue, at least 1.
        cue_s: longest time of a cue, above 0 seconds. A single longer word keeps its time.

    Raises:
        SeqlabError: a value outside its range.
    """

    line_characters: int = 42
    lines: int = 2
    cue_s: float = 7.0

    def __post_init__(self) -> None:
        check_at_least("line_characters", self.line_characters, 1)
        check_at_least("lines", self.lines, 1)
        if not self.cue_s > 0:
            raise DataError(f"cue_s={self.cue_s} must be above 0 seconds; 7 is usual")


def to_srt(segments: Sequence[TimedSegment], layout: CueLayout | None = None) -> str:
    """SubRip text; for players and editors of every kind.

    Times are milliseconds after a comma. Cues are in order, last 1 ms or more and never overlap:
    the earlier one ends where the next begins. SubRip has no way to escape, so an arrow ``-->``
    within a text is written as one character, and a speaker is written before the text.

    Args:
        segments: in any order; those without text are left out.
        layout: cut long segments into cues and lines; None writes each as one cue of one line.

    Example:
        >>> print(to_srt([TimedSegment(0.0, 61.5, "one two", speaker="Ann")]), end="")
        1
        00:00:00,000 --> 00:01:01,500
        Ann: one two
    """
    blocks = []
    for number, (start, end, speaker, lines) in enumerate(_cues(segments, layout), start=1):
        shown = [line.replace("-->", "\u2192") for line in lines]
        if speaker:
            shown[0] = f"{speaker.replace('-->', chr(0x2192))}: {shown[0]}"
        timing = f"{_stamp(start, ',')} --> {_stamp(end, ',')}"
        blocks.append("\n".join([str(number), timing, *shown]) + "\n")
    return "\n".join(blocks)


def to_vtt(segments: Sequence[TimedSegment], layout: CueLayout | None = None) -> str:
    """WebVTT text; for browsers.

    Times as ``to_srt``, after a point. ``&``, ``<`` and ``>`` are escaped, and a speaker becomes a
    voice span.

    Args:
        segments: in any order; those without text are left out.
        layout: cut long segments into cues and lines; None writes each as one cue of one line.

    Source: W3C, WebVTT: The Web Video Text Tracks Format, sections 4 and 6.

    Example:
        >>> print(to_vtt([TimedSegment(0.0, 61.5, "1 < 2", speaker="Ann")]), end="")
        WEBVTT
        <BLANKLINE>
        00:00:00.000 --> 00:01:01.500
        <v Ann>1 &lt; 2
    """
    blocks = ["WEBVTT\n"]
    for start, end, speaker, lines in _cues(segments, layout):
        shown = [html.escape(line, quote=False) for line in lines]
        if speaker:
            shown[0] = f"<v {html.escape(speaker, quote=False)}>{shown[0]}"
        timing = f"{_stamp(start, '.')} --> {_stamp(end, '.')}"
        blocks.append("\n".join([timing, *shown]) + "\n")
    return "\n".join(blocks)


def from_srt(text: str) -> list[TimedSegment]:
    r"""The cues of SubRip text; line breaks within a cue become spaces, tags are left out.

    Raises:
        DataError: a cue ends before it starts, or there is no cue in a text that is not empty.

    Example:
        >>> from_srt("1\n00:00:01,000 --> 00:00:02,500\n<i>Go</i>\non!\n")[0].text
        'Go on!'
    """
    return [
        TimedSegment(start_s, end_s, clean(_SRT_TAG.sub("", " ".join(lines))))
        for start_s, end_s, lines in _read_cues(text, "SubRip")
    ]


def from_vtt(text: str) -> list[TimedSegment]:
    r"""The cues of WebVTT text, with voice spans as speakers; other tags are left out.

    Raises:
        DataError: the text does not start with WEBVTT, or a cue ends before it starts.

    Example:
        >>> from_vtt("WEBVTT\n\n00:01.000 --> 00:02.500\n<v Ann>1 &lt; 2")[0]
        ... # doctest: +NORMALIZE_WHITESPACE
        TimedSegment(start_s=1.0, end_s=2.5, text='1 < 2', words=(), speaker='Ann',
            confidence=1.0)
    """
    text = text.removeprefix("\ufeff")
    if not re.match(r"WEBVTT(?=[ \t\r\n]|$)", text):
        raise DataError(
            f"the text starts with {text[:20]!r}, WebVTT starts with WEBVTT; is it SRT?"
        )
    segments = []
    for start_s, end_s, lines in _read_cues(text, "WebVTT", may_be_empty=True):
        joined = " ".join(lines)
        voice = _VOICE.search(joined)
        speaker = clean(html.unescape(voice[1])) if voice else None
        content = clean(html.unescape(_VTT_TAG.sub("", joined)))
        segments.append(TimedSegment(start_s, end_s, content, speaker=speaker or None))
    return segments


def _read_cues(
    text: str, kind: str, may_be_empty: bool = False
) -> Iterator[tuple[float, float, list[str]]]:
    lines = re.split(r"\r\n|\n|\r", text)
    found = 0
    number = 0
    while number < len(lines):
        timing = _TIMING.fullmatch(lines[number])
        number += 1
        if timing is None:
            continue
        content = []
        # Some writers leave out the empty line between cues; a number may then stand before.
        while number < len(lines) and lines[number].strip(" \t") and "-->" not in lines[number]:
            content.append(lines[number])
            number += 1
        if number < len(lines) and "-->" in lines[number] and content and content[-1].isdigit():
            content.pop()
        found += 1
        yield _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:]), content
    if not found and text.strip() and not may_be_empty:
        raise DataError(
            f"no line of {kind} text reads like 00:00:01,000 --> 00:00:02,000; is it of another "
            "format?"
        )


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds = (int(part or 0) for part in parts[:3])
    thousandths = int((parts[3] or "").ljust(3, "0"))
    return ((hours * 60 + minutes) * 60 + seconds) + thousandths / 1000


def _stamp(milliseconds: int, mark: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{rest:03}"


def _cues(
    segments: Sequence[TimedSegment], layout: CueLayout | None
) -> list[tuple[int, int, str, list[str]]]:
    """(start, end, speaker, lines) of each cue, in whole milliseconds, without overlaps."""
    found: list[tuple[float, float, str, list[str]]] = []
    for segment in sorted(segments, key=lambda segment: (segment.start_s, segment.end_s)):
        speaker = clean(segment.speaker or "")
        if text := clean(segment.text):
            parts = [(segment.start_s, segment.end_s, [text])]
            if layout is not None and _too_much(segment, text, layout):
                parts = _split(words_in(segment), layout)
            found += [(start_s, end_s, speaker, lines) for start_s, end_s, lines in parts]
    found.sort(key=lambda cue: cue[0])
    starts: list[int] = []
    for start_s, *_ in found:
        starts.append(max(round(start_s * 1000), starts[-1] + 1 if starts else 0))
    cues = []
    for place, (_, end_s, speaker, lines) in enumerate(found):
        end = max(round(end_s * 1000), starts[place] + 1)
        if place + 1 < len(found):
            end = min(end, starts[place + 1])
        cues.append((starts[place], end, speaker, lines))
    return cues


def _too_much(segment: TimedSegment, text: str, layout: CueLayout) -> bool:
    return len(text) > layout.line_characters or segment.end_s - segment.start_s > layout.cue_s


def _split(words: Sequence[TimedWord], layout: CueLayout) -> list[tuple[float, float, list[str]]]:
    """As many words in each cue as its lines and its time allow."""
    cues: list[tuple[float, float, list[str]]] = []
    held: list[TimedWord] = []
    pieces = [piece for word in words for piece in _broken(word, layout.line_characters)]
    for word in pieces:
        texts = [one.text for one in (*held, word)]
        fits = len(_wrapped(texts, layout.line_characters)) <= layout.lines
        if held and not (fits and word.end_s - held[0].start_s <= layout.cue_s):
            cues.append(_cue(held, layout))
            held = []
        held.append(word)
    if held:
        cues.append(_cue(held, layout))
    return cues


def _cue(words: Sequence[TimedWord], layout: CueLayout) -> tuple[float, float, list[str]]:
    texts = [word.text for word in words]
    width = layout.line_characters
    count = len(_wrapped(texts, width))
    # The narrowest width that needs no more lines makes them about equally long.
    while width > 1 and len(_wrapped(texts, width - 1)) <= count:
        width -= 1
    return words[0].start_s, max(word.end_s for word in words), _wrapped(texts, width)


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    lines = [texts[0]]
    for text in texts[1:]:
        if len(lines[-1]) + 1 + len(text) <= width:
            lines[-1] += " " + text
        else:
            lines.append(text)
    return lines


def _broken(word: TimedWord, width: int) -> list[TimedWord]:
    """``word``, or pieces of ``width`` characters, which share its time; accents stay in place."""
    pieces = [""]
    for character in word.text:
        if len(pieces[-1]) >= width and not unicodedata.combining(character):
            pieces.append("")
        pieces[-1] += character
    if len(pieces) == 1:
        return [word]
    whole = TimedSegment(word.start_s, word.end_s, " ".join(pieces), confidence=word.confidence)
    return list(words_in(whole))
