"""What networks of layers over frames share: one layer after the other, whole or in a stream."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.streaming import StreamingLayer, chain_flush, chain_state, chain_step
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.lengths import Length, zero_padding


class FrameLayer(StreamingLayer, Protocol):
    """A layer over frames (B, T, C); the streaming part is for causal ones only."""

    def __call__(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), zero beyond lengths (B,), to (B, T', C') likewise, lengths."""
        ...

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that the layer returns for ``lengths`` frames."""
        ...


class FrameNetworkEncoder(Encoder):
    """Layers over frames one after the other; in streams if all of them are causal.

    The base of the convolutional networks over time, which choose the layers.

    Args:
        input_dim: Features a frame, at least 1.
        output_dim: Width of what the last layer gives.
        layers: At least one module with the interface `FrameLayer`.
        subsampling: Product of the strides.
        causal: Whether all layers look back only.
    """

    @abc.abstractmethod
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        layers: Sequence[nn.Module],
        subsampling: int,
        causal: bool,
    ) -> None:
        super().__init__()
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.layers = nn.ModuleList(layers)
        self.causal = causal
        self.lookahead = subsampling - 1 if causal else 0

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        encoded = zero_padding(features, lengths)
        for layer in self.layers:
            encoded, lengths = layer(encoded, lengths)
        return encoded, lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided by the strides, up."""
        for layer in self._chain():
            lengths = layer.output_lengths(lengths)
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        check_at_least("batch_size", batch_size, 1)
        return chain_state(self._chain(), batch_size)

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        return chain_step(self._chain(), features, state)

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """The encoded frame (B, 0 or 1, D) that the end of the stream completes."""
        if not self.causal:
            return super().flush(state)
        return chain_flush(self._chain(), state)

    def _chain(self) -> Iterator[FrameLayer]:
        yield from self.layers  # type: ignore[misc]
