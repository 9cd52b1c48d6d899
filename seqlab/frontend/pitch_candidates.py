"""Periods that a frame may have, each with a probability: the first half of probabilistic YIN."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from seqlab.frontend.held import held_frames

CANDIDATES = 8  # kept in a frame; the few that carry nearly all of its probability
_GLOBAL_SHARE = 0.01  # of a threshold that no trough passes, given to the lowest trough
_ROUNDING = 2e-6  # of a frame's peak: what is smaller after its mean is taken off is rounding
_FLAT = 1e-12  # least bend of a parabola


@dataclass(frozen=True)
class PitchFrames:
    """How frames are cut and searched; all that follows from the settings of ``pitch``.

    Args:
        sample_rate: Hz.
        f_min: lowest F0 in Hz.
        f_max: highest F0 in Hz.
        win_length: samples that are compared with as many one period later.
        hop_length: samples between frames.
        threshold_mean: mean of the prior over YIN's threshold.
    """

    sample_rate: int
    f_min: float
    f_max: float
    win_length: int
    hop_length: int
    threshold_mean: float

    @cached_property
    def shortest(self) -> int:
        """The shortest lag searched, in samples; at least 2, so that it has two neighbours."""
        return max(math.floor(self.sample_rate / self.f_max), 2)

    @cached_property
    def longest(self) -> int:
        """The longest lag searched, in samples."""
        return max(math.ceil(self.sample_rate / self.f_min), self.shortest + 1)

    @cached_property
    def frame_length(self) -> int:
        """Samples that a frame reads."""
        return self.win_length + self.longest + 1

    @cached_property
    def left(self) -> int:
        """Samples from the start of a frame to its time: its middle for a middling period.

        YIN compares a stretch with the one a period later; the two are centred half a period
        after the middle of the first. Taking the geometric middle of the range keeps the error
        of that time under 6 ms for any voice.
        """
        middling = self.sample_rate / math.sqrt(self.f_min * self.f_max)
        return round((self.win_length + middling) / 2)

    @cached_property
    def n_fft(self) -> int:
        """Points of the transform: the next product of 2s, at most one 3 and one 5."""
        sizes = [odd << power for power in range(32) for odd in (1, 3, 5, 15)]
        return min(size for size in sizes if size >= self.frame_length)

    def cut(self, waveform: Tensor, first: int, last: int) -> Tensor:
        """Frames ``first`` to ``last`` (exclusive) of a waveform (N,), N > 0: (last - first, L)."""
        return held_frames(
            waveform,
            first,
            last,
            left=self.left,
            length=self.frame_length,
            hop_length=self.hop_length,
        )


def level(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frames without their mean, on a scale where squares neither overflow nor vanish.

    Args:
        frames: samples (T, L); not finite ones are allowed.

    Returns:
        Frames (T, L), float32, all zero where a frame is silent or not finite; and which frames
        are finite, bool (T,).
    """
    peak = frames.abs().amax(1, keepdim=True)
    finite = peak.isfinite()
    usable = finite & (peak > 0)
    scaled = (frames / peak.where(usable, peak.new_ones(()))).float()
    scaled = scaled - scaled.mean(1, keepdim=True)
    constant = scaled.abs().amax(1, keepdim=True) <= _ROUNDING
    return scaled.masked_fill(~usable | constant, 0), finite.squeeze(1)


def difference(frames: Tensor, settings: PitchFrames) -> Tensor:
    """Squared difference of each frame and itself later, for every lag.

    Args:
        frames: levelled frames (T, L).
        settings: how they were cut.

    Returns:
        d(lag) for lags 0 to ``settings.longest`` + 1: (T, longest + 2), not negative.

    Source: de Cheveigné and Kawahara 2002, "YIN, a fundamental frequency estimator for speech
    and music", equations 6 and 7; the correlation by FFT.
    """
    window, lags = settings.win_length, settings.longest + 2
    whole = torch.fft.rfft(frames, settings.n_fft)
    head = torch.fft.rfft(frames[:, :window], settings.n_fft)
    correlation = torch.fft.irfft(whole * head.conj(), settings.n_fft)[:, :lags]
    power = frames.square()
    first = power[:, :window].sum(1, keepdim=True)
    # From one lag to the next the later stretch gains a sample and loses one.
    change = (power[:, window:] - power[:, : lags - 1]).cumsum(1)
    later = torch.cat([first, first + change], 1)
    result = (first + later).sub_(correlation, alpha=2).clamp_min_(0)
    result[:, 0] = 0
    return result


def normalised_difference(difference: Tensor) -> Tensor:
    """Difference over its mean up to each lag: 1 at lag 0, near 0 at a period.

    Args:
        difference: d(lag) for lags from 0 (T, lags).

    Returns:
        d'(lag), same shape; 1 throughout where the frame is silent.

    Source: de Cheveigné and Kawahara 2002, equation 8.

    Example:
        >>> normalised_difference(torch.tensor([[0.0, 1.0, 3.0, 0.0]])).tolist()
        [[1.0, 1.0, 1.5, 0.0]]
    """
    total = difference.cumsum(1)
    lag = torch.arange(difference.shape[1], dtype=difference.dtype, device=difference.device)
    return (difference * lag / total).masked_fill_(total == 0, 1)


def threshold_share(height: Tensor, mean: float) -> Tensor:
    """Probability that YIN's threshold is below a height, under a beta prior with alpha = 2.

    Args:
        height: values of d' (any shape).
        mean: mean of the prior, within (0, 1); beta = 2 / mean - 2.

    Returns:
        The distribution function of the prior, same shape.

    Source: Mauch and Dixon 2014, "pYIN", section 2.1: alpha = 2, beta = 18, 34/3, 8 for means
    of 0.1, 0.15, 0.2. The regularised incomplete beta function in closed form for alpha = 2.

    Example:
        >>> threshold_share(torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64), 0.1).tolist()
        ... # doctest: +ELLIPSIS
        [0.0, 0.579..., 1.0]
    """
    beta = 2 / mean - 2
    height = height.clamp(0, 1)
    return 1 - (1 - height) ** beta * (1 + beta * height)


def candidates(frames: Tensor, settings: PitchFrames) -> tuple[Tensor, Tensor]:
    """Frequencies a frame may have, and their probabilities.

    YIN takes the first trough of d' below a threshold. Under a prior over thresholds, a trough
    that is lower than all before it is taken by the thresholds between its height and theirs;
    thresholds below every trough leave a small share to the lowest one.

    Args:
        frames: levelled frames (T, L).
        settings: how they were cut.

    Returns:
        Frequencies (T, CANDIDATES) in Hz, and probabilities of the same shape, 0 where there
        are fewer candidates; they sum to at most 1.

    Source: Mauch and Dixon 2014, section 2.1 and equation 4, with the sum over thresholds
    replaced by the integral it approximates. Period from the parabola through d, height from
    that through d' (de Cheveigné and Kawahara 2002, section II.E).
    """
    raw = difference(frames, settings)
    height = trough_heights(normalised_difference(raw), settings.shortest, settings.longest)
    lowest = height.cummin(1).values
    share = threshold_share(lowest, settings.threshold_mean)
    probability = torch.nn.functional.pad(share[:, :-1], (1, 0), value=1.0) - share
    deepest = height.argmin(1, keepdim=True)
    # Where there is no trough at all the share is 1, and the lowest place means nothing.
    left_over = (_GLOBAL_SHARE * share[:, -1:]).masked_fill(lowest[:, -1:] >= 1, 0)
    probability.scatter_add_(1, deepest, left_over)
    kept, index = probability.topk(min(CANDIDATES, probability.shape[1]), 1)
    lag = index + settings.shortest
    frequency = settings.sample_rate / (lag + trough_offset(raw, lag))
    return frequency.clamp(settings.f_min, settings.f_max), kept


def trough_heights(normal: Tensor, shortest: int, longest: int) -> Tensor:
    """How low each trough of d' is, by the parabola through it and its neighbours.

    Args:
        normal: d'(lag) for lags 0 to ``longest`` + 1: (T, longest + 2).
        shortest: first lag searched.
        longest: last lag searched.

    Returns:
        Heights within [0, 1] for the lags searched (T, longest - shortest + 1); 1 where there
        is no trough.
    """
    here = normal[:, shortest : longest + 1]
    left, right = normal[:, shortest - 1 : longest], normal[:, shortest + 1 : longest + 2]
    trough = (here < left) & (here <= right)
    bend = (left + right).sub_(here, alpha=2).clamp_min_(_FLAT)
    depth = (left - right).square_().div_(bend).mul_(0.125)
    return (here - depth).clamp_(0, 1).masked_fill_(~trough, 1)


def trough_offset(raw: Tensor, lag: Tensor) -> Tensor:
    """Where the parabola through d at three neighbouring lags is lowest.

    Args:
        raw: d(lag) for lags from 0 (T, lags).
        lag: the middle ones of each frame (T, K), int64.

    Returns:
        Offset from the middle lag within [-1, 1], (T, K).

    Example:
        >>> trough_offset(torch.tensor([[0.0, 9.0, 1.0, 1.0]]), torch.tensor([[2]])).tolist()
        [[0.5]]
    """
    left, here, right = (raw.gather(1, lag + step) for step in (-1, 0, 1))
    bend = (left + right - 2 * here).clamp_min(_FLAT)
    return (0.5 * (left - right) / bend).clamp(-1, 1)
