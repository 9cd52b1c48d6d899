"""``PCEN`` as it is traced: its running mean by matrices of powers, whatever frames count."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.export.stage import Stage
from seqlab.frontend.normalize import finite_frames
from seqlab.frontend.pcen import PCEN

__all__ = ["RunningGain"]

_BLOCK = 32  # frames that one matrix smooths; traced with several, or their number were fixed


class RunningGain(Stage):
    """``PCEN`` of whole recordings, and in a stream; see ``Stage``.

    Args:
        normalizer: Whose settings it has.
        width: Features a frame, for a stream.
    """

    def __init__(self, normalizer: PCEN, width: int) -> None:
        super().__init__()
        self.ahead, self.least = 0, 1
        self.smoothing, self.gain, self.bias = (
            normalizer.smoothing,
            normalizer.gain,
            normalizer.bias,
        )
        self.power, self.epsilon = normalizer.power, normalizer.epsilon
        self.start, self.width = normalizer.start, width

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise energies (B, T, F); frames beyond ``lengths`` change none before them."""
        before = torch.zeros_like(features[:, 0])
        started = torch.zeros_like(features[:, 0, 0]) > 0
        return self._run(features, before, started)[0]

    def initial(self) -> list[Tensor]:
        """The running mean, and whether it has a value yet."""
        return [torch.zeros(1, self.width), torch.zeros(1, dtype=torch.bool)]

    def follow(
        self, features: Tensor, tensors: list[Tensor], fed: Tensor, total: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """As ``Stage.follow``."""
        result, mean, started = self._run(features, *tensors)
        return result, [mean, started]

    def _run(
        self, energies: Tensor, before: Tensor, started: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised energies (B, T, F), the mean (B, F) after them, and whether it has a value."""
        good = finite_frames(energies)
        values = torch.where(good.unsqueeze(-1), energies, 0.0)
        if self.start is None:
            first = good.long().argmax(1)
            place = first.reshape(-1, 1, 1).expand(-1, -1, energies.shape[2])
            beginning = values.gather(1, place)[:, 0]
        else:
            beginning = torch.full_like(before, self.start)
        before = torch.where(started.unsqueeze(-1), before, beginning)
        means = self._means(values, good, before)
        result = _root(values * (means + self.epsilon).pow(-self.gain), self.power, self.bias)
        result = torch.where(good.unsqueeze(-1), result, math.nan)
        return result, means[:, -1], started | good.any(1)

    def _means(self, values: Tensor, good: Tensor, before: Tensor) -> Tensor:
        """The running mean (B, T, F) after each frame; one that does not count leaves it alone."""
        total, width = values.shape[1], values.shape[2]
        blocks = (total + _BLOCK - 1) // _BLOCK
        index = torch.arange(blocks * _BLOCK)
        inside, index = index < total, index.clamp(max=total - 1)
        counted = good.index_select(1, index) & inside
        grouped = values.index_select(1, index).reshape(-1, blocks, _BLOCK, width)
        counted = counted.reshape(-1, blocks, _BLOCK)
        counts = counted.long().cumsum(2)
        weights = torch.where(
            counted.unsqueeze(2) & (torch.ones(_BLOCK, _BLOCK).tril() > 0),
            self._faded(counts.unsqueeze(3) - counts.unsqueeze(2)),
            0.0,
        )
        own = torch.matmul(weights, grouped * self.smoothing)
        handed = self._handed(own[:, :, -1], counts[:, :, -1], before)
        faded = self._faded(counts).unsqueeze(-1)
        return (own + faded * handed.unsqueeze(2)).reshape(-1, blocks * _BLOCK, width)[:, :total]

    def _handed(self, last: Tensor, counts: Tensor, before: Tensor) -> Tensor:
        """The mean (B, n, F) before each of n blocks.

        Args:
            last: (B, n, F) what each block alone amounts to.
            counts: (B, n) frames of each that count.
            before: (B, F) the mean before the first.
        """
        so_far = counts.cumsum(1)
        earlier = so_far - counts  # before each block
        lag = earlier.unsqueeze(2) - so_far.unsqueeze(1)
        blocks = torch.arange(counts.shape[1])
        later = blocks.unsqueeze(1) > blocks
        weights = torch.where(later, self._faded(lag.clamp(min=0)), 0.0)
        faded = self._faded(earlier).unsqueeze(-1)
        return torch.matmul(weights, last) + faded * before.unsqueeze(1)

    def _faded(self, frames: Tensor) -> Tensor:
        """What is left of a weight after so many frames; in float64, for it is a high power."""
        kept = torch.full((), 1 - self.smoothing, dtype=torch.float64)
        return torch.pow(kept, frames.clamp(min=0).double()).float()


def _root(values: Tensor, power: float, bias: float) -> Tensor:
    """``(values + bias) ** power - bias ** power``, with its digits where values are small."""
    if bias:
        root: Tensor = torch.expm1(power * torch.log1p(values / bias))
        return root.mul(bias**power)
    silent = values == 0
    return torch.where(silent, 0.0, torch.where(silent, 1.0, values).pow(power))
