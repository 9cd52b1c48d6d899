"""Figures of an evaluation that finds events, and what it found beside what was there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqlab.events.event import Event, parse_events
from seqlab.events.matching import by_collar, by_iou, match_events
from seqlab.events.metrics import average_precision, event_counts, segment_counts

Figures = dict[str, float]


def event_figures(
    references: Sequence[str], hypotheses: Sequence[str], candidates: Sequence[Sequence[Event]]
) -> tuple[list[int], list[int], Figures]:
    """Errors and sizes of each recording, and the figures of all.

    Args:
        references: True events of each recording, as text.
        hypotheses: Found ones, as text.
        candidates: Everything that may be an event, with scores, of each.

    Returns:
        Missed and wrong events of each recording (temporal overlap of a half); true and found
        events of each; and F1, precision and recall of events ("event_f1" first), F1 with a
        collar of 200 ms around onsets, F1 of segments of 1 s, and average precision at an overlap
        of a half and as a mean over 0.5, 0.55 ... 0.95.

    Example:
        >>> errors, sizes, figures = event_figures(["0 1 a; 2 3 a"], ["0 0.9 a"], [[]])
        >>> errors, sizes, round(figures["event_f1"], 3)
        ([1], [3], 0.667)
    """
    true = [parse_events(text) for text in references]
    found = [parse_events(text) for text in hypotheses]
    counts = [event_counts([t], [f]) for t, f in zip(true, found, strict=True)]
    total = event_counts(true, found)
    precisions = average_precision(true, candidates)
    figures = {
        "event_f1": total.f1,
        "event_precision": total.precision if any(found) else 0.0,  # also nothing is an answer
        "event_recall": total.recall,
        "onset_f1": event_counts(true, found, by_collar()).f1,
        "segment_f1": segment_counts(true, found).f1,
        "average_precision_50": precisions[0.5],
        "mean_average_precision": float(np.mean(list(precisions.values()))),
    }
    errors = [count.insertions + count.misses for count in counts]
    sizes = [len(t) + len(f) for t, f in zip(true, found, strict=True)]
    return errors, sizes, figures


def paired_events(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """True and found events side by side as text, by time; "" where one has no counterpart.

    >>> paired_events("0 1 a; 2 3 a", "0 0.9 a")
    [('0.00-1.00 a', '0.00-0.90 a'), ('2.00-3.00 a', '')]
    """
    true, found = parse_events(reference), parse_events(hypothesis)
    pairs = match_events(true, found, by_iou())
    rows = [(true[r].onset_s, _shown(true[r]), _shown(found[a])) for r, a in pairs]
    known, used = {r for r, _ in pairs}, {a for _, a in pairs}
    rows += [(e.onset_s, _shown(e), "") for i, e in enumerate(true) if i not in known]
    rows += [(e.onset_s, "", _shown(e)) for i, e in enumerate(found) if i not in used]
    return [(one, other) for _, one, other in sorted(rows)]


def _shown(event: Event) -> str:
    return f"{event.onset_s:.2f}-{event.offset_s:.2f} {event.label}"
