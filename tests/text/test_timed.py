"""Formats of timed text against their specifications, hostile text, and round trips."""

from __future__ import annotations

import contextlib
import itertools
import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, SeqlabError
from seqlab.text import timed
from seqlab.text.timed import CueLayout, TimedSegment, TimedWord

HELLO = TimedSegment(
    0.5,
    2.0,
    "Hello, world!",
    (TimedWord("hello", 0.5, 1.0, 0.75), TimedWord("world", 1.25, 2.0, 0.5)),
    confidence=0.625,
)
BYE = TimedSegment(3600.25, 3601.0, "Good bye")
HOSTILE = "a\r\n\r\n2\n00:00:01,000 --> 00:00:02,000\x00\x07<b>&\u2028\u202eabc\ud800"

texts = st.text(max_size=30)
names = st.none() | texts
moments = st.floats(0, 400_000, allow_nan=False)


@st.composite
def segments(draw, text=texts, speakers=names):
    start_s, end_s = sorted((draw(moments), draw(moments)))
    return TimedSegment(start_s, end_s, draw(text), speaker=draw(speakers))


# The expected files are written by hand from the formats' descriptions.

SRT = """\
1
00:00:00,500 --> 00:00:02,000
Hello, world!

2
01:00:00,250 --> 01:00:01,000
Good bye
"""

VTT = """\
WEBVTT

00:00:00.500 --> 00:00:02.000
Hello, world!

01:00:00.250 --> 01:00:01.000
Good bye
"""

CTM = """\
talk 1 0.500 0.500 Hello, 0.750
talk 1 1.250 0.750 world! 0.500
talk 1 3600.250 0.429 Good 1.000
talk 1 3600.679 0.321 bye 1.000
"""

TEXTGRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "segments"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 2
            text = "Hello, world!"
        intervals [3]:
            xmin = 2
            xmax = 2.5
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2.5
        intervals: size = 5
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1
            text = "hello"
        intervals [3]:
            xmin = 1
            xmax = 1.25
            text = ""
        intervals [4]:
            xmin = 1.25
            xmax = 2
            text = "world"
        intervals [5]:
            xmin = 2
            xmax = 2.5
            text = ""
"""

# As Praat's "Save as short text file" lays it out.
SHORT_TEXTGRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
3
"IntervalTier"
"Ann - words"
0
2.5
2
0
1.5
"say ""hi"" now"
1.5
2.5
""
"TextTier"
"clicks"
0
2.5
1
1.25
"click"
"IntervalTier"
"Ann - phones"
0
2.5
1
0
2.5
"s"
"""


def test_srt_as_specified():
    assert timed.to_srt([BYE, HELLO]) == SRT


def test_vtt_as_specified():
    assert timed.to_vtt([BYE, HELLO]) == VTT


def test_ctm_as_specified():
    assert timed.to_ctm([BYE, HELLO], "talk") == CTM


def test_textgrid_as_specified():
    assert timed.to_textgrid([HELLO], duration_s=2.5) == TEXTGRID


def test_txt_is_a_line_a_segment():
    assert timed.to_txt([BYE, TimedSegment(1, 2, " "), HELLO]) == "Hello, world!\nGood bye\n"


def test_json_keeps_everything():
    content = json.loads(timed.to_json([HELLO]))
    assert content["segments"][0]["words"][1] == {
        "text": "world",
        "start_s": 1.25,
        "end_s": 2.0,
        "confidence": 0.5,
    }
    assert timed.from_json(timed.to_json([HELLO, BYE])) == [HELLO, BYE]


def test_nothing_said():
    assert timed.to_txt([]) == timed.to_srt([]) == timed.to_ctm([], "a") == ""
    assert timed.to_vtt([]) == "WEBVTT\n"
    assert timed.from_vtt(timed.to_vtt([])) == timed.from_srt("") == []
    assert timed.from_textgrid(timed.to_textgrid([], duration_s=1.0)) == []
    assert timed.from_json(timed.to_json([])) == []


@pytest.mark.parametrize("form", timed.FORMATS)
def test_every_format_by_name(form):
    text = timed.timed_text([HELLO], form, recording="talk", duration_s=2.5)
    assert "ello" in text and text.endswith("\n")


def test_unknown_format():
    with pytest.raises(SeqlabError, match="did you mean 'TextGrid'"):
        timed.timed_text([], "textgrid")


def test_hours_grow_beyond_two_digits():
    text = timed.to_srt([TimedSegment(100 * 3600, 100 * 3600 + 1, "late")])
    assert "100:00:00,000 --> 100:00:01,000" in text
    assert timed.from_srt(text)[0].start_s == 360_000


def test_rounding_carries_into_minutes():
    assert "00:01:00,000 --> 00:01:00,001" in timed.to_srt([TimedSegment(59.9996, 59.9999, "a")])


def test_overlapping_cues_are_cut_and_none_is_lost():
    said = [TimedSegment(1, 5, "a"), TimedSegment(3, 4, "b"), TimedSegment(3, 6, "c")]
    times = [(s.start_s, s.end_s) for s in timed.from_srt(timed.to_srt(said))]
    assert times == [(1, 3), (3, 3.001), (3.001, 6)]


def test_hostile_text_is_one_cue():
    said = [TimedSegment(0, 1, HOSTILE, speaker=HOSTILE)]
    for text, read in (
        (timed.to_srt(said), timed.from_srt),
        (timed.to_vtt(said), timed.from_vtt),
    ):
        text.encode("utf-8")
        assert text.count("-->") == 1
        assert len(read(text)) == 1


def test_vtt_escapes_come_back():
    said = [TimedSegment(0, 1, "a --> <i>b</i> &amp; c", speaker="R&D > Ann")]
    assert timed.from_vtt(timed.to_vtt(said)) == said


def test_right_to_left_text_is_kept():
    said = [TimedSegment(0, 1, "مرحبا يا عالم", (TimedWord("مرحبا", 0, 0.5),))]
    assert timed.from_vtt(timed.to_vtt(said))[0].text == said[0].text
    assert timed.from_textgrid(timed.to_textgrid(said)) == said


def test_vtt_with_everything_the_specification_allows():
    text = (
        "\ufeffWEBVTT - a title\r\nKind: captions\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n"
        "NOTE a remark\r\n\r\nfirst\r\n00:01.000 --> 00:02.000 align:start line:0%\r\n"
        "<v.loud Ann>Hi <c.red>there</c></v>\r\n- friend &lt;3\r\n\r\n"
        "100:00:00.000 --> 100:00:01.000\r\nlate"
    )
    assert timed.from_vtt(text) == [
        TimedSegment(1, 2, "Hi there - friend <3", speaker="Ann"),
        TimedSegment(360_000, 360_001, "late"),
    ]


def test_srt_without_empty_lines_between_cues():
    text = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<font color='red'>one</font>\n2\n"
    text += "00:00:02,000 --> 00:00:03,000\n1 < 2 > 0\n"
    assert [s.text for s in timed.from_srt(text)] == ["one", "1 < 2 > 0"]


def test_short_textgrid_of_praat():
    (said,) = timed.from_textgrid(SHORT_TEXTGRID)
    word = TimedWord('say "hi" now', 0, 1.5)
    assert said == TimedSegment(0, 1.5, 'say "hi" now', (word,), speaker="Ann")


def test_textgrid_bytes_in_each_encoding_of_praat():
    text = timed.to_textgrid([TimedSegment(0, 1, "é")])
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert timed.from_textgrid(text.encode(encoding))[0].text == "é"
    with pytest.raises(DataError, match="UTF-8"):
        timed.from_textgrid(text.encode("latin-1"))


def test_textgrid_tiers_of_speakers():
    said = [
        TimedSegment(0, 2, "one", (TimedWord("one", 0.5, 1),), speaker="Ann"),
        TimedSegment(1, 3, "two", (TimedWord("two", 1, 2.5),), speaker="Bo - B"),
    ]
    assert timed.from_textgrid(timed.to_textgrid(said)) == said


@given(st.lists(segments(), max_size=6))
@settings(max_examples=80, deadline=None)
def test_cues_never_overlap_and_are_all_there(said):
    for text, read in (
        (timed.to_srt(said), timed.from_srt),
        (timed.to_vtt(said), timed.from_vtt),
    ):
        text.encode("utf-8")
        cues = read(text)
        assert len(cues) == sum(bool(timed.clean(s.text)) for s in said)
        assert all(cue.start_s < cue.end_s for cue in cues)
        assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(cues))


@given(st.lists(segments(), max_size=6))
@example([TimedSegment(0.0, 0.0, "\xa0")])  # a line that only looks empty
@settings(max_examples=80, deadline=None)
def test_vtt_round_trip_of_text(said):
    ordered = sorted(said, key=lambda s: (s.start_s, s.end_s))
    shown = [timed.clean(s.text) for s in ordered if timed.clean(s.text)]
    assert [s.text for s in timed.from_vtt(timed.to_vtt(said))] == shown


@given(st.lists(segments(speakers=st.none()), max_size=6), st.booleans())
@settings(max_examples=80, deadline=None)
def test_textgrid_is_contiguous_and_keeps_texts(said, windows):
    text = timed.to_textgrid(said)
    text.encode("utf-8")
    numbers = re.findall(r"^ {12}xm(?:in|ax) = (.*)$", text, re.M)
    assert "nan" not in numbers
    back = timed.from_textgrid(text.replace("\n", "\r\n") if windows else text)
    ordered = sorted(said, key=lambda s: s.start_s)
    assert [s.text for s in back] == [timed.clean(s.text) for s in ordered if timed.clean(s.text)]
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(back))


@given(st.lists(segments(), max_size=6))
@settings(max_examples=80, deadline=None)
def test_json_round_trip(said):
    whole = [s for s in said if not re.search("[\ud800-\udfff]", s.text + (s.speaker or ""))]
    assert timed.from_json(timed.to_json(whole)) == whole


@given(st.lists(segments(), max_size=6), texts)
@settings(max_examples=80, deadline=None)
def test_ctm_has_six_columns_and_comes_back(said, name):
    text = timed.to_ctm(said, name)
    text.encode("utf-8")
    assert all(len(line.split()) == 6 for line in text.splitlines())
    words = [w for s in said for w in timed.words_in(s)]
    back = [w for group in timed.from_ctm(text).values() for w in group]
    assert len(back) == len(words)
    starts = sorted(word.start_s for word in words)
    assert [w.start_s for w in back] == pytest.approx(starts, abs=5.1e-4)


def test_ctm_of_lhotse_reads_the_same(tmp_path):
    from lhotse import SupervisionSegment, SupervisionSet

    path = tmp_path / "talk.ctm"
    path.write_text(timed.to_ctm([HELLO], "talk"), encoding="utf-8")
    whole = SupervisionSet.from_segments([SupervisionSegment("a", "talk", 0, 3, channel=1)])
    (read,) = whole.with_alignment_from_ctm(path, match_channel=True)
    items = [(i.symbol, i.start, i.duration, i.score) for i in read.alignment["word"]]
    assert items == [("Hello,", 0.5, 0.5, 0.75), ("world!", 1.25, 0.75, 0.5)]


# Subtitles


def test_layout_by_hand():
    text = "the quick brown fox jumps over the lazy dog"
    said = [TimedWord(word, i, i + 1) for i, word in enumerate(text.split())]
    text = timed.to_srt([timed.segment_of(said)], CueLayout(line_characters=10, lines=2))
    assert [block.splitlines()[1:] for block in text.split("\n\n")] == [
        ["00:00:00,000 --> 00:00:04,000", "the quick", "brown fox"],
        ["00:00:04,000 --> 00:00:08,000", "jumps over", "the lazy"],
        ["00:00:08,000 --> 00:00:09,000", "dog"],
    ]


def test_lines_of_a_cue_are_about_equally_long():
    said = TimedSegment(0, 4, "a subtitle of two lines ought not to end alone")
    (cue,) = timed.to_srt([said], CueLayout()).split("\n\n")
    assert cue.splitlines()[2:] == ["a subtitle of two lines", "ought not to end alone"]


def test_short_segments_are_left_as_they_are():
    assert timed.to_srt([HELLO, BYE], CueLayout()) == SRT


def test_long_cues_are_cut_where_words_end():
    words = [TimedWord("one", 0, 1), TimedWord("two", 6, 6.5), TimedWord("three", 7.5, 8)]
    cues = timed.from_srt(timed.to_srt([timed.segment_of(words)], CueLayout(cue_s=7)))
    assert [(c.text, c.start_s, c.end_s) for c in cues] == [("one two", 0, 6.5), ("three", 7.5, 8)]


@given(segments(), st.integers(1, 12), st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_layout_keeps_every_character_and_its_limits(said, width, lines):
    blocks = timed.to_vtt([said], CueLayout(width, lines, cue_s=5)).split("\n\n")[1:]
    kept = ""
    for block in blocks:
        shown = timed.from_vtt("WEBVTT\n\n" + block)[0].text
        kept += shown
        assert len(block.strip("\n").split("\n")) - 1 <= lines or not said.text.strip()
    assert "".join(kept.split()) == "".join(timed.clean(said.text).split())


@pytest.mark.parametrize(
    "options", [{"line_characters": 0}, {"lines": 0}, {"cue_s": 0.0}, {"cue_s": float("nan")}]
)
def test_bad_layout(options):
    with pytest.raises(SeqlabError, match=f"{next(iter(options))}=.* must be"):
        CueLayout(**options)


# Bad values and files

LISTED = '{"segments": [{"start_s": 0, "end_s": %s}]}'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimedWord("a", 2, 1), "word 'a' runs from 2 to 1 s"),
        (lambda: TimedWord("a", -1, 1), "from -1"),
        (lambda: TimedWord("a", 0, float("inf")), "inf"),
        (lambda: TimedWord("a", 0, 1, float("nan")), "confidence=nan"),
        (lambda: TimedSegment(0, 1, "a", confidence=1.5), "confidence=1.5"),
        (
            lambda: TimedSegment(0, 3, "b a", (TimedWord("b", 2, 3), TimedWord("a", 1, 2))),
            "sort the words",
        ),
        (lambda: timed.segment_of([]), "0 words"),
        (lambda: timed.to_textgrid([], duration_s=float("nan")), "duration_s=nan"),
        (lambda: timed.from_srt("hello\n"), "SubRip"),
        (lambda: timed.from_srt("1\n00:00:02,000 --> 00:00:01,000\na\n"), "runs from 2.0 to 1.0"),
        (lambda: timed.from_vtt(SRT), "is it SRT"),
        (lambda: timed.from_vtt("WEBVTTX\n"), "starts with WEBVTT"),
        (lambda: timed.from_ctm("a 1 0.5 0.5\n"), "line 1 .* 4 columns"),
        (lambda: timed.from_ctm("a 1 x 0.5 b\n"), "could not convert"),
        (lambda: timed.from_ctm("a 1 0 nan b\n"), "runs from 0.0 to nan"),
        (lambda: timed.from_textgrid("hello"), "does not start as a TextGrid"),
        (lambda: timed.from_textgrid(TEXTGRID[:-300]), "cut short|number must stand"),
        (lambda: timed.from_textgrid(TEXTGRID.replace("size = 3", "size = 2.5")), "whole number"),
        (lambda: timed.from_textgrid(TEXTGRID.replace('"Hello, world!"', "7")), "text must stand"),
        (lambda: timed.from_json("{"), "JSONDecodeError"),
        (lambda: timed.from_json("[]"), "list 'segments'"),
        (lambda: timed.from_json(LISTED % '"1", "text": "a"'), "'1' is not a number"),
        (lambda: timed.from_json(LISTED % '1, "text": 5'), "5 is not a text"),
        (lambda: timed.from_json("[" * 100_000), "RecursionError"),
    ],
)
def test_bad_values_are_named(make, message):
    with pytest.raises(DataError, match=message):
        make()


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_readers_refuse_or_read_anything(text):
    readers = (timed.from_srt, timed.from_vtt, timed.from_ctm, timed.from_json, timed.from_textgrid)
    starts = ("", "WEBVTT\n", 'File type = "ooTextFile"\n"TextGrid" 0 1 <exists> 1 ')
    for read in readers:
        for start in starts:
            with contextlib.suppress(DataError):
                read(start + text)
