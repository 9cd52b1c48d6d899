"""The layer of the Conformer and its parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.attention import AttentionLayer, Cache, SelfAttention
from seqlab.blocks.chunks import View
from seqlab.blocks.dropout import Dropout, StochasticDepth
from seqlab.blocks.frames import ChunkedConv
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least, check_choice
from seqlab.lengths import zero_padding

CONVOLUTION_NORMS = ("batch", "layer")


class FeedForward(nn.Module):
    """Layer norm, a wide layer with activation, and a layer back, with dropout behind both.

    Args:
        dim: Width D, at least 1.
        hidden_dim: Width between the layers, at least 1.
        dropout: Probability in [0, 1).
        activation: Name of an activation.

    Source: Gulati et al. 2020, "Conformer", section 2.3 and figure 4.
    """

    def __init__(
        self, dim: int, hidden_dim: int, dropout: float = 0.0, activation: str = "swish"
    ) -> None:
        super().__init__()
        check_at_least("feedforward_dim", hidden_dim, 1)
        self.norm = nn.LayerNorm(dim)
        self.input = nn.Linear(dim, hidden_dim)
        self.activation = make_activation(activation)
        self.output = nn.Linear(hidden_dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """Sequence (B, T, D) to the same shape, frame by frame."""
        hidden = self.dropout(self.activation(self.input(self.norm(sequence))))
        output: Tensor = self.dropout(self.output(hidden))
        return output


class ConvolutionModule(nn.Module):
    """Layer norm, a gated layer, a depthwise convolution, a norm, Swish, a layer, dropout.

    Args:
        dim: Width D, at least 1.
        kernel_size: Frames under the depthwise kernel, odd.
        dropout: Probability in [0, 1).
        norm: "batch", or "layer", which does not depend on the other utterances in training.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Gulati et al. 2020, "Conformer", section 2.2 and figure 2. Deviation: the two
    pointwise convolutions are linear layers, which compute the same.
    """

    def __init__(
        self, dim: int, kernel_size: int, dropout: float = 0.0, norm: str = "batch"
    ) -> None:
        super().__init__()
        check_choice("convolution_norm", norm, CONVOLUTION_NORMS)
        self.norm = nn.LayerNorm(dim)
        self.input = nn.Linear(dim, 2 * dim)
        self.depthwise = ChunkedConv(dim, kernel_size)
        self.inner_norm = MaskedBatchNorm(dim) if norm == "batch" else nn.LayerNorm(dim)
        self.activation = nn.SiLU()
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(
        self, sequence: Tensor, view: View, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sequence (B, T, D), finite everywhere, to the same shape, and what later frames see."""
        gated = functional.glu(self.input(self.norm(sequence)), dim=-1)
        gated = zero_padding(gated, view.lengths)
        tail = self.depthwise.tail(gated, past)
        mixed = self.depthwise(gated, view.chunk_frames, past)
        if isinstance(self.inner_norm, MaskedBatchNorm):
            mixed = self.inner_norm(mixed, view.lengths)
        else:
            mixed = self.inner_norm(mixed)
        return self.dropout(self.output(self.activation(mixed))), tail


class ConformerLayer(AttentionLayer):
    """Half a feed-forward part, attention, convolution, the other half, and layer norm.

    Args:
        dim: Width D, divisible by ``num_heads``.
        num_heads: Heads, at least 1.
        feedforward_dim: Hidden width of both feed-forward parts, at least 1.
        kernel_size: Frames under the convolution's kernel, odd.
        dropout: Probability in [0, 1), in all parts and on the attention weights.
        convolution_norm: "batch" or "layer".
        stochastic_depth: Probability in [0, 1) that an utterance skips each part in training.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Gulati et al. 2020, "Conformer", section 2.4, equation 1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        kernel_size: int = 15,
        dropout: float = 0.0,
        convolution_norm: str = "batch",
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        self.feedforward1 = FeedForward(dim, feedforward_dim, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, num_heads, dropout)
        self.dropout = Dropout(dropout)
        self.convolution = ConvolutionModule(dim, kernel_size, dropout, convolution_norm)
        self.feedforward2 = FeedForward(dim, feedforward_dim, dropout)
        self.norm = nn.LayerNorm(dim)
        self.depth = StochasticDepth(stochastic_depth)

    def forward(self, sequence: Tensor, view: View, past: Cache = ()) -> tuple[Tensor, Cache]:
        """As `AttentionLayer.forward`."""
        sequence = self._add_half(sequence, self.feedforward1)
        attended, keys = self.attention.attend(self.attention_norm(sequence), view, past[:2])
        sequence = sequence + self.depth(self.dropout(attended))
        mixed, tail = self.convolution(sequence, view, past[2] if past else None)
        sequence = sequence + self.depth(mixed)
        sequence = self._add_half(sequence, self.feedforward2)
        return self.norm(sequence), (*keys, tail)

    def initial_cache(self, batch_size: int = 1) -> Cache:
        """What the first frames of ``batch_size`` streams have behind them."""
        tail = self.convolution.depthwise.initial_tail(batch_size)
        return (*self.attention.initial_cache(batch_size), tail)

    def _add_half(self, sequence: Tensor, feedforward: nn.Module) -> Tensor:
        return torch.add(sequence, self.depth(feedforward(sequence)), alpha=0.5)
