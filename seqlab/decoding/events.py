"""From a probability at every frame to events: which, from when to when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.checks import check_range
from seqlab.errors import SeqlabError
from seqlab.events.event import Event, events_text, in_order
from seqlab.events.overlap import non_maximum_suppression

if TYPE_CHECKING:
    from torch import Tensor

    from seqlab.contracts import Hypothesis

__all__ = [
    "EventDecoder",
    "EventSettings",
    "candidate_events",
    "find_events",
    "median_smoothed",
]

Probabilities = NDArray[np.float64]
MAX_MEDIAN_FRAMES = 10_001
_LEVELS = tuple(round(0.1 * step, 1) for step in range(1, 10))  # thresholds of candidates


@dataclass(frozen=True)
class EventSettings:
    """When frames count as an event.

    Args:
        threshold: Probability that an event reaches at least once, in (0, 1].
        thresholds: Those of single labels, which come before ``threshold``.
        release: Share of the threshold, in (0, 1], that every frame of an event reaches; below 1
            an event does not break where the probability dips (hysteresis).
        median_s: Length in seconds of the median that smooths the probabilities, 0 to 10; 0
            leaves it out.
        min_gap_s: Events of a label nearer to each other than this are joined, in seconds.
        min_duration_s: Shorter events are dropped after that, in seconds.

    Raises:
        SeqlabError: A value is out of range.
    """

    threshold: float = 0.5
    thresholds: dict[str, float] = field(default_factory=dict)
    release: float = 0.6
    median_s: float = 0.1
    min_gap_s: float = 0.1
    min_duration_s: float = 0.08

    def __post_init__(self) -> None:
        for name, value in {"threshold": self.threshold, **self.thresholds}.items():
            check_range(name, value, 1e-6, 1, "0.5 is usual")
        check_range("release", self.release, 1e-6, 1, "1 leaves hysteresis out")
        check_range("median_s", self.median_s, 0, 10, "0 leaves it out")
        for name in ("min_gap_s", "min_duration_s"):
            check_range(name, getattr(self, name), 0, 3600, "0 leaves it out")


def median_smoothed(probabilities: ArrayLike, frames: int) -> Probabilities:
    """Median over time of probabilities (T, C), over ``frames`` frames around each.

    At the ends the first and last values are repeated. An even number is made odd by one more.

    >>> median_smoothed([[0.0], [1.0], [0.0], [1.0], [1.0]], 3)[:, 0].tolist()
    [0.0, 0.0, 1.0, 1.0, 1.0]
    """
    values = _checked(probabilities)
    check_range("frames", frames, 0, MAX_MEDIAN_FRAMES, "take a shorter median")
    half = frames // 2
    if half == 0 or len(values) == 0:
        return values
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    step = max(1, 2**22 // (windows.shape[1] * windows.shape[2]))  # bounds the memory
    parts = [np.median(windows[at : at + step], axis=-1) for at in range(0, len(values), step)]
    return np.concatenate(parts)


def find_events(
    probabilities: ArrayLike,
    labels: Sequence[str],
    frame_s: float,
    settings: EventSettings | None = None,
) -> list[Event]:
    """Events of probabilities (T, C): smoothed, above a threshold with hysteresis, not too short.

    An event is a run of frames at or above ``release`` times the threshold, one of which at least
    reaches the threshold. Its score is the mean smoothed probability over its frames, those of
    a gap that was closed included.

    Args:
        probabilities: (T, C), in [0, 1].
        labels: C of them.
        frame_s: Seconds from one frame to the next, above 0; frame t lasts from t to t + 1 frames.
        settings: By default ``EventSettings()``.

    Returns:
        By onset.

    Raises:
        SeqlabError: Shapes do not fit, a value is not a probability, or a label has a threshold
            and is not among ``labels``.

    Example:
        >>> plain = EventSettings(median_s=0.0, min_gap_s=0.0, min_duration_s=0.0)
        >>> find_events([[0.1], [0.4], [0.8], [0.4], [0.2]], ["dog"], 0.5, plain)
        [Event(label='dog', onset_s=0.5, offset_s=2.0, score=0.5333333333333333)]
    """
    settings = settings or EventSettings()
    smooth = _smoothed(probabilities, labels, frame_s, settings)
    check_settings(settings, labels)
    found = []
    for column, label in enumerate(labels):
        level = settings.thresholds.get(label, settings.threshold)
        found += _label_events(smooth[:, column], label, frame_s, level, settings)
    return in_order(found)


def candidate_events(
    probabilities: ArrayLike,
    labels: Sequence[str],
    frame_s: float,
    settings: EventSettings | None = None,
) -> list[Event]:
    """Everything that may be an event, with scores, for ``average_precision``.

    The events at thresholds 0.1, 0.2 ... 0.9, of which those that overlap a better one by more
    than 0.5 are left out.

    Args:
        probabilities: As in ``find_events``.
        labels: As in ``find_events``.
        frame_s: As in ``find_events``.
        settings: All but the thresholds.

    Returns:
        The best first.
    """
    settings = settings or EventSettings()
    smooth = _smoothed(probabilities, labels, frame_s, settings)
    found = [
        event
        for column, label in enumerate(labels)
        for level in _LEVELS
        for event in _label_events(smooth[:, column], label, frame_s, level, settings)
    ]
    return non_maximum_suppression(found, 0.5)


def _smoothed(
    probabilities: ArrayLike, labels: Sequence[str], frame_s: float, settings: EventSettings
) -> Probabilities:
    values = _checked(probabilities)
    check_range("frame_s", frame_s, 1e-5, 10, "a model with one frame a recording has no time")
    if values.shape[1] != len(labels):
        raise SeqlabError(
            f"probabilities of shape {values.shape} must have a column for each of the "
            f"{len(labels)} labels"
        )
    return median_smoothed(values, round(settings.median_s / frame_s))


def _label_events(
    track: Probabilities, label: str, frame_s: float, level: float, settings: EventSettings
) -> list[Event]:
    """Events of one label's probabilities (T,)."""
    runs = [
        (first, end)
        for first, end in active_runs(track >= settings.release * level)
        if track[first:end].max() >= level
    ]
    joined: list[tuple[int, int]] = []
    for first, end in runs:
        if joined and (first - joined[-1][1]) * frame_s < settings.min_gap_s - 1e-9:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return [
        Event(label, first * frame_s, end * frame_s, min(1.0, float(track[first:end].mean())))
        for first, end in joined
        if (end - first) * frame_s >= settings.min_duration_s - 1e-9
    ]


def check_settings(settings: EventSettings, labels: Sequence[str]) -> None:
    """Raise SeqlabError if a threshold is for none of the labels."""
    for label in settings.thresholds:
        if label not in labels:
            raise SeqlabError(f"thresholds: {label!r} is not among the labels {list(labels)}")


def active_runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of True in (T,).

    >>> active_runs(np.array([True, False, True, True]))
    [(0, 1), (2, 4)]
    """
    edges = np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    return list(zip(firsts.tolist(), ends.tolist(), strict=True))


def _checked(probabilities: ArrayLike) -> Probabilities:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise SeqlabError(f"probabilities of shape {values.shape} must be (T, C), C at least 1")
    if not ((values >= 0) & (values <= 1)).all():
        raise SeqlabError("probabilities must be within 0 and 1, not NaN; apply a sigmoid first")
    return values


class EventDecoder:
    """Events of what an ``EventHead`` says.

    The hypothesis' text is that of ``events_text``; ``details["events"]`` holds the events with
    their scores and ``details["candidates"]`` everything that may be one.

    Args:
        labels: Of the classes, in their order.
        frame_s: Seconds from one frame to the next.
        settings: By default ``EventSettings()``.

    Example:
        >>> import torch
        >>> decoder = EventDecoder(["dog", "cat"], 0.1)
        >>> log_probs = torch.full((1, 20, 2), -9.0)
        >>> log_probs[0, 5:15, 1] = -0.1
        >>> decoder.decode(log_probs, torch.tensor([20]))[0][0].text
        '0.500 1.500 cat'
    """

    def __init__(
        self, labels: Sequence[str], frame_s: float, settings: EventSettings | None = None
    ) -> None:
        self.labels = list(labels)
        self.frame_s = frame_s
        self.settings = settings or EventSettings()

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[list[Hypothesis]]:
        """One hypothesis for each utterance of log_probs (B, T', C), lengths (B,)."""
        probabilities = log_probs.detach().double().cpu().exp().clamp(max=1.0).numpy()
        return [
            [self._hypothesis(rows[:length])]
            for rows, length in zip(probabilities, lengths.tolist(), strict=True)
        ]

    def _hypothesis(self, probabilities: Probabilities) -> Hypothesis:
        from seqlab.contracts import Hypothesis  # here alone, so that exports need no torch

        events = find_events(probabilities, self.labels, self.frame_s, self.settings)
        candidates = candidate_events(probabilities, self.labels, self.frame_s, self.settings)
        scores = [event.score for event in events]
        tokens = tuple(self.labels.index(event.label) for event in events)
        return Hypothesis(
            tokens=tokens,
            text=events_text(events),
            score=math.fsum(map(math.log, scores)),
            token_times=tuple((event.onset_s, event.offset_s) for event in events),
            token_confidences=tuple(scores),
            confidence=min(scores, default=1.0),
            details={"events": events, "candidates": candidates},
        )
