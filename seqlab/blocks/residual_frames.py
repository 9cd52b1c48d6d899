"""Residual blocks of convolutions over frames, also with a stride and in streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.blocks.convolution import ConvLayer, MaskedActivation
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.streaming import chain_flush, chain_state, chain_step, full_lengths
from seqlab.errors import SeqlabError
from seqlab.lengths import Length

State = tuple[Tensor, tuple[Any, ...]]


class ResidualFrames(nn.Module):
    """Layers over frames (B, T, C) with a connection around them.

    Use it as the unit of residual networks over time. With a stride the connection carries the
    first frame of every ``stride``, on which the first layer's kernel is centred.

    Args:
        body: Layers whose results are added to the input; only the first may have a stride. All
            of them causal, for a block that follows a stream.
        shortcut: A layer of kernel 1 and stride 1 on the connection, where widths change; None
            for the identity.
        activation: Name of an activation after the sum; None for none.
        dropout: Probability in [0, 1) after the sum.

    Raises:
        SeqlabError: If the widths of body and connection differ.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", section 3.2.

    Example:
        >>> from seqlab.blocks.convolution import NormalizedConv
        >>> block = ResidualFrames([NormalizedConv(3, 5, 9, stride=2)], NormalizedConv(3, 5, 1))
        >>> sequence, lengths = block(torch.zeros(1, 9, 3), torch.tensor([9]))
        >>> tuple(sequence.shape), lengths.tolist()
        ((1, 5, 5), [5])
    """

    def __init__(
        self,
        body: Sequence[ConvLayer],
        shortcut: ConvLayer | None = None,
        activation: str | None = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.body = nn.ModuleList(body)
        self.shortcut = shortcut
        self.activation: MaskedActivation | None = None
        self.dropout: Dropout | None = None
        if activation is None:
            self.dropout = Dropout(dropout)
        else:
            self.activation = MaskedActivation(activation, dropout, in_place=True)
        self.stride = body[0].stride
        around = body[0].input_dim if shortcut is None else shortcut.output_dim
        if around != body[-1].output_dim:
            raise SeqlabError(
                f"a connection of width {around} cannot be added to layers of width "
                f"{body[-1].output_dim}; give a shortcut between the two"
            )

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), zero beyond lengths (B,), to (B, T', C') likewise, lengths."""
        around = sequence
        for layer in self.body:
            sequence, lengths = layer(sequence, lengths)
        if self.stride > 1:  # by index, so that a graph of any length sees the same length twice
            kept = torch.arange(sequence.shape[1], device=sequence.device) * self.stride
            around = around.index_select(1, kept)
        return self._sum(sequence, around, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return self._layers()[0].output_lengths(lengths)

    def initial_state(self, batch_size: int = 1) -> State:
        """State before the first frame: frames that wait for their stride, and the layers'."""
        layers = chain_state(self._layers(), batch_size)
        weight = self._layers()[0].norm.weight
        return weight.new_zeros(batch_size, 0, self._layers()[0].input_dim), layers

    def step(self, sequence: Tensor, state: State) -> tuple[Tensor, State]:
        """Frames (B, T', C') that the next frames (B, T, C) complete, and the new state."""
        around = torch.cat([state[0], sequence], dim=1) if self.stride > 1 else sequence
        whole = around.shape[1] // self.stride * self.stride
        sequence, layers = chain_step(self._layers(), sequence, state[1])
        result = self._sum(sequence, around[:, : whole : self.stride], full_lengths(sequence))
        return result, (around[:, whole:], layers)

    def flush(self, state: State) -> Tensor:
        """The frame (B, 0 or 1, C') that the end of the stream completes."""
        rest = chain_flush(self._layers(), state[1])
        return self._sum(rest, state[0][:, :: self.stride], full_lengths(rest))

    def _sum(self, sequence: Tensor, around: Tensor, lengths: Tensor) -> Tensor:
        if self.shortcut is not None:
            around = self.shortcut(around, lengths)[0]
        total = sequence + around
        if self.activation is not None:
            return self.activation(total, lengths)  # type: ignore[no-any-return]
        assert self.dropout is not None, "one of the two is always there"
        return self.dropout(total)  # type: ignore[no-any-return]

    def _layers(self) -> list[ConvLayer]:
        return [layer for layer in self.body if isinstance(layer, ConvLayer)]
