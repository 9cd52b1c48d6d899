"""Attention of a recurrent decoder: one query a hypothesis, weights over the frames."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_CHANNELS = 10  # of the convolution over the last weights
_REACH = 15  # frames it looks to either side


class DotAttention(nn.Module):
    """Compares query and frames by the scalar product of their projections.

    Use it where the last weights need not be known; it is the faster of the two.

    Args:
        query_dim: Width of the query.
        frame_dim: Width of a frame.
        attention_dim: Width A in which they are compared.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1, with one head.
    """

    def __init__(self, query_dim: int, frame_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_dim, attention_dim)
        self.key = nn.Linear(frame_dim, attention_dim, bias=False)

    def keys(self, frames: Tensor) -> Tensor:
        """Keys (B, T, A) of frames (B, T, D)."""
        keys: Tensor = self.key(frames)
        return keys

    def forward(self, query: Tensor, keys: Tensor, last: Tensor, valid: Tensor) -> Tensor:
        """Weights (N, T) that sum to 1 over the valid frames.

        Args:
            query: (N, Q), as many for each of B utterances, in their order.
            keys: (B, T, A).
            last: Weights (N, T) of the token before; not looked at.
            valid: (B, T), True on real frames, one at least.
        """
        grouped = self.query(query).view(len(keys), -1, keys.shape[-1])
        scores = grouped @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
        return _weights(scores, valid)


class LocationAttention(nn.Module):
    """Compares query and frames in a hidden layer that sees the last weights around each frame.

    Use it where attention should move on through the recording.

    Args:
        query_dim: Width of the query.
        frame_dim: Width of a frame.
        attention_dim: Width A of the hidden layer.

    Source: Chorowski et al. 2015, "Attention-Based Models for Speech Recognition", equations 8
    and 9.
    """

    def __init__(self, query_dim: int, frame_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_dim, attention_dim)
        self.key = nn.Linear(frame_dim, attention_dim, bias=False)
        self.convolution = nn.Conv1d(1, _CHANNELS, 2 * _REACH + 1, padding=_REACH, bias=False)
        self.location = nn.Linear(_CHANNELS, attention_dim, bias=False)
        self.score = nn.Linear(attention_dim, 1, bias=False)

    def keys(self, frames: Tensor) -> Tensor:
        """Keys (B, T, A) of frames (B, T, D)."""
        keys: Tensor = self.key(frames)
        return keys

    def forward(self, query: Tensor, keys: Tensor, last: Tensor, valid: Tensor) -> Tensor:
        """Weights (N, T) that sum to 1 over the valid frames; see ``DotAttention.forward``."""
        located = self.location(self.convolution(last[:, None]).transpose(1, 2))
        located = located.view(len(keys), -1, *located.shape[1:])
        grouped = self.query(query).view(len(keys), -1, 1, keys.shape[-1])
        scores = self.score(torch.tanh(grouped + keys[:, None] + located)).squeeze(-1)
        return _weights(scores, valid)


def _weights(scores: Tensor, valid: Tensor) -> Tensor:
    """Softmax (N, T) over the valid frames of scores (B, N / B, T)."""
    hidden = scores.masked_fill(~valid[:, None], float("-inf"))
    return hidden.softmax(-1).flatten(0, 1)
