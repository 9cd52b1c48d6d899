"""Self-attention over valid frames, and positions for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least, check_probability
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask


def sinusoidal_positions(frames: int, dim: int, like: Tensor) -> Tensor:
    """Sines and cosines (frames, dim) of the positions 0, 1, ..., on the device of ``like``.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.

    >>> sinusoidal_positions(2, 2, torch.zeros(())).round(decimals=4).tolist()
    [[0.0, 1.0], [0.8414999842643738, 0.5403000116348267]]
    """
    angles = _angles(frames, dim, like)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(frames, dim)


def rotary_positions(frames: int, dim: int, like: Tensor) -> Tensor:
    """Cosines and sines (2, frames, dim // 2) for :func:`rotate`, on the device of ``like``."""
    angles = _angles(frames, dim, like)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(vectors: Tensor, rotary: Tensor) -> Tensor:
    """Turn pairs of channels of vectors (B, H, T, D) by angles that grow with the frame.

    The product of two turned vectors depends on their distance only: relative positions.

    Source: Su et al. 2021, "RoFormer", equation 34.
    """
    cosine, sine = rotary.to(vectors.dtype)
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)
    return turned.flatten(-2)


def _angles(frames: int, dim: int, like: Tensor) -> Tensor:
    dtype = torch.float32 if like.dtype in (torch.float16, torch.bfloat16) else like.dtype
    position = torch.arange(frames, device=like.device, dtype=dtype)
    channel = torch.arange(0, dim, 2, device=like.device, dtype=dtype)
    return position.unsqueeze(1) * torch.exp(channel * (-math.log(10000.0) / dim))


class SelfAttention(nn.Module):
    """Multi-head self-attention that never looks at padding.

    Args:
        dim: Width D, divisible by ``num_heads``; with rotary positions ``dim // num_heads`` is
            even.
        num_heads: Heads, at least 1.
        dropout: Probability in [0, 1) on the attention weights.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_at_least("num_heads", num_heads, 1)
        check_probability("dropout", dropout)
        if dim % num_heads:
            raise SeqlabError(
                f"width {dim} must be divisible by num_heads={num_heads}; "
                f"try {dim // num_heads * num_heads or num_heads} or another number of heads"
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.input = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, sequence: Tensor, lengths: Tensor, rotary: Tensor | None = None) -> Tensor:
        """Sequence (B, T, D), finite everywhere, lengths (B,) -> (B, T, D); padding undefined."""
        batch_size, frames, dim = sequence.shape
        split = (batch_size, frames, 3, self.num_heads, dim // self.num_heads)
        projected = self.input(sequence).view(split)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        # An utterance without frames attends to its padding, lest its softmax be empty.
        visible = valid_mask(lengths, frames) | (lengths == 0).unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=visible[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch_size, frames, dim))
        return output


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward layer, each with a residual connection.

    Args:
        dim: Width D, divisible by ``num_heads``.
        num_heads: Heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward part, at least 1.
        dropout: Probability in [0, 1), on attention weights, hidden units and both outputs.
        activation: Name of an activation.

    Source: Vaswani et al. 2017, section 3.1, with the norms in front: Xiong et al. 2020, "On
    Layer Normalization in the Transformer Architecture", table 1 (right).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("feedforward_dim", feedforward_dim, 1)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, num_heads, dropout)
        self.feedforward_norm = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            make_activation(activation),
            Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.dropout = Dropout(dropout)

    def forward(self, sequence: Tensor, lengths: Tensor, rotary: Tensor | None = None) -> Tensor:
        """Sequence (B, T, D), finite everywhere, lengths (B,) -> (B, T, D); padding undefined."""
        attended = self.attention(self.attention_norm(sequence), lengths, rotary)
        sequence = sequence + self.dropout(attended)
        fed: Tensor = self.feedforward(self.feedforward_norm(sequence))
        output: Tensor = sequence + self.dropout(fed)
        return output
