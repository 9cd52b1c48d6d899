"""Normalisers that need the whole recording, as they are traced: no sizes are asked for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.frontend.normalize import PeakReference, UtteranceCMVN, finite_frames

__all__ = ["UtteranceMean", "UtterancePeak"]


class UtteranceMean(nn.Module):
    """``UtteranceCMVN`` of a batch of any size.

    Args:
        normalizer: Whose settings it has.
    """

    def __init__(self, normalizer: UtteranceCMVN) -> None:
        super().__init__()
        self.mean, self.variance, self.floor = (
            normalizer.mean,
            normalizer.variance,
            normalizer.floor,
        )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalise features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        counted = (finite_frames(features) & _valid(features, lengths)).unsqueeze(-1)
        exact = features.double()
        frames = counted.double().sum(1, keepdim=True).clamp(min=1)
        average = torch.where(counted, exact, 0.0).sum(1, keepdim=True) / frames
        centred = exact - average
        squares = torch.where(counted, centred, 0.0).square().sum(1, keepdim=True) / frames
        result = centred if self.mean else exact
        if self.variance:
            result = result / squares.clamp(min=self.floor**2).sqrt()
        return result.float()


class UtterancePeak(nn.Module):
    """``PeakReference`` of a batch of any size.

    Args:
        normalizer: Which has no settings.
    """

    def __init__(self, normalizer: PeakReference) -> None:
        super().__init__()

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Lower features (B, T, F) of ``lengths`` (B,) frames; the shape stays."""
        used = _valid(features, lengths).unsqueeze(-1) & features.isfinite()
        peak = torch.where(used, features, -torch.inf).amax((1, 2), keepdim=True)
        return features - peak.clamp(min=-1e38)


def _valid(features: Tensor, lengths: Tensor) -> Tensor:
    """Mask (B, T) of real frames."""
    return torch.arange(features.shape[1]) < lengths.unsqueeze(1)
