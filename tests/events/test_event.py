"""Events as text, JSON and labels, and as targets."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.events.event import Event, events_text, in_order, parse_events, to_audacity, to_json
from seqlab.text.events import EventTokenizer

LABELS = ("one", "smart mirror", "<noise>", "Straße")
milliseconds = st.integers(0, 3_600_000)


@st.composite
def some_events(draw: st.DrawFn) -> list[Event]:
    """Events whose times are whole milliseconds."""
    found = []
    for _ in range(draw(st.integers(0, 6))):
        onset, length = draw(milliseconds), draw(st.integers(1, 60_000))
        label = draw(st.sampled_from(LABELS))
        found.append(Event(label, onset / 1000, (onset + length) / 1000))
    return in_order(found)


@given(some_events())
def test_text_is_read_back(events: list[Event]) -> None:
    assert parse_events(events_text(events)) == events


@given(some_events())
def test_tokens_are_read_back(events: list[Event]) -> None:
    tokenizer = EventTokenizer(labels=list(LABELS))
    text = events_text(events)
    tokens = tokenizer.encode(text)
    assert len(tokens) == 3 * len(events) and tokenizer.decode(tokens) == text
    assert tokenizer.normalize(text) == text


def test_text_by_hand() -> None:
    events = [Event("two", 1.0, 2.0), Event("one", 0.1234, 0.12345)]
    assert events_text(events) == "0.123 0.124 one; 1.000 2.000 two"  # a millisecond at least
    assert parse_events("  ") == [] and events_text([]) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("one", "event 'one' must be 'ONSET OFFSET LABEL'"),
        ("1 2", "must be 'ONSET OFFSET LABEL'"),
        ("2 1 one", "onset_s=2.0 and offset_s=1.0"),
        ("1 1 one", "onset_s < offset_s"),
        ("-1 1 one", "must be 'ONSET OFFSET LABEL'"),
        ("nan 1 one", "must be 'ONSET OFFSET LABEL'"),
        ("0 1 one;", "must be 'ONSET OFFSET LABEL'"),
        ("0 1 a\x07b", "must be text of one line"),
        (f"0 {'9' * 400} one", "offset_s=inf"),
    ],
)
def test_bad_text(text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        parse_events(text)


def test_too_many_events() -> None:
    with pytest.raises(DataError, match="at most 100000"):
        parse_events(";" * 200_000)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", 0.0, 1.0), "event label ''"),
        (("a; b", 0.0, 1.0), "no ';'"),
        (("a\tb", 0.0, 1.0), "one line"),
        (("a", math.nan, 1.0), "onset_s=nan"),
        (("a", 0.0, math.inf), "offset_s=inf"),
        (("a", 0.0, 1.0, 1.5), "score=1.5 must be within 0 and 1"),
        (("a", 0.0, 1.0, math.nan), "score=nan"),
    ],
)
def test_bad_event(arguments: tuple[str, float, float], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Event(*arguments)


def test_audacity_and_json() -> None:
    events = [Event("smart mirror", 1.5, 2.25, 0.75), Event("one", 0.0, 0.5)]
    assert to_audacity(events) == "0.000000\t0.500000\tone\n1.500000\t2.250000\tsmart mirror\n"
    content = json.loads(to_json({"a.wav": events, "b.wav": []}))
    assert content[0]["events"][0] == {
        "onset_s": 1.5,
        "offset_s": 2.25,
        "label": "smart mirror",
        "score": 0.75,
    }
    assert content[1] == {"file": "b.wav", "events": []}


def test_tokenizer_learns_labels() -> None:
    tokenizer = EventTokenizer().fit(["", "0 1 b; 0.5 2 a", "3 4 b"])
    assert tokenizer.tokens == ["a", "b"] and tokenizer.blank is None
    assert EventTokenizer().load_state(tokenizer.state()).tokens == ["a", "b"]
    with pytest.raises(DataError, match="event 'bb' is not among the 2 known tokens; did you mean"):
        tokenizer.encode("0 1 bb")
    with pytest.raises(DataError, match="hold no events"):
        EventTokenizer().fit(["", ""])
    with pytest.raises(DataError, match="4 tokens are no events"):
        tokenizer.decode([0, 0, 1, 1])
    with pytest.raises(DataError, match="too late"):
        tokenizer.encode("0 9999999999 a")
    with pytest.raises(DataError, match="'c' is not among"):
        EventTokenizer(labels=["a", "b"]).fit(["0 1 c"])
