"""How far events overlap in time, and which of overlapping ones are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_choice, check_range
from seqlab.events.event import Event, in_order

__all__ = [
    "iou_matrix",
    "non_maximum_suppression",
    "soft_non_maximum_suppression",
    "temporal_iou",
]


def temporal_iou(one: Event, other: Event) -> float:
    """Time that two events share over the time that either takes, in [0, 1]; labels do not count.

    >>> temporal_iou(Event("a", 0.0, 2.0), Event("b", 1.0, 3.0))  # 1 s of 3 s
    0.3333333333333333
    """
    shared = min(one.offset_s, other.offset_s) - max(one.onset_s, other.onset_s)
    if shared <= 0:
        return 0.0
    whole = max(one.offset_s, other.offset_s) - min(one.onset_s, other.onset_s)
    return min(shared / whole, 1.0)  # they overlap, so that both together are one stretch


def iou_matrix(events: Sequence[Event], others: Sequence[Event]) -> NDArray[np.float64]:
    """``temporal_iou`` of every event with every other, (len(events), len(others)).

    >>> iou_matrix([Event("a", 0.0, 2.0)], [Event("b", 0.0, 1.0), Event("a", 5.0, 6.0)]).tolist()
    [[0.5, 0.0]]
    """
    found = np.zeros((len(events), len(others)))
    for row, event in enumerate(events):
        for column, other in enumerate(others):
            found[row, column] = temporal_iou(event, other)
    return found


def non_maximum_suppression(
    events: Sequence[Event], iou_threshold: float = 0.5, *, across_labels: bool = False
) -> list[Event]:
    """The best of events that overlap; no two that are left overlap by more than the threshold.

    From the best score down (of equal ones the earlier and shorter first) each event is kept
    unless it overlaps one that was kept.

    Args:
        events: In any order.
        iou_threshold: Most ``temporal_iou`` of two that are kept, in [0, 1].
        across_labels: Whether events suppress those of other labels, too.

    Returns:
        Those that are kept, the best first.

    Raises:
        SeqlabError: The threshold is out of range.

    Source: Neubeck and Van Gool 2006, "Efficient Non-Maximum Suppression", section 2, the greedy
    form that object detectors use, with intervals in place of boxes.

    Example:
        >>> found = [Event("a", 0.0, 2.0, 0.9), Event("a", 0.5, 2.0, 0.8), Event("a", 3, 4, 0.1)]
        >>> [event.score for event in non_maximum_suppression(found)]
        [0.9, 0.1]
    """
    check_range("iou_threshold", iou_threshold, 0, 1, "0.5 is usual")
    kept: list[Event] = []
    for event in _best_first(events):
        rivals = (k for k in kept if across_labels or k.label == event.label)
        if all(temporal_iou(event, rival) <= iou_threshold for rival in rivals):
            kept.append(event)
    return kept


def soft_non_maximum_suppression(
    events: Sequence[Event],
    *,
    decay: Literal["gaussian", "linear"] = "gaussian",
    sigma: float = 0.5,
    iou_threshold: float = 0.3,
    min_score: float = 0.001,
    across_labels: bool = False,
) -> list[Event]:
    """Events whose scores are lowered the more, the more they overlap better ones.

    Use it where events of one label may truly overlap, which plain suppression would remove.

    Args:
        events: In any order.
        decay: ``gaussian`` multiplies by exp(-iou² / sigma); ``linear`` by 1 - iou, where the
            overlap is above ``iou_threshold``.
        sigma: Of the Gaussian, above 0; the larger, the milder.
        iou_threshold: Of the linear decay, in [0, 1].
        min_score: Events whose score falls below it are left out, in [0, 1].
        across_labels: Whether events lower those of other labels, too.

    Returns:
        Events with their new scores, the best first.

    Raises:
        SeqlabError: A value is out of range.

    Source: Bodla et al. 2017, "Soft-NMS: Improving Object Detection With One Line of Code",
    section 3, with intervals in place of boxes.

    Example:
        >>> found = [Event("a", 0.0, 2.0, 0.9), Event("a", 0.0, 1.0, 0.8)]
        >>> [event.score for event in soft_non_maximum_suppression(found, decay="linear")]
        [0.9, 0.4]
    """
    check_choice("decay", decay, ("gaussian", "linear"))
    check_range("sigma", sigma, 1e-6, 1e6, "0.5 is usual")
    check_range("iou_threshold", iou_threshold, 0, 1, "0.3 is usual")
    check_range("min_score", min_score, 0, 1, "0.001 is usual")
    left, kept = _best_first(events), []
    while left:
        best = left.pop(0)
        if best.score < min_score:
            break
        kept.append(best)
        lowered = []
        for event in left:
            iou = temporal_iou(best, event) if across_labels or event.label == best.label else 0.0
            if decay == "gaussian":
                factor = math.exp(-iou * iou / sigma)
            else:
                factor = 1 - iou if iou > iou_threshold else 1.0
            lowered.append(replace(event, score=event.score * factor))
        left = _best_first(lowered)
    return kept


def _best_first(events: Sequence[Event]) -> list[Event]:
    return sorted(in_order(events), key=lambda event: -event.score)
