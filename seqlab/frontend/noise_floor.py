"""The noise of a recording, band by band, as it changes: what is there when nobody speaks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d, pad

_WINDOW_S = 3.0  # to either side: a talker pauses, in each band, at least once in so long
_MINIMUM_BIAS = 1.5  # of the mean power of noise to the least of many short means
_NEAR = 2.0  # ratio to the first estimate below which a frame counts as noise
_AVERAGE_S = 1.0  # to either side, within which such frames are averaged
_LEAST_S = 0.1  # of them to take their mean
_KNOWN_S = 1.0  # with less to learn from, the noise is held to lie _BELOW the loudest
_BELOW = 0.01  # in power


def noise_floor(power: Tensor, heard: Tensor, stride: int, hop_s: float) -> Tensor:
    """Power of the noise in each band, every ``stride`` frames.

    A first estimate is the least mean over a stride, within three seconds before and within
    three after, the larger of the two: so it follows a step in the noise at once. Frames near it
    are averaged for the second, which has no bias from taking the least.

    Args:
        power: of each frame and band (T, bands), T > 0.
        heard: frames that may tell of noise (T,), bool; digital silence does not.
        stride: frames that share an estimate, positive.
        hop_s: seconds between frames.

    Returns:
        Noise power (ceil(T / stride), bands); 0 where nothing near was heard.

    Source: the least over a window as noise follows Martin 2001, "Noise power spectral density
    estimation based on optimal smoothing and minimum statistics", much simplified.

    Example:
        >>> steady = torch.ones(400, 1)
        >>> noise_floor(steady, torch.ones(400, dtype=torch.bool), 10, 0.01).unique().tolist()
        [1.0]
    """
    step_s = stride * hop_s
    total, count = _sums(power, heard, stride)
    mean = (total / count.clamp_min(1)).masked_fill(count < stride / 2, torch.inf)
    first = _least_nearby(mean, max(round(_WINDOW_S / step_s), 1)) * _MINIMUM_BIAS
    first = first.masked_fill(first.isinf(), 0)
    first = torch.minimum(first, _limit(power, heard, count * hop_s, stride, step_s))
    ratio = [
        (some / level.clamp_min(1e-30)).mean(1)
        for some, level in zip(torch.split(power, stride), first.T, strict=True)
    ]
    total, count = _sums(power, heard & (torch.cat(ratio) < _NEAR), stride)
    side = max(round(_AVERAGE_S / step_s), 1)
    total, count = _sum_nearby(total, side), _sum_nearby(count, side)
    return torch.where(count * hop_s >= _LEAST_S, total / count.clamp_min(1), first).T


def per_stride(values: Tensor, stride: int, fill: float) -> Tensor:
    """Values (T,) in rows of ``stride``, the last one filled up.

    >>> per_stride(torch.tensor([1.0, 2.0, 3.0]), 2, 0.0).tolist()
    [[1.0, 2.0], [3.0, 0.0]]
    """
    return pad(values, (0, -len(values) % stride), value=fill).reshape(-1, stride)


def spread(values: Tensor, stride: int, frames: int) -> Tensor:
    """Values of each stride (S,) given to its frames (frames,).

    >>> spread(torch.tensor([1, 2]), 2, 3).tolist()
    [1, 1, 2]
    """
    return values.repeat_interleave(stride, 0)[:frames]


def _sums(power: Tensor, chosen: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Sum over the chosen frames of each stride (bands, S), and how many they are (1, S)."""
    picked = power.masked_fill(~chosen.unsqueeze(1), 0)
    total = torch.stack([some.sum(0) for some in torch.split(picked, stride)], 1)
    return total, per_stride(chosen.to(power.dtype), stride, 0).sum(1).unsqueeze(0)


def _least_nearby(mean: Tensor, side: int) -> Tensor:
    """The least of (bands, S) within ``side`` before or after, whichever is more."""
    wide = -mean.unsqueeze(0)
    before = -max_pool1d(pad(wide, (side, 0), value=-torch.inf), side + 1, 1)[0]
    after = -max_pool1d(pad(wide, (0, side), value=-torch.inf), side + 1, 1)[0]
    more = torch.maximum(before, after)
    return torch.where(more.isinf(), torch.minimum(before, after), more)


def _limit(power: Tensor, heard: Tensor, heard_s: Tensor, stride: int, step_s: float) -> Tensor:
    """Most that the noise may be (1, S): held down where less than a second is known nearby."""
    side = max(round(_WINDOW_S / step_s), 1)
    loudest = per_stride(power.mean(1), stride, 0).amax(1)
    nearby = max_pool1d(loudest[None, None], 2 * side + 1, 1, side)[0]
    return torch.where(_sum_nearby(heard_s, side) < _KNOWN_S, _BELOW * nearby, torch.inf)


def _sum_nearby(values: Tensor, side: int) -> Tensor:
    """Sum of (rows, S) within ``side`` to either side."""
    return avg_pool1d(values.unsqueeze(0), 2 * side + 1, 1, side)[0] * (2 * side + 1)
