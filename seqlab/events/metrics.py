"""How many true events were found, and how many found ones are true.

All take the true and the found events of recordings, list by list, and count over all of them
(micro average), so that a rare label weighs little; ``average_precision`` is a mean over labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.events.event import Event
from seqlab.events.matching import Agrees, by_iou, match_events
from seqlab.events.overlap import iou_matrix

__all__ = ["EventCounts", "average_precision", "event_counts", "segment_counts"]

Recordings = Sequence[Sequence[Event]]
IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class EventCounts:
    """Right, wrong and missed.

    Args:
        hits: True events (or segments) that were found.
        insertions: Found ones that are not true.
        misses: True ones that were not found.
    """

    hits: int
    insertions: int
    misses: int

    @property
    def precision(self) -> float:
        """Share of the found that is true, in [0, 1]; NaN where nothing was found."""
        return _share(self.hits, self.hits + self.insertions)

    @property
    def recall(self) -> float:
        """Share of the true that was found, in [0, 1]; NaN where there was nothing to find."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of both, in [0, 1]; NaN where nothing is true and nothing found."""
        return _share(2 * self.hits, 2 * self.hits + self.insertions + self.misses)

    def __add__(self, other: EventCounts) -> EventCounts:
        return EventCounts(
            self.hits + other.hits,
            self.insertions + other.insertions,
            self.misses + other.misses,
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def event_counts(
    references: Recordings, answers: Recordings, agrees: Agrees | None = None
) -> EventCounts:
    """Events that were found, by the largest matching of true and found ones of a label.

    Args:
        references: True events of each recording.
        answers: Found events of each, as many lists.
        agrees: Which may be matched; ``by_iou(0.5)`` if None, or ``by_collar(0.2)``.

    Raises:
        SeqlabError: Other numbers of recordings.

    Source: Mesaros, Heittola and Virtanen 2016, "Metrics for Polyphonic Sound Event Detection",
    section 3.2; temporal overlap in place of the collar after Heilbron et al. 2015, "ActivityNet".

    Example:
        >>> truth, found = [[Event("a", 0.0, 1.0)]], [[Event("a", 0.2, 1.0), Event("b", 0.0, 1.0)]]
        >>> counts = event_counts(truth, found)
        >>> counts.precision, counts.recall, round(counts.f1, 3)
        (0.5, 1.0, 0.667)
    """
    _check_pairs(references, answers)
    agrees = agrees or by_iou()
    total = EventCounts(0, 0, 0)
    for true, found in zip(references, answers, strict=True):
        hits = len(match_events(true, found, agrees))
        total += EventCounts(hits, len(found) - hits, len(true) - hits)
    return total


def segment_counts(
    references: Recordings, answers: Recordings, segment_s: float = 1.0
) -> EventCounts:
    """Segments of fixed length in which a label is truly, or was found, active.

    A label is active in a segment that it touches.

    Args:
        references: True events of each recording.
        answers: Found events of each.
        segment_s: Length of a segment in seconds, within [0.001, 3600].

    Raises:
        SeqlabError: Other numbers of recordings, or the length is out of range.

    Source: Mesaros, Heittola and Virtanen 2016, section 3.1.

    Example:
        >>> counts = segment_counts([[Event("a", 0.5, 2.5)]], [[Event("a", 1.2, 1.4)]])
        >>> counts.hits, counts.insertions, counts.misses
        (1, 0, 2)
    """
    _check_pairs(references, answers)
    check_range("segment_s", segment_s, 0.001, 3600, "1.0 is usual")
    total = EventCounts(0, 0, 0)
    for true, found in zip(references, answers, strict=True):
        said, heard = _active(true, segment_s), _active(found, segment_s)
        total += EventCounts(len(said & heard), len(heard - said), len(said - heard))
    return total


def _active(events: Sequence[Event], segment_s: float) -> set[tuple[str, int]]:
    """(label, segment) of everything that is active; a billionth of a segment is rounding."""
    return {
        (event.label, segment)
        for event in events
        for segment in range(
            math.floor(event.onset_s / segment_s + 1e-9),
            math.ceil(event.offset_s / segment_s - 1e-9),
        )
    }


def average_precision(
    references: Recordings,
    answers: Recordings,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> dict[float, float]:
    """Area under precision over recall at each threshold of overlap, a mean over labels.

    Give it many answers, uncertain ones among them: what is missing counts as never found. In the
    order of their scores (of equal ones as they are given) each takes the true event of its label
    and recording that it overlaps most among those not yet taken, if by the threshold.

    Args:
        references: True events of each recording.
        answers: Found events of each, with scores.
        iou_thresholds: Each above 0 and at most 1; by default 0.5, 0.55 ... 0.95.

    Returns:
        By threshold, in [0, 1]; NaN where nothing is true. Their mean is what ActivityNet ranks by.

    Raises:
        SeqlabError: Other numbers of recordings, or a threshold is out of range.

    Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge", section
    4.2, at every recall and not at eleven; thresholds by Heilbron et al. 2015, "ActivityNet".

    Example:
        >>> truth = [[Event("a", 0.0, 1.0), Event("a", 2.0, 3.0)]]
        >>> found = [[Event("a", 0.0, 1.0, 0.9), Event("a", 5.0, 6.0, 0.8)]]
        >>> average_precision(truth, found, [0.5])
        {0.5: 0.5}
    """
    _check_pairs(references, answers)
    for threshold in iou_thresholds:
        check_range("iou_thresholds", threshold, 1e-6, 1, "0.5 is usual")
    labels = sorted({event.label for events in references for event in events})
    areas = [_label_areas(_of(references, x), _of(answers, x), iou_thresholds) for x in labels]
    means = np.mean(areas, axis=0).tolist() if areas else [math.nan] * len(iou_thresholds)
    return dict(zip(iou_thresholds, means, strict=True))


def _of(recordings: Recordings, label: str) -> list[list[Event]]:
    return [[event for event in events if event.label == label] for events in recordings]


def _label_areas(
    references: Recordings, answers: Recordings, thresholds: Sequence[float]
) -> list[float]:
    """Average precision of one label at each threshold."""
    overlaps = [iou_matrix(f, t) for f, t in zip(answers, references, strict=True)]
    ranked = [
        (answer.score, recording, row)
        for recording, found in enumerate(answers)
        for row, answer in enumerate(found)
    ]
    ranked.sort(key=lambda entry: -entry[0])
    total = sum(map(len, references))
    areas = []
    for threshold in thresholds:
        free = [np.ones(len(events), dtype=bool) for events in references]
        right = np.zeros(len(ranked))
        for rank, (_, recording, row) in enumerate(ranked):
            rivals = np.where(free[recording], overlaps[recording][row], -1.0)
            best = int(rivals.argmax()) if len(rivals) else -1
            if best >= 0 and rivals[best] >= threshold - 1e-9:
                free[recording][best], right[rank] = False, 1
        areas.append(_area(right, total))
    return areas


def _area(right: NDArray[np.float64], total: int) -> float:
    """Area under the precision that is reached at each recall or at any higher one."""
    hits = right.cumsum()
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * right).sum() / total)


def _check_pairs(references: Recordings, answers: Recordings) -> None:
    if len(references) != len(answers):
        raise SeqlabError(
            f"{len(references)} recordings of true events and {len(answers)} of found ones must be "
            "as many; pass an empty list for a recording without events"
        )
