"""Wake words: how many are missed at how many false alarms per hour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.errors import SeqlabError
from seqlab.intervals import wilson_interval

__all__ = [
    "DetectionCurve",
    "MissRate",
    "Trial",
    "best_scores",
    "counted_curve",
    "detection_curve",
    "miss_rates",
    "most_events",
]

GROUPS = ("label", "speaker", "snr_db")


@dataclass(frozen=True)
class DetectionCurve:
    """False rejections against false alarms, one point a threshold, thresholds rising.

    Attributes:
        thresholds: (K,) a score at or above it fires; the last is infinity.
        false_rejection_rates: (K,) share of keywords missed, in [0, 1], rising.
        false_alarms_per_hour: (K,) falling to 0.
        resolution: one false alarm in all the negative audio, per hour; finer claims are guesses.
    """

    thresholds: NDArray[np.float64]
    false_rejection_rates: NDArray[np.float64]
    false_alarms_per_hour: NDArray[np.float64]
    resolution: float

    def at(self, false_alarms_per_hour: float) -> tuple[float, float]:
        """Least false rejection rate within that many false alarms per hour, and its threshold.

        Of the thresholds that reach it the highest, which alarms least.
        """
        if not false_alarms_per_hour >= 0:
            raise SeqlabError(f"{false_alarms_per_hour} false alarms per hour must be 0 or more")
        first = int(np.argmax(self.false_alarms_per_hour <= false_alarms_per_hour))
        missed = float(self.false_rejection_rates[first])
        best = int(np.searchsorted(self.false_rejection_rates, missed, side="right")) - 1
        return missed, float(self.thresholds[best])

    def most_alarms(self, false_alarms_per_hour: float, confidence: float = 0.95) -> float:
        """What a measured rate may really be, at most, with so much confidence.

        A detector that is silent for 2.7 hours may still alarm 1.1 times an hour.
        """
        events = round(false_alarms_per_hour / self.resolution)
        return most_events(events, confidence) * self.resolution


def detection_curve(
    keyword_scores: ArrayLike, alarm_scores: ArrayLike, negative_hours: float
) -> DetectionCurve:
    """Measure a detector on keywords and on hours of other audio.

    Args:
        keyword_scores: (P,) best score within each true keyword; -inf where nothing was found.
        alarm_scores: (Q,) score of each detection in the negative audio; may be empty.
        negative_hours: length of the negative audio, above 0.

    Returns:
        The curve over all thresholds at which something changes.

    Raises:
        SeqlabError: no keywords, NaN or infinity, or no negative audio.

    Example:
        >>> curve = detection_curve([0.9, 0.8, 0.3], [0.5, 0.2], negative_hours=2.0)
        >>> curve.at(0.5)  # one alarm in two hours
        (0.0, 0.3)
    """
    keywords, alarms = _sorted(keyword_scores), _sorted(alarm_scores)
    _check(keywords, alarms, negative_hours)
    scores = np.concatenate([keywords, alarms, [np.inf]])
    thresholds = np.unique(scores[scores > -np.inf])
    missed = np.searchsorted(keywords, thresholds, side="left")
    fired = len(alarms) - np.searchsorted(alarms, thresholds, side="left")
    return DetectionCurve(
        thresholds, missed / len(keywords), fired / negative_hours, 1 / negative_hours
    )


def counted_curve(
    keyword_scores: ArrayLike, thresholds: ArrayLike, alarms: ArrayLike, negative_hours: float
) -> DetectionCurve:
    """A curve from false alarms that were counted at each of some thresholds.

    Use it for detectors with hysteresis and refractory time, whose alarms are not those of another
    threshold less a few. Where a lower threshold alarms less than a higher one, as an alarm that
    never ends does, the higher number counts for both.

    Args:
        keyword_scores: as in ``detection_curve``.
        thresholds: (K,) rising.
        alarms: (K,) false alarms at each.
        negative_hours: as in ``detection_curve``.

    Raises:
        SeqlabError: as ``detection_curve``, or thresholds and alarms that do not fit.

    Example:
        >>> curve = counted_curve([0.9, 0.4], [0.2, 0.5, 0.8], [7, 1, 0], negative_hours=2.0)
        >>> curve.at(0.5)
        (0.5, 0.8)
    """
    keywords = _sorted(keyword_scores)
    levels = np.asarray(thresholds, dtype=np.float64)
    counts = np.asarray(alarms, dtype=np.float64)
    _check(keywords, counts, negative_hours)
    if levels.ndim != 1 or levels.shape != counts.shape or not (np.diff(levels) > 0).all():
        raise SeqlabError(
            f"thresholds of shape {levels.shape} must rise, and be as many as alarms, "
            f"{counts.shape}"
        )
    levels, counts = np.append(levels, np.inf), np.append(counts, 0.0)
    counts = np.maximum.accumulate(counts[::-1])[::-1]
    missed = np.searchsorted(keywords, levels, side="left") / len(keywords)
    return DetectionCurve(levels, missed, counts / negative_hours, 1 / negative_hours)


def best_scores(scores: ArrayLike, intervals: Iterable[tuple[int, int]]) -> NDArray[np.float64]:
    """Best of scores (T,) within each interval of frames (first, last + 1); -inf if it is empty.

    >>> best_scores([0.1, 0.9, 0.3, 0.2], [(0, 2), (2, 9), (4, 4)]).tolist()
    [0.9, 0.3, -inf]
    """
    track = np.asarray(scores, dtype=np.float64)
    if track.ndim != 1:
        raise SeqlabError(f"scores of shape {track.shape} must be (T,), of one label")
    parts = [track[max(0, first) : max(0, end)] for first, end in intervals]
    return np.array([part.max() if len(part) else -np.inf for part in parts])


@dataclass(frozen=True)
class Trial:
    """A true keyword and how well it was heard.

    Args:
        label: The keyword.
        score: The best within its interval; -inf where nothing was found.
        speaker: Who said it, where known.
        snr_db: Signal-to-noise ratio in dB, where known.
    """

    label: str
    score: float
    speaker: str | None = None
    snr_db: float | None = None


@dataclass(frozen=True)
class MissRate:
    """Keywords of a group that were missed.

    Args:
        missed: How many.
        total: Of how many, above 0.
    """

    missed: int
    total: int

    @property
    def rate(self) -> float:
        """Share that was missed, in [0, 1]."""
        return self.missed / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, with 95 % confidence (Wilson)."""
        return wilson_interval(self.missed, self.total)


def miss_rates(
    trials: Sequence[Trial], thresholds: Mapping[str, float], by: str = "label"
) -> dict[str, MissRate]:
    """Missed keywords of each phrase, speaker or signal-to-noise ratio.

    Args:
        trials: One at least.
        thresholds: Of every label among them.
        by: ``label``, ``speaker`` or ``snr_db``.

    Returns:
        By the group's name, sorted; trials without one count under ``-``.

    Raises:
        SeqlabError: No trials, a label without a threshold, or another group.

    Example:
        >>> trials = [Trial("go", 0.9, "ann"), Trial("go", 0.2, "bob"), Trial("go", 0.7, "bob")]
        >>> {name: m.rate for name, m in miss_rates(trials, {"go": 0.5}, "speaker").items()}
        {'ann': 0.0, 'bob': 0.5}
    """
    if by not in GROUPS:
        raise SeqlabError(f"by={by!r} must be one of {', '.join(GROUPS)}")
    if not trials:
        raise SeqlabError("there are no trials; one true keyword at least is needed")
    groups: dict[object, list[bool]] = {}
    for trial in trials:
        if trial.label not in thresholds:
            raise SeqlabError(f"{trial.label!r} has no threshold; give every label one")
        missed = trial.score < thresholds[trial.label]
        groups.setdefault(getattr(trial, by), []).append(missed)
    ordered = sorted(groups.items(), key=lambda pair: (pair[0] is None, pair[0]))
    return {_name(key): MissRate(sum(missed), len(missed)) for key, missed in ordered}


def most_events(events: int, confidence: float = 0.95) -> float:
    """Largest mean of a Poisson distribution that ``events`` or fewer do not rule out.

    Source: Garwood 1936, "Fiducial limits for the Poisson distribution", one-sided.

    >>> [round(most_events(n), 3) for n in (0, 1, 2)]
    [2.996, 4.744, 6.296]
    """
    if events < 0 or not 0 < confidence < 1:
        raise SeqlabError(f"events={events} must be 0 or more, confidence={confidence} in (0, 1)")
    low, high = 0.0, 20.0 + 4.0 * events
    while _at_most(events, high) > 1 - confidence:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(events, middle) > 1 - confidence else (low, middle)
    return (low + high) / 2


def _at_most(events: int, mean: float) -> float:
    """Probability of ``events`` or fewer."""
    if mean == 0:
        return 1.0
    logs = [n * math.log(mean) - mean - math.lgamma(n + 1) for n in range(events + 1)]
    return math.fsum(map(math.exp, logs))


def _name(key: object) -> str:
    if key is None:
        return "-"
    return f"{key:g}" if isinstance(key, int | float) else str(key)


def _sorted(scores: ArrayLike) -> NDArray[np.float64]:
    return np.sort(np.asarray(scores, dtype=np.float64))


def _check(
    keywords: NDArray[np.float64], alarms: NDArray[np.float64], negative_hours: float
) -> None:
    if keywords.ndim != 1 or alarms.ndim != 1 or not len(keywords):
        raise SeqlabError(
            f"scores of shape {keywords.shape} and {alarms.shape} must be one-dimensional, with "
            "at least one keyword"
        )
    if not (keywords < np.inf).all() or not (alarms < np.inf).all():
        raise SeqlabError("scores must be below infinity, not NaN; -inf stands for no detection")
    if not 0 < negative_hours < np.inf:
        raise SeqlabError(f"negative_hours={negative_hours} must be above 0 and finite")
