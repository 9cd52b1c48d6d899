"""When scores fire: threshold with hysteresis and refractory time, for many detectors at once."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled


@compiled
def fire(scores, columns, thresholds, releases, refractory, first, active, risen, fired):
    """Follow scores (T, C) by K detectors; the arrays of state (K,) are changed in place.

    Args:
        scores: (T, C), float64.
        columns: (K,) score that each detector follows.
        thresholds: (K,) it fires at or above.
        releases: (K,) below which it may fire again.
        refractory: frames from one firing to the next at least.
        first: number of the first of the frames.
        active: (K,) whether it has fired and not been released.
        risen: (K,) frame since which the score is not below the release; -1: it is below.
        fired: (K,) frame of the last firing; -1: none.

    Returns:
        (T, K): for each firing the frame since which the score had risen, -1 elsewhere.
    """
    frames, detectors = scores.shape[0], len(columns)
    starts = np.full((frames, detectors), -1, np.int64)
    for k in range(detectors):
        column = columns[k]
        for t in range(frames):
            score, now = scores[t, column], first + t
            if score < releases[k]:
                risen[k] = -1
                active[k] = False
            elif risen[k] < 0:
                risen[k] = now
            if active[k] or score < thresholds[k]:
                continue
            if fired[k] < 0 or now - fired[k] >= refractory:
                starts[t, k] = risen[k]
                fired[k] = now
                active[k] = True
    return starts
