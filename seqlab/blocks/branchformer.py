"""The layer of the E-Branchformer and its parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.blocks.attention import AttentionLayer, Cache, SelfAttention
from seqlab.blocks.chunks import View
from seqlab.blocks.conformer import FeedForward
from seqlab.blocks.dropout import Dropout, StochasticDepth
from seqlab.blocks.frames import ChunkedConv
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import zero_padding


class ConvolutionalGating(nn.Module):
    """An MLP whose hidden units are gated by a convolution over time: the local branch.

    Args:
        dim: Width D, at least 1.
        hidden_dim: Hidden units, even; one half gates the other.
        kernel_size: Frames under the gate's kernel, odd.
        dropout: Probability in [0, 1).

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Peng et al. 2022, "Branchformer", section 3.3 (cgMLP with a convolutional spatial
    gating unit).
    """

    def __init__(self, dim: int, hidden_dim: int, kernel_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_at_least("gating_dim", hidden_dim, 2)
        if hidden_dim % 2:
            raise SeqlabError(
                f"gating_dim={hidden_dim} must be even, since one half gates the other; "
                f"use {hidden_dim + 1}"
            )
        self.norm = nn.LayerNorm(dim)
        self.input = nn.Linear(dim, hidden_dim)
        self.activation = nn.GELU()
        self.gate_norm = nn.LayerNorm(hidden_dim // 2)
        self.gate = ChunkedConv(hidden_dim // 2, kernel_size)
        self.output = nn.Linear(hidden_dim // 2, dim)
        self.dropout = Dropout(dropout)
        # As a gated MLP begins: the gate is near 1, so that the branch is an MLP.
        nn.init.normal_(self.gate.weight, std=1e-6)
        assert self.gate.bias is not None
        nn.init.ones_(self.gate.bias)

    def forward(
        self, sequence: Tensor, view: View, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sequence (B, T, D), finite everywhere, to the same shape, and what later frames see."""
        values, gate = self.activation(self.input(self.norm(sequence))).chunk(2, dim=-1)
        gate = zero_padding(self.gate_norm(gate), view.lengths)
        tail = self.gate.tail(gate, past)
        gated = self.dropout(values * self.gate(gate, view.chunk_frames, past))
        return self.dropout(self.output(gated)), tail


class EBranchformerLayer(AttentionLayer):
    """Attention and a convolutional MLP side by side, merged, between halves of feed-forward.

    Args:
        dim: Width D, divisible by ``num_heads``.
        num_heads: Heads, at least 1.
        feedforward_dim: Hidden width of both feed-forward parts, at least 1.
        gating_dim: Hidden units of the convolutional branch, even.
        kernel_size: Frames under the kernels of the convolutional branch and of the merging, odd.
        dropout: Probability in [0, 1), in all parts and on the attention weights.
        stochastic_depth: Probability in [0, 1) that an utterance skips each part in training.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Kim et al. 2022, "E-Branchformer", section 2.3: the merging with a depthwise
    convolution, in the form whose two summands are added before the projection.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        gating_dim: int,
        kernel_size: int = 15,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        self.feedforward1 = FeedForward(dim, feedforward_dim, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, num_heads, dropout)
        self.gating = ConvolutionalGating(dim, gating_dim, kernel_size, dropout)
        self.merge_conv = ChunkedConv(2 * dim, kernel_size)
        self.merge = nn.Linear(2 * dim, dim)
        self.feedforward2 = FeedForward(dim, feedforward_dim, dropout)
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        self.depth = StochasticDepth(stochastic_depth)

    def forward(self, sequence: Tensor, view: View, past: Cache = ()) -> tuple[Tensor, Cache]:
        """As `AttentionLayer.forward`."""
        sequence = self._add_half(sequence, self.feedforward1)
        far, keys = self.attention.attend(self.attention_norm(sequence), view, past[:2])
        near, gate_tail = self.gating(sequence, view, past[2] if past else None)
        both = zero_padding(torch.cat([self.dropout(far), near], dim=-1), view.lengths)
        mixed = self.merge_conv(both, view.chunk_frames, past[3] if past else None)
        merge_tail = self.merge_conv.tail(both, past[3] if past else None)
        sequence = sequence + self.depth(self.dropout(self.merge(both + mixed)))
        sequence = self._add_half(sequence, self.feedforward2)
        return self.norm(sequence), (*keys, gate_tail, merge_tail)

    def initial_cache(self, batch_size: int = 1) -> Cache:
        """What the first frames of ``batch_size`` streams have behind them."""
        gate_tail = self.gating.gate.initial_tail(batch_size)
        merge_tail = self.merge_conv.initial_tail(batch_size)
        return (*self.attention.initial_cache(batch_size), gate_tail, merge_tail)

    def _add_half(self, sequence: Tensor, feedforward: nn.Module) -> Tensor:
        return torch.add(sequence, self.depth(feedforward(sequence)), alpha=0.5)
