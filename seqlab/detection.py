"""Wake words: how many are missed at how many false alarms per hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlab.errors import SeqlabError


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
    keywords = np.sort(np.asarray(keyword_scores, dtype=np.float64))
    alarms = np.sort(np.asarray(alarm_scores, dtype=np.float64))
    if keywords.ndim != 1 or alarms.ndim != 1 or not len(keywords):
        raise SeqlabError(
            f"scores of shape {keywords.shape} and {alarms.shape} must be one-dimensional, with "
            "at least one keyword"
        )
    if not (keywords < np.inf).all() or not (alarms < np.inf).all():
        raise SeqlabError("scores must be below infinity, not NaN; -inf stands for no detection")
    if not 0 < negative_hours < np.inf:
        raise SeqlabError(f"negative_hours={negative_hours} must be above 0 and finite")
    scores = np.concatenate([keywords, alarms, [np.inf]])
    thresholds = np.unique(scores[scores > -np.inf])
    missed = np.searchsorted(keywords, thresholds, side="left")
    fired = len(alarms) - np.searchsorted(alarms, thresholds, side="left")
    return DetectionCurve(
        thresholds, missed / len(keywords), fired / negative_hours, 1 / negative_hours
    )
