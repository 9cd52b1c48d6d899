"""From scores of phrases at every frame to detections, one for each time a phrase was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import did_you_mean
from seqlab.decoding.kernels.keyword import fire
from seqlab.decoding.kernels.phrases import settle
from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.decoding.phrases import PhraseFrames, PhraseSearch, PhraseSearchState
from seqlab.errors import SeqlabError

__all__ = ["PHRASE_DEFAULTS", "PhraseDetector", "PhraseDetectorState"]

PHRASE_DEFAULTS = DetectorSettings(threshold=0.4, smoothing_s=0.0, refractory_s=0.3)
_HOLD_S = 0.2

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PhraseDetectorState:
    """Where a detector stands; never changed by a step, and of the same size after any time.

    Args:
        search: Of the search.
        active: (P,) phrases that fired and were not released since.
        risen: (P,) frame since which the score is not below its release; -1: it is below.
        fired: (P,) frame at which the phrase last fired; -1: never.
        until: (P,) frame at which the best path since is taken; -1: none is waited for.
        best: (P,) its score so far.
        paths: (P, 2) its first frame, and the one after its last.
        last: (P,) frame after the last detection.
    """

    search: PhraseSearchState
    active: NDArray[np.bool_]
    risen: Counts
    fired: Counts
    until: Counts
    best: NDArray[np.float64]
    paths: Counts
    last: Counts

    @property
    def frame(self) -> int:
        """Frames that were seen."""
        return self.search.frame


class PhraseDetector:
    """Says when a phrase was heard, and from when to when; each phrase for itself.

    A phrase fires when its score reaches the threshold, as a label of ``KeywordDetector`` does,
    with the same hysteresis and refractory time. For 0.2 seconds a better path is waited for; the
    best is the detection. What overlaps it is left out. Any chunking gives the same.

    Args:
        search: Of the phrases.
        phrases: Their names (P,).
        frame_s: Seconds from one frame to the next, above 0.
        settings: None takes ``PHRASE_DEFAULTS``; scores are never smoothed, and the refractory time
            is above 0.2 seconds in any case.

    Raises:
        SeqlabError: Names do not fit the search or stand twice, a threshold is for no phrase, or
            ``smoothing_s`` is not 0.

    Example:
        >>> probs = [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.3, 0.6], [0.9, 0.05, 0.05]]
        >>> detector = PhraseDetector(PhraseSearch([[(1, 2)]], num_classes=3), ["on"], frame_s=0.1)
        >>> found, state = detector.step(np.log(probs), detector.initial_state())
        >>> found += detector.finish(state)[0]
        >>> [(d.label, d.start_s, round(d.time_s, 1), round(d.score, 2)) for d in found]
        [('on', 0.0, 0.3, 0.62)]
    """

    def __init__(
        self,
        search: PhraseSearch,
        phrases: Sequence[str],
        frame_s: float,
        settings: DetectorSettings | None = None,
    ) -> None:
        self.settings = settings = settings or PHRASE_DEFAULTS
        if not 0 < frame_s < np.inf:
            raise SeqlabError(f"frame_s={frame_s} must be above 0 seconds and finite")
        if len(phrases) != search.num_phrases or len(set(phrases)) < len(phrases):
            raise SeqlabError(
                f"{len(phrases)} names {list(phrases)} for {search.num_phrases} phrases; give each "
                "one of its own"
            )
        if settings.smoothing_s:
            raise SeqlabError(
                f"smoothing_s={settings.smoothing_s} must be 0 for phrases, whose scores are high "
                "for a frame or two; leave it out"
            )
        for name in settings.thresholds:
            if name not in phrases:
                raise SeqlabError(
                    f"threshold for {name!r}, which is none of the phrases"
                    f"{did_you_mean(name, phrases)}"
                )
        self.search, self.keywords, self.frame_s = search, list(phrases), frame_s
        self.hold = round(_HOLD_S / frame_s)
        self.refractory = max(self.hold + 1, settings.frames(frame_s)[1])
        given = [settings.thresholds.get(phrase, settings.threshold) for phrase in phrases]
        self.thresholds = np.array(given)

    def initial_state(self) -> PhraseDetectorState:
        """The state before the first frame."""
        count = len(self.keywords)
        none = np.full(count, -1, np.int64)
        return PhraseDetectorState(
            self.search.initial_state(), np.zeros(count, np.bool_), none, none, none,
            np.full(count, -np.inf), np.zeros((count, 2), np.int64), np.zeros(count, np.int64),
        )  # fmt: skip

    def step(
        self, log_probs: NDArray[np.floating], state: PhraseDetectorState
    ) -> tuple[list[Detection], PhraseDetectorState]:
        """What the next log-probabilities (T', C) settle, in order of time, and the new state.

        Raises:
            SeqlabError: They are of another shape, above 0, or NaN.
        """
        found, search = self.search.step(log_probs, state.search)
        return self._judged(found, search, state)

    def finish(self, state: PhraseDetectorState) -> tuple[list[Detection], PhraseDetectorState]:
        """What the end of a stream settles, and the state for one that goes on from here."""
        frames = self.search.quiet + self.hold + 1
        found, search = self.search.silence(frames, state.search)
        detections, after = self._judged(found, search, state)
        return detections, self._begun(state.frame, after)

    def skip(
        self, frames: int, state: PhraseDetectorState
    ) -> tuple[list[Detection], PhraseDetectorState]:
        """Finish, and go on after ``frames`` that are not heard; 0 or more."""
        found, after = self.finish(state)
        return found, self._begun(state.frame + frames, after)

    def scores(self, parts: Iterable[NDArray[np.floating]]) -> Iterator[NDArray[np.float64]]:
        """Scores (T', P) of the parts (T', C) of a whole stream."""
        state = self.search.initial_state()
        for part in parts:
            found, state = self.search.step(part, state)
            yield found.scores
        yield self.search.silence(self.search.quiet, state)[0].scores

    def _begun(self, frame: int, state: PhraseDetectorState) -> PhraseDetectorState:
        """A new search at ``frame``; only refractory times and ends go on."""
        fresh = self.initial_state()
        return PhraseDetectorState(
            self.search.initial_state(frame), fresh.active, fresh.risen, state.fired, fresh.until,
            fresh.best, fresh.paths, state.last,
        )  # fmt: skip

    def _judged(
        self, found: PhraseFrames, search: PhraseSearchState, state: PhraseDetectorState
    ) -> tuple[list[Detection], PhraseDetectorState]:
        after = PhraseDetectorState(
            search, state.active.copy(), state.risen.copy(), state.fired.copy(),
            state.until.copy(), state.best.copy(), state.paths.copy(), state.last.copy(),
        )  # fmt: skip
        columns, releases = np.arange(len(self.keywords)), self.settings.release * self.thresholds
        fires = fire(
            found.scores, columns, self.thresholds, releases, self.refractory, state.frame,
            after.active, after.risen, after.fired,
        )  # fmt: skip
        rows, values = settle(
            found.scores, found.begins, found.ends, fires, self.hold, state.frame, after.until,
            after.best, after.paths, after.last,
        )  # fmt: skip
        detections = [
            Detection(
                float(begin * self.frame_s),
                float(end * self.frame_s),
                self.keywords[phrase],
                float(score),
            )
            for (phrase, begin, end), score in zip(rows.tolist(), values.tolist(), strict=True)
        ]
        return detections, after
