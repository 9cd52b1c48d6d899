"""From a keyword's posterior at every frame to detections, in a stream that never ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.checks import check_range, did_you_mean
from seqlab.decoding.kernels.keyword import fire
from seqlab.errors import SeqlabError

__all__ = [
    "Detection",
    "DetectorSettings",
    "DetectorState",
    "KeywordDetector",
    "background_classes",
    "keyword_labels",
    "smoothed",
]

Scores = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Detection:
    """A keyword that was heard.

    Args:
        start_s: When its score began to rise, in seconds from the start of the stream; of a typed
            phrase, where it begins.
        time_s: When it fired: the end of that frame; of a typed phrase, where it ends.
        label: The keyword.
        score: Smoothed posterior at that frame, in [0, 1]; of a typed phrase, its best score.
    """

    start_s: float
    time_s: float
    label: str
    score: float


@dataclass(frozen=True)
class DetectorSettings:
    """When a keyword's posterior counts as heard.

    Args:
        threshold: Smoothed posterior at which a label fires, above 0 and at most 1.
        thresholds: Those of single labels, which come before ``threshold``.
        smoothing_s: Seconds of posteriors that are averaged, looking back; 0 leaves it out, which
            suits ``KeywordHead``: it averages logits already, and its keywords peak for a frame
            or two, so that a second mean measures how long a peak lasts, not how sure it is.
        release: Share of the threshold, within [0, 1], below which the score must fall before
            the label fires again.
        refractory_s: Seconds after a detection within which its label does not fire again.

    Raises:
        SeqlabError: A value is out of range.

    Example:
        >>> DetectorSettings(thresholds={"go": 0.8}).threshold
        0.5
    """

    threshold: float = 0.5
    thresholds: Mapping[str, float] = field(default_factory=dict)
    smoothing_s: float = 0.0
    release: float = 0.8
    refractory_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in {"threshold": self.threshold, **self.thresholds}.items():
            check_range(name, value, 1e-9, 1, "0.5 is usual; seqlab operating-point finds it")
        check_range("smoothing_s", self.smoothing_s, 0, 60, "0 leaves it out")
        check_range("release", self.release, 0, 1, "0.8 is usual")
        check_range("refractory_s", self.refractory_s, 0, 3600, "1 is usual")

    def frames(self, frame_s: float) -> tuple[int, int]:
        """Frames that are averaged, 1 at least, and those of the refractory time."""
        return max(1, round(self.smoothing_s / frame_s)), round(self.refractory_s / frame_s)


@dataclass(frozen=True)
class DetectorState:
    """Where a detector stands; never changed by a step, and of the same size after any time.

    Args:
        frame: Frames that were seen.
        history: The last posteriors (smoothing - 1, C).
        active: (K,) labels that fired and were not released since.
        risen: (K,) frame since which the score is not below its release; -1: it is below.
        fired: (K,) frame at which the label last fired; -1: never.
    """

    frame: int
    history: Scores
    active: NDArray[np.bool_]
    risen: Counts
    fired: Counts


def keyword_labels(labels: Sequence[str]) -> list[str]:
    """Those labels that are keywords; ``<unknown>``, ``<silence>`` and their like are not.

    >>> keyword_labels(["<silence>", "<unknown>", "go", "stop"])
    ['go', 'stop']
    """
    return [label for label in labels if not (label.startswith("<") and label.endswith(">"))]


def background_classes(labels: Sequence[str]) -> list[int]:
    """Numbers of those labels that are no keywords.

    >>> background_classes(["<silence>", "go", "<unknown>"])
    [0, 2]
    """
    keywords = set(keyword_labels(labels))
    return [number for number, label in enumerate(labels) if label not in keywords]


def smoothed(posteriors: Scores, history: Scores) -> Scores:
    """Mean of each frame and those before it, as many as ``history`` (W - 1, C) holds and one.

    The sums are made anew for each frame, in the same order wherever a stream is cut, so that no
    rounding builds up and no chunking changes a bit.

    >>> smoothed(np.array([[0.5], [1.0]]), np.array([[0.0]])).ravel().tolist()
    [0.25, 0.75]
    """
    width, count = len(history) + 1, len(posteriors)
    every = np.concatenate([history, posteriors])
    total = every[:count].copy()
    for place in range(1, width):
        total += every[place : place + count]
    return total / width


class KeywordDetector:
    """Smooths posteriors and says when a keyword was heard; each label for itself.

    Use it on ``KeywordHead.posteriors``, or on any posteriors that come frame by frame.
    Before the first frame all posteriors count as 0. A label fires when its smoothed posterior
    reaches the threshold, not again before it has been below ``release`` times the threshold, and
    not within the refractory time. Any chunking gives the same detections.

    Args:
        labels: Of all C classes; those in angle brackets never fire.
        frame_s: Seconds from one frame to the next, above 0.
        settings: None takes the defaults.

    Raises:
        SeqlabError: A threshold is for no label, or there are no keywords.

    Source: smoothing after Chen et al. 2014, "Small-footprint keyword spotting using deep neural
    networks", section 2.3, equation 2, for each label instead of a product over parts of words.

    Example:
        >>> settings = DetectorSettings(threshold=0.6, smoothing_s=0.2)
        >>> detector = KeywordDetector(["<unknown>", "go"], frame_s=0.1, settings=settings)
        >>> go = np.array([0.0, 0.5, 0.9, 1.0, 0.1])
        >>> found, state = detector.step(np.stack([1 - go, go], 1), detector.initial_state())
        >>> [(d.label, round(d.time_s, 1), round(d.score, 2)) for d in found]
        [('go', 0.3, 0.7)]
    """

    def __init__(
        self, labels: Sequence[str], frame_s: float, settings: DetectorSettings | None = None
    ) -> None:
        self.settings = settings = settings or DetectorSettings()
        if not 0 < frame_s < np.inf:
            raise SeqlabError(f"frame_s={frame_s} must be above 0 seconds and finite")
        self.labels, self.frame_s = list(labels), frame_s
        self.keywords = keyword_labels(self.labels)
        if not self.keywords:
            raise SeqlabError(f"labels {self.labels} hold no keyword; one at least must be spotted")
        for name in settings.thresholds:
            if name not in self.keywords:
                raise SeqlabError(
                    f"threshold for {name!r}, which is no keyword of the model"
                    f"{did_you_mean(name, self.keywords)}"
                )
        self.smoothing, self.refractory = settings.frames(frame_s)
        self._columns = np.array([self.labels.index(label) for label in self.keywords])
        self.thresholds = np.array(
            [settings.thresholds.get(label, settings.threshold) for label in self.keywords]
        )

    def initial_state(self) -> DetectorState:
        """The state before the first frame."""
        none = np.full(len(self.keywords), -1, dtype=np.int64)
        history = np.zeros((self.smoothing - 1, len(self.labels)))
        return DetectorState(0, history, np.zeros(len(none), dtype=bool), none, none)

    def step(
        self, posteriors: ArrayLike, state: DetectorState
    ) -> tuple[list[Detection], DetectorState]:
        """What the next posteriors (T', C) complete, in order of time, and the new state.

        Raises:
            SeqlabError: They are of another shape, not in [0, 1], or not finite.
        """
        probabilities = self._checked(posteriors)
        scores = smoothed(probabilities, state.history)
        active, risen, fired = state.active.copy(), state.risen.copy(), state.fired.copy()
        starts = fire(
            scores, self._columns, self.thresholds, self.settings.release * self.thresholds,
            self.refractory, state.frame, active, risen, fired,
        )  # fmt: skip
        found = []
        for place, label in zip(*np.nonzero(starts >= 0), strict=True):
            found.append(
                Detection(
                    float(starts[place, label] * self.frame_s),
                    float((state.frame + place + 1) * self.frame_s),
                    self.keywords[label],
                    float(scores[place, self._columns[label]]),
                )
            )
        every = np.concatenate([state.history, probabilities])
        history = every[len(every) - len(state.history) :].copy()
        frame = state.frame + len(probabilities)
        return found, DetectorState(frame, history, active, risen, fired)

    def finish(self, state: DetectorState) -> tuple[list[Detection], DetectorState]:
        """What the end of a stream completes: nothing; and the state as it is."""
        return [], state

    def scores(self, parts: Iterable[ArrayLike]) -> Iterator[Scores]:
        """Smoothed posteriors (T', K) of the keywords, for the parts (T', C) of a whole stream."""
        history: Scores = np.zeros((self.smoothing - 1, len(self.labels)))
        for part in parts:
            values = self._checked(part)
            yield smoothed(values, history)[:, self._columns]
            every = np.concatenate([history, values])
            history = every[len(every) - len(history) :]

    def skip(self, frames: int, state: DetectorState) -> tuple[list[Detection], DetectorState]:
        """The same as a step of ``frames`` posteriors of 0, in no time; 0 or more frames."""
        counted = min(frames, self.smoothing + self.refractory)
        found, state = self.step(np.zeros((counted, len(self.labels))), state)
        frame = state.frame + frames - counted
        return found, DetectorState(frame, state.history, state.active, state.risen, state.fired)

    def _checked(self, posteriors: ArrayLike) -> Scores:
        values = np.asarray(posteriors, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.labels):
            raise SeqlabError(
                f"posteriors of shape {values.shape} must be (T', {len(self.labels)}), one column "
                "a label"
            )
        if not bool(((values >= 0) & (values <= 1 + 1e-5)).all()):
            raise SeqlabError(
                "posteriors must be within [0, 1], not NaN; pass probabilities, not logarithms"
            )
        return values
