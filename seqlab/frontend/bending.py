"""Sequences with a random point moved, and the rest stretched and squeezed to fit."""

from __future__ import annotations

import torch
from torch import Tensor


def bend(values: Tensor, draws: Tensor, lengths: Tensor, furthest: int) -> Tensor:
    """Values (B, N, M) with a random point of N moved, ends in place, linear between.

    Args:
        values: (B, N, M).
        draws: of [0, 1), (B, 2): where the point is, and how far it goes.
        lengths: how much of N is to be bent, (B,); the rest stays.
        furthest: positions that the point moves at most.
    """
    last = (lengths - 1).clamp(min=0).to(draws.dtype)
    limit = (last / 4).clamp(max=furthest)
    target = limit + draws[:, 0] * (last - 2 * limit)
    source = target + (2 * draws[:, 1] - 1) * limit
    target, source, last = target.unsqueeze(1), source.unsqueeze(1), last.unsqueeze(1)
    place = torch.arange(values.shape[1], device=values.device, dtype=draws.dtype).unsqueeze(0)
    before = place * source / target.clamp(min=1e-6)
    after = source + (place - target) * (last - source) / (last - target).clamp(min=1e-6)
    position = torch.where(place < target, before, after)
    position = torch.where(place <= last, position.clamp(min=0), place).minimum(place.amax())
    lower = position.floor().long()
    upper = (lower + 1).clamp(max=values.shape[1] - 1)
    share = (position - lower).unsqueeze(2).to(values.dtype)
    lower, upper = (i.unsqueeze(2).expand_as(values) for i in (lower, upper))
    return torch.lerp(values.gather(1, lower), values.gather(1, upper), share)
