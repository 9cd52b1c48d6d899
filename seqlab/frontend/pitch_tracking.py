"""The likeliest way through the pitch candidates of all frames: the second half of pYIN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024  # frames whose transitions are held at a time
_LEAST = 1e-3  # weight of being unvoiced in a frame that is periodic beyond doubt


def best_path(
    frequency: NDArray[np.float32],
    probability: NDArray[np.float32],
    *,
    reach: float,
    unvoiced_prior: float,
    switch_probability: float,
) -> NDArray[np.intp]:
    """The candidate of each frame, or "unvoiced", on the likeliest path (Viterbi 1967).

    The states of a frame are its candidates and one for unvoiced. From one voiced state to the
    next the probability falls in a triangle over the distance in octaves; candidates further
    apart than ``reach`` cannot follow each other without an unvoiced frame between them.

    Args:
        frequency: Hz (T, K), positive.
        probability: of each candidate (T, K), summing to at most 1 a frame; 0 where none is.
        reach: octaves that pitch moves in one frame, positive.
        unvoiced_prior: weight of a frame with no candidate as unvoiced.
        switch_probability: of changing between voiced and unvoiced from one frame to the next.

    Returns:
        Number of the candidate (T,), or K where the frame is unvoiced.

    Source: Mauch and Dixon 2014, section 2.2. Deviations: pitch is the candidate's own and not
    the nearest of a row of bins, so it is not rounded; and there is one unvoiced state and not
    one a bin, so pitch is not remembered over unvoiced frames.

    Example:
        >>> hz = np.array([[100, 200], [201, 101], [102, 50]], dtype=np.float32)
        >>> likely = np.array([[0.6, 0.3], [0.5, 0.4], [0.0, 0.0]], dtype=np.float32)
        >>> best_path(
        ...     hz, likely, reach=0.2, unvoiced_prior=0.01, switch_probability=0.01
        ... ).tolist()
        [0, 1, 2]
    """
    frames, unvoiced = probability.shape
    if frames == 0:
        return np.zeros(0, dtype=np.intp)
    observed = _observations(probability, unvoiced_prior)
    octave = np.log2(frequency.astype(np.float64))
    every = np.arange(unvoiced + 1)
    score = observed[0]
    source = np.zeros((frames, unvoiced + 1), dtype=np.uint8)
    for first in range(1, frames, _BLOCK):
        last = min(first + _BLOCK, frames)
        step = _transitions(octave[first - 1 : last], reach, switch_probability)
        step += observed[first:last, np.newaxis]
        for frame, matrix in enumerate(step, first):
            total = score[:, np.newaxis] + matrix
            best = total.argmax(0)
            source[frame] = best
            score = total[best, every]
        score = score - score.max()
    return _trace(source, int(score.argmax()))


def _observations(probability: NDArray[np.float32], unvoiced_prior: float) -> NDArray[np.float64]:
    """Log weight of each state of each frame (T, K + 1), the last one unvoiced."""
    rest = np.maximum(1 - probability.sum(1, dtype=np.float64), _LEAST) * unvoiced_prior
    with np.errstate(divide="ignore"):
        logs: NDArray[np.float64] = np.log(np.column_stack([probability.astype(np.float64), rest]))
    return logs


def _transitions(octave: NDArray[np.float64], reach: float, switch: float) -> NDArray[np.float64]:
    """Log weights from each state of a frame to each of the next (T - 1, K + 1, K + 1)."""
    frames, unvoiced = octave.shape
    logs = np.full((frames - 1, unvoiced + 1, unvoiced + 1), np.log(switch))
    distance = np.abs(octave[1:, np.newaxis, :] - octave[:-1, :, np.newaxis])
    with np.errstate(divide="ignore"):
        nearness = np.log(np.maximum(1 - distance / reach, 0))
    stay = np.log1p(-switch)
    logs[:, :unvoiced, :unvoiced] = nearness + stay
    logs[:, unvoiced, unvoiced] = stay
    return logs


def _trace(source: NDArray[np.uint8], last: int) -> NDArray[np.intp]:
    """The path that ends in state ``last``, from where each state came."""
    path = np.empty(len(source), dtype=np.intp)
    state = last
    for frame in range(len(source) - 1, -1, -1):
        path[frame] = state
        state = int(source[frame, state])
    return path
