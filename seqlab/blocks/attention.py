"""Self-attention over valid frames, and positions for it."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.chunks import View, visible_frames
from seqlab.blocks.dropout import Dropout, StochasticDepth
from seqlab.checks import check_at_least, check_probability
from seqlab.errors import SeqlabError

Cache = tuple[Tensor, ...]  # what a layer of a stream keeps of the frames behind it


def sinusoidal_positions(frames: int, dim: int, like: Tensor, first: int = 0) -> Tensor:
    """Sines and cosines (frames, dim) of positions from ``first`` on, on the device of ``like``.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.

    >>> sinusoidal_positions(2, 2, torch.zeros(())).round(decimals=4).tolist()
    [[0.0, 1.0], [0.8414999842643738, 0.5403000116348267]]
    """
    cosine, sine = _waves(frames, dim, like, first)
    return torch.stack([sine, cosine], dim=-1).reshape(frames, dim)


def rotary_positions(frames: int, dim: int, like: Tensor) -> Tensor:
    """Cosines and sines (2, frames, dim // 2) for :func:`rotate`, on the device of ``like``."""
    return torch.stack(_waves(frames, dim, like))


def rotate(vectors: Tensor, rotary: Tensor) -> Tensor:
    """Turn pairs of channels of vectors (B, H, T, D) by angles that grow with the frame.

    The product of two turned vectors depends on their distance only: relative positions.

    Source: Su et al. 2021, "RoFormer", equation 34.
    """
    cosine, sine = rotary.to(vectors.dtype)
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)
    return turned.flatten(-2)


def _waves(frames: int, dim: int, like: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
    """Cosines and sines (frames, dim // 2), in double precision until the angles are gone.

    In single precision the angles in the second hour of 40 ms frames are off by 1/250 already.
    """
    exact = torch.float32 if like.device.type == "mps" else torch.float64  # mps has no doubles
    position = torch.arange(first, first + frames, device=like.device, dtype=exact)
    channel = torch.arange(0, dim, 2, device=like.device, dtype=exact)
    angles = position.unsqueeze(1) * torch.exp(channel * (-math.log(10000.0) / dim))
    dtype = torch.float32 if like.dtype in (torch.float16, torch.bfloat16) else like.dtype
    return angles.cos().to(dtype), angles.sin().to(dtype)


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
        view = View(lengths, visible_frames(lengths, sequence.shape[1]), rotary)
        return self.attend(sequence, view)[0]

    def attend(
        self, sequence: Tensor, view: View, past: Cache = ()
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The same within a view, after a past.

        Args:
            sequence: (B, T, D), finite everywhere.
            view: What each frame may see.
            past: Keys and values (B, H, P, D / H) that an earlier call returned, or nothing. Keys
                are kept unturned, so that positions count from the oldest one that is seen.

        Returns:
            (B, T, D), padding undefined, and the keys and values that later frames see.
        """
        batch_size, frames, dim = sequence.shape
        split = (batch_size, frames, 3, self.num_heads, dim // self.num_heads)
        query, key, value = self.input(sequence).view(split).permute(2, 0, 3, 1, 4)
        if past:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        kept = (_last(key, view.kept_frames), _last(value, view.kept_frames))
        if view.rotary is not None:
            query = rotate(query, view.rotary[:, key.shape[2] - frames :])
            key = rotate(key, view.rotary)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=view.visible,
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch_size, frames, dim))
        return output, kept

    def initial_cache(self, batch_size: int = 1) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, 0, D / H) of streams before their first frame."""
        head_dim = self.output.in_features // self.num_heads
        nothing = self.output.weight.new_zeros(batch_size, self.num_heads, 0, head_dim)
        return nothing, nothing


def _last(cached: Tensor, frames: int) -> Tensor:
    return cached if frames < 0 else cached[:, :, max(0, cached.shape[2] - frames) :]


class AttentionLayer(nn.Module, abc.ABC):
    """A layer of an encoder that sees what a view allows, and can go on where it stopped."""

    @abc.abstractmethod
    def forward(self, sequence: Tensor, view: View, past: Cache = ()) -> tuple[Tensor, Cache]:
        """Sequence (B, T, D), finite everywhere, to the same shape, and what later frames need.

        Padding is undefined in the result. ``past`` is what the frames before left, if any.
        """

    @abc.abstractmethod
    def initial_cache(self, batch_size: int = 1) -> Cache:
        """What the first frames of ``batch_size`` streams have behind them."""


class TransformerLayer(AttentionLayer):
    """Pre-norm self-attention and feed-forward layer, each with a residual connection.

    Args:
        dim: Width D, divisible by ``num_heads``.
        num_heads: Heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward part, at least 1.
        dropout: Probability in [0, 1), on attention weights, hidden units and both outputs.
        activation: Name of an activation.
        stochastic_depth: Probability in [0, 1) that an utterance skips each part in training.

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
        stochastic_depth: float = 0.0,
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
        self.depth = StochasticDepth(stochastic_depth)

    def forward(self, sequence: Tensor, view: View, past: Cache = ()) -> tuple[Tensor, Cache]:
        """As `AttentionLayer.forward`."""
        attended, kept = self.attention.attend(self.attention_norm(sequence), view, past)
        sequence = sequence + self.depth(self.dropout(attended))
        fed = self.feedforward(self.feedforward_norm(sequence))
        return sequence + self.depth(self.dropout(fed)), kept

    def initial_cache(self, batch_size: int = 1) -> Cache:
        """What the first frames of ``batch_size`` streams have behind them."""
        return self.attention.initial_cache(batch_size)
