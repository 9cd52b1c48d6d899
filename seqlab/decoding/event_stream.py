"""Sound events while they are heard: as ``find_events`` of the whole, each once it is certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.checks import check_range
from seqlab.decoding.events import EventSettings, active_runs, check_settings, median_smoothed
from seqlab.errors import SeqlabError
from seqlab.events.event import Event, in_order

__all__ = ["EventStream", "EventStreamState"]

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Frames ``first`` to ``end`` of a label, the sum of their values, and the highest."""

    first: int
    end: int
    total: float
    peak: float


@dataclass(frozen=True)
class Track:
    """Where a label stands.

    Args:
        event: Runs joined so far, which others may still join; None: there is none.
        between: Sum of the values since its end, but for those of ``running``.
        running: A run that goes on; None: the last frame is below the release.
    """

    event: Run | None = None
    between: float = 0.0
    running: Run | None = None


@dataclass(frozen=True)
class EventStreamState:
    """Where a stream stands; never changed by a step, and of the same size after any time.

    Args:
        held: Probabilities (n, C) whose median needs frames to come, and those before it reads.
        smoothed: Frames whose median is known.
        tracks: Of each label.
    """

    held: Probabilities
    smoothed: int
    tracks: tuple[Track, ...]


class EventStream:
    """Finds events in probabilities that come piece by piece; state goes in and comes out.

    An event is given as soon as nothing to come can change it: half the median and ``min_gap_s``
    after its end. All steps and the flush together give what ``find_events`` gives for the whole,
    in any chunking, but for the last digits of scores.

    Args:
        labels: C of them.
        frame_s: Seconds from one frame to the next, above 0.
        settings: By default ``EventSettings()``.

    Raises:
        SeqlabError: ``frame_s`` is out of range, or a threshold is for no label.

    Example:
        >>> plain = EventSettings(median_s=0.0, min_gap_s=0.0, min_duration_s=0.0)
        >>> stream = EventStream(["dog"], 0.5, plain)
        >>> found, state = stream.step([[0.1], [0.4], [0.8]], stream.initial_state())
        >>> found += stream.step([[0.4], [0.2]], state)[0]
        >>> [(event.label, event.onset_s, event.offset_s) for event in found]
        [('dog', 0.5, 2.0)]
    """

    def __init__(
        self, labels: Sequence[str], frame_s: float, settings: EventSettings | None = None
    ) -> None:
        self.settings = settings = settings or EventSettings()
        check_range("frame_s", frame_s, 1e-5, 10, "a model with one frame a recording has no time")
        check_settings(settings, labels)
        self.labels, self.frame_s = list(labels), frame_s
        self.half = round(settings.median_s / frame_s) // 2
        self.levels = [settings.thresholds.get(name, settings.threshold) for name in self.labels]

    def initial_state(self) -> EventStreamState:
        """The state before the first frame."""
        tracks = tuple(Track() for _ in self.labels)
        return EventStreamState(np.zeros((0, len(self.labels))), 0, tracks)

    def step(
        self, probabilities: ArrayLike, state: EventStreamState
    ) -> tuple[list[Event], EventStreamState]:
        """What the next probabilities (T, C) make certain, by onset, and the new state.

        Raises:
            SeqlabError: They are of another shape, or not within [0, 1].
        """
        values = np.asarray(probabilities, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise SeqlabError(
                f"probabilities of shape {values.shape} must be (T, {len(self.labels)})"
            )
        return self._advance(np.concatenate([state.held, values]), state, ends=False)

    def flush(self, state: EventStreamState) -> list[Event]:
        """What only the end of the stream makes certain; ``state`` stays as it is."""
        found, state = self._advance(state.held, state, ends=True)
        for column, track in enumerate(state.tracks):
            track = self._stopped(column, track, found, state.smoothed)
            self._give(column, track.event, found)
        return in_order(found)

    def _advance(
        self, held: Probabilities, state: EventStreamState, ends: bool
    ) -> tuple[list[Event], EventStreamState]:
        before = min(state.smoothed, self.half)  # frames held that only others' medians read
        last = len(held) if ends else max(before, len(held) - self.half)
        smooth = median_smoothed(held, 2 * self.half)[before:last]
        found: list[Event] = []
        tracks = [
            self._follow(column, track, smooth[:, column], state.smoothed, found)
            for column, track in enumerate(state.tracks)
        ]
        count = state.smoothed + len(smooth)
        kept = held[max(0, last - self.half) :].copy()
        return in_order(found), EventStreamState(kept, count, tuple(tracks))

    def _follow(
        self, column: int, track: Track, values: Probabilities, at: int, found: list[Event]
    ) -> Track:
        """A label after values (T,) of frames from ``at`` on."""
        seen = 0
        for first, end in active_runs(values >= self.settings.release * self.levels[column]):
            if first > 0 or track.running is None:
                track = self._quiet(column, track, values[seen:first], at + first, found)
                track = replace(track, running=Run(at + first, at + first, 0.0, 0.0))
            run = track.running
            assert run is not None, "begun above, or goes on from before"
            total, peak = run.total + float(values[first:end].sum()), float(values[first:end].max())
            track = replace(track, running=Run(run.first, at + end, total, max(run.peak, peak)))
            seen = end
        if seen < len(values):
            track = self._quiet(column, track, values[seen:], at + len(values), found)
        return track

    def _quiet(
        self, column: int, track: Track, values: Probabilities, at: int, found: list[Event]
    ) -> Track:
        """A label after frames (n,) below its release, the last of which is before ``at``."""
        if len(values):
            track = self._stopped(column, track, found, at)
            track = replace(track, between=track.between + float(values.sum()))
        if track.event is not None and track.running is None and not self._near(track.event, at):
            self._give(column, track.event, found)
            track = Track()
        return track

    def _stopped(self, column: int, track: Track, found: list[Event], at: int) -> Track:
        """A label whose run has ended: it joins the event before it, is a new one, or none."""
        run, event = track.running, track.event
        if run is None:
            return track
        if run.peak < self.levels[column]:
            return Track(event, track.between + run.total)
        if event is not None and self._near(event, run.first):
            total = event.total + track.between + run.total
            return Track(Run(event.first, run.end, total, max(event.peak, run.peak)))
        self._give(column, event, found)
        return Track(run)

    def _near(self, event: Run, at: int) -> bool:
        """Whether a run that begins at ``at`` joins the event."""
        return (at - event.end) * self.frame_s < self.settings.min_gap_s - 1e-9

    def _give(self, column: int, event: Run | None, found: list[Event]) -> None:
        """Put an event that is certain to the others, if it is long enough."""
        if event is None:
            return
        count = event.end - event.first
        if count * self.frame_s >= self.settings.min_duration_s - 1e-9:
            onset_s, offset_s = event.first * self.frame_s, event.end * self.frame_s
            score = min(1.0, event.total / count)
            found.append(Event(self.labels[column], onset_s, offset_s, score))
