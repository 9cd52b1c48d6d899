"""Centred frames of a recording that keeps its first and last value beyond its ends."""

from __future__ import annotations

import torch
from torch import Tensor


def held_frames(
    waveform: Tensor, first: int, last: int, *, left: int, length: int, hop_length: int
) -> Tensor:
    """Frames of one recording, its end samples held beyond its ends.

    Use it where frames lose their mean: unlike zeros, a held value makes no step where the
    recording has a constant offset.

    Args:
        waveform: samples (N,), N > 0.
        first: number of the first frame wanted; frame t lies about sample t * hop_length.
        last: number after the last frame wanted, above ``first``.
        left: samples of a frame before that sample.
        length: samples of a frame.
        hop_length: samples between frames.

    Returns:
        Frames (last - first, length), a view where memory allows.

    Example:
        >>> held_frames(
        ...     torch.tensor([1.0, 2.0, 3.0]), 0, 2, left=1, length=3, hop_length=2
        ... ).tolist()
        [[1.0, 1.0, 2.0], [2.0, 3.0, 3.0]]
    """
    begin = first * hop_length - left
    end = (last - 1) * hop_length - left + length
    piece = waveform[max(begin, 0) : max(min(end, len(waveform)), 0)]
    before = min(max(-begin, 0), end - begin)
    after = end - begin - before - len(piece)
    parts = [waveform[:1].expand(before), piece, waveform[-1:].expand(after)]
    return torch.cat(parts).unfold(0, length, hop_length)
