"""Which found event stands for which true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seqlab.checks import check_range
from seqlab.events.event import Event
from seqlab.events.overlap import temporal_iou

Agrees = Callable[[Event, Event], bool]  # (reference, answer) of one label
_ROUNDING = 1e-9  # what sums of decimal fractions may be off


def by_iou(iou_threshold: float = 0.5) -> Agrees:
    """Whether two events overlap by at least ``iou_threshold``, above 0 and at most 1."""
    check_range("iou_threshold", iou_threshold, 1e-6, 1, "0.5 is usual")
    return lambda reference, answer: temporal_iou(reference, answer) >= iou_threshold - _ROUNDING


def by_collar(onset_s: float = 0.2, offset_share: float | None = None) -> Agrees:
    """Whether two events begin, and if asked end, at about the same time.

    Args:
        onset_s: Most seconds between the onsets, either way; 0 or more.
        offset_share: Also hold the offsets against each other: they may differ by ``onset_s`` or
            this share of the true event's length, whichever is more. None: offsets do not count.

    Source: Mesaros, Heittola and Virtanen 2016, "Metrics for Polyphonic Sound Event Detection",
    section 3.2.2.
    """
    check_range("onset_s", onset_s, 0, 3600, "0.2 is usual")
    if offset_share is not None:
        check_range("offset_share", offset_share, 0, 1, "0.5 is usual")

    def agrees(reference: Event, answer: Event) -> bool:
        if abs(reference.onset_s - answer.onset_s) > onset_s + _ROUNDING:
            return False
        if offset_share is None:
            return True
        allowed = max(onset_s, offset_share * reference.duration_s)
        return abs(reference.offset_s - answer.offset_s) <= allowed + _ROUNDING

    return agrees


def match_events(
    references: Sequence[Event], answers: Sequence[Event], agrees: Agrees
) -> list[tuple[int, int]]:
    """As many pairs (reference, answer) of one label as agree, each event in one pair at most.

    The matching is the largest there is (not a greedy one), so that counts do not depend on the
    order of events or on their scores.

    Args:
        references: True events of a recording.
        answers: Found events of it.
        agrees: Such as ``by_iou()``.

    Returns:
        Indices, by reference.

    Source: augmenting paths by Berge 1957, "Two theorems in graph theory".

    Example:
        >>> truth = [Event("a", 0.0, 1.0), Event("a", 0.1, 1.1)]
        >>> match_events(truth, [Event("a", 0.2, 1.2), Event("b", 0.0, 1.0)], by_collar())
        [(0, 0)]
    """
    possible = [
        [
            place
            for place, answer in enumerate(answers)
            if answer.label == reference.label and agrees(reference, answer)
        ]
        for reference in references
    ]
    taken: dict[int, int] = {}  # answer -> reference
    for reference in range(len(references)):
        _augment(reference, possible, taken)
    return sorted((reference, answer) for answer, reference in taken.items())


def _augment(start: int, possible: Sequence[Sequence[int]], taken: dict[int, int]) -> None:
    """Give ``start`` an answer, if need be by moving others, breadth first; none may lose one."""
    reached_from: dict[int, int] = {}  # answer -> the reference that looks at it
    waiting = [start]
    for reference in waiting:
        for answer in possible[reference]:
            if answer in reached_from:
                continue
            reached_from[answer] = reference
            if answer in taken:
                waiting.append(taken[answer])
                continue
            while True:  # hand the answers on, back to the start
                owner = reached_from[answer]
                previous = next((a for a, r in taken.items() if r == owner), None)
                taken[answer] = owner
                if previous is None:
                    return
                answer = previous
