"""``SlidingCMVN`` as it is traced: sums over windows that are made anew in every block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.export.stage import Stage
from seqlab.frontend.normalize import finite_frames
from seqlab.frontend.sliding_cmvn import LEAST_VARIANCE, SlidingCMVN

__all__ = ["SlidingMean", "WholeSlidingMean"]


class _Windows(nn.Module):
    """What both forms share.

    Args:
        normalizer: Whose settings they have.
    """

    def __init__(self, normalizer: SlidingCMVN) -> None:
        super().__init__()
        self.window, self.min_window = normalizer.window, normalizer.min_window
        self.center, self.variance = normalizer.center, normalizer.variance

    def bounds(self, place: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """First frame of the windows of frames (T,), and that after the last; (B, T) each.

        Args:
            place: Numbers of frames (T,).
            total: Frames of each recording (B,), as far as they are known.
        """
        if self.center:
            begin = (place - self.window // 2).clamp(min=0)
            end = begin + self.window
        else:
            begin = (place - self.window).clamp(min=0)
            end = (place + 1).clamp(min=self.min_window)
        beyond = (end - total.unsqueeze(1)).clamp(min=0)
        return (begin - beyond).clamp(min=0), torch.minimum(end, total.unsqueeze(1))

    def sums(self, features: Tensor, counted: Tensor) -> Tensor:
        """Sums (B, T + 1, S), float64, of what comes before each frame of (B, T, F)."""
        good = (finite_frames(features) & counted).unsqueeze(-1)
        values = torch.where(good, features, 0.0).double()
        terms = [values, values.square()] if self.variance else [values]
        every = torch.cat([*terms, good.double()], -1)
        return nn.functional.pad(every.cumsum(1), (0, 0, 1, 0))

    def apply_sums(self, frames: Tensor, sums: Tensor) -> Tensor:
        """Frames (B, T, F) less the mean, over the deviation, that sums (B, T, S) amount to."""
        width = frames.shape[2]
        count = sums[..., -1:].clamp(min=1)
        mean = sums[..., :width] / count
        result = frames.double() - mean
        if self.variance:
            variance = sums[..., width : 2 * width] / count - mean.square()
            result = result / variance.clamp(min=LEAST_VARIANCE).sqrt()
            result = torch.where((count > 1) | ~frames.isfinite(), result, 0.0)
        return result.float()


class WholeSlidingMean(_Windows):
    """``SlidingCMVN.forward`` of a batch of any size."""

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        place = torch.arange(features.shape[1])
        sums = self.sums(features, place < lengths.unsqueeze(1))
        begin, end = self.bounds(place, lengths)
        inside = _at(sums, torch.maximum(begin, end)) - _at(sums, begin)
        return self.apply_sums(features, inside)


class SlidingMean(_Windows, Stage):
    """``SlidingCMVN`` in a stream; see ``Stage``.

    Args:
        normalizer: Whose settings it has.
        width: Features a frame.
    """

    def __init__(self, normalizer: SlidingCMVN, width: int) -> None:
        super().__init__(normalizer)
        self.width = width
        self.ahead = self.window - self.window // 2 - 1 if self.center else 0
        self.least = self.window - self.ahead if self.center else self.min_window
        self.held = self.window + self.ahead

    def initial(self) -> list[Tensor]:
        """The frames before the first."""
        return [torch.zeros(1, self.held, self.width)]

    def follow(
        self, features: Tensor, tensors: list[Tensor], fed: Tensor, total: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """As ``Stage.follow``."""
        known = torch.cat([tensors[0], features], 1)
        first, count = fed - self.held, features.shape[1]
        place = torch.arange(known.shape[1]) + first
        sums = self.sums(known, ((place >= 0) & (place < total)).unsqueeze(0))
        begin, end = self.bounds(torch.arange(count) + (fed - self.ahead), total)
        most = known.shape[1]
        begin, end = ((each - first).clamp(min=0, max=most) for each in (begin, end))
        frames = known[:, self.window : self.window + count]
        return self.apply_sums(frames, _at(sums, end) - _at(sums, begin)), [known[:, count:]]


def _at(sums: Tensor, place: Tensor) -> Tensor:
    """Sums (B, T, S) at places (B, T)."""
    index = place.unsqueeze(-1).expand(-1, -1, sums.shape[2])
    return sums.expand(place.shape[0], -1, -1).gather(1, index)
