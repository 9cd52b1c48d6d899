"""A sound event: what was heard from when to when; as text, JSON and Audacity labels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqlab.errors import DataError

MAX_EVENTS = 100_000  # in one text; more is a damaged file
_TIMES = re.compile(r"(\d+(?:\.\d+)?) (\d+(?:\.\d+)?) (\S.*)")


@dataclass(frozen=True, slots=True)
class Event:
    """A sound event.

    Args:
        label: What it is; one line, without ``;``, with single spaces.
        onset_s: When it begins, in seconds from the start of the recording, at least 0.
        offset_s: When it ends, after ``onset_s``.
        score: How sure it is, in [0, 1]; 1 of what is known.

    Raises:
        DataError: A value is out of range.

    Example:
        >>> Event("dog", 0.5, 1.25).duration_s
        0.75
    """

    label: str
    onset_s: float
    offset_s: float
    score: float = 1.0

    def __post_init__(self) -> None:
        check_label(self.label)
        if not (math.isfinite(self.offset_s) and 0 <= self.onset_s < self.offset_s):
            raise DataError(
                f"event {self.label!r}: onset_s={self.onset_s} and offset_s={self.offset_s} must "
                "be 0 <= onset_s < offset_s, both finite; correct the times"
            )
        if not 0 <= self.score <= 1:
            raise DataError(
                f"event {self.label!r}: score={self.score} must be within 0 and 1; pass a "
                "probability"
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds, above 0."""
        return self.offset_s - self.onset_s


def check_label(label: str) -> None:
    """Raise DataError unless ``label`` can be the label of an event."""
    if not label or " ".join(label.split()) != label or ";" in label or not label.isprintable():
        raise DataError(
            f"event label {label!r} must be text of one line with single spaces and no ';'; "
            "rename it"
        )


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events by onset, then offset, then label.

    >>> [e.label for e in in_order([Event("b", 1.0, 2.0), Event("a", 0.0, 3.0)])]
    ['a', 'b']
    """
    return sorted(events, key=lambda e: (e.onset_s, e.offset_s, e.label))


def events_text(events: Iterable[Event]) -> str:
    """Events as one line, times in seconds to the millisecond; ``parse_events`` reads it.

    Scores are left out. An event shorter than a millisecond is given one.

    >>> events_text([Event("two", 1.0, 2.5), Event("one", 0.25, 0.7411)])
    '0.250 0.741 one; 1.000 2.500 two'
    """
    return "; ".join(_one(event) for event in in_order(events))


def _one(event: Event) -> str:
    onset_ms = round(1000 * event.onset_s)
    offset_ms = max(round(1000 * event.offset_s), onset_ms + 1)
    return f"{onset_ms / 1000:.3f} {offset_ms / 1000:.3f} {event.label}"


def parse_events(text: str) -> list[Event]:
    """Events of a line that ``events_text`` wrote; none of an empty one.

    Raises:
        DataError: Not such a line; the message quotes the part.

    Example:
        >>> parse_events("0.250 0.741 one; 1 2.5 two")[1]
        Event(label='two', onset_s=1.0, offset_s=2.5, score=1.0)
    """
    parts = [part.strip() for part in text.split(";")]
    if parts == [""]:
        return []
    if len(parts) > MAX_EVENTS:
        raise DataError(f"{len(parts)} events in one recording, must be at most {MAX_EVENTS}")
    return [_parsed(part) for part in parts]


def _parsed(part: str) -> Event:
    found = _TIMES.fullmatch(part)
    if found is None:
        raise DataError(
            f"event {part[:60]!r} must be 'ONSET OFFSET LABEL' with times in seconds, such as "
            "'0.250 0.741 one', events parted by ';'; correct it"
        )
    return Event(found[3], float(found[1]), float(found[2]))


def to_audacity(events: Iterable[Event]) -> str:
    r"""Events as a label track of Audacity: start, end and label, with tabs.

    Source: Audacity manual, "Importing and Exporting Labels", standard format.

    >>> to_audacity([Event("one", 0.25, 0.75)])
    '0.250000\t0.750000\tone\n'
    """
    lines = [f"{e.onset_s:.6f}\t{e.offset_s:.6f}\t{e.label}\n" for e in in_order(events)]
    return "".join(lines)


def event_facts(event: Event) -> dict[str, Any]:
    """An event as plain values for JSON, times to the millisecond.

    >>> event_facts(Event("one", 0.25, 0.75, 0.5))
    {'onset_s': 0.25, 'offset_s': 0.75, 'label': 'one', 'score': 0.5}
    """
    return {
        "onset_s": round(event.onset_s, 3),
        "offset_s": round(event.offset_s, 3),
        "label": event.label,
        "score": round(event.score, 6),
    }


def to_json(answers: Mapping[str, Sequence[Event]]) -> str:
    """Events of files, one object a file, as indented JSON."""
    content = [
        {"file": file, "events": [event_facts(event) for event in events]}
        for file, events in answers.items()
    ]
    return json.dumps(content, ensure_ascii=False, indent=1)
