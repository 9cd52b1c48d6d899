"""Time-delay neural networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.convolution import ConvLayer, NormalizedConv
from seqlab.blocks.factorized import FactorizedConv
from seqlab.blocks.streaming import full_lengths
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class TDNNEncoder(Encoder):
    """Dilated convolutions over frames, whose context widens from layer to layer.

    Use it as a fast encoder of bounded context, in streams with ``causal=True``; the layers from
    the second on are factorised if ``bottleneck_dim`` says so.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Channels of every layer, at least 1.
        kernel_sizes: Frames under the kernel of each layer, odd; their number is the number of
            layers.
        dilations: Frames between the taps of each kernel, counted in frames of that layer.
        subsampling: Frames from one output of the first layer to the next, at least 1.
        bottleneck_dim: Channels between the two factors of each layer from the second on; 0 for
            whole layers.
        causal: Whether all kernels look back only, to follow a stream.
        dropout: Probability in [0, 1) after every activation.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Waibel et al. 1989, "Phoneme Recognition Using Time-Delay Neural Networks"; widening
    contexts as in Peddinti et al. 2015, "A time delay neural network architecture for efficient
    modeling of long temporal contexts", section 3; factorised by Povey et al. 2018,
    "Semi-Orthogonal Low-Rank Matrix Factorization for Deep Neural Networks". Deviations: batch
    norm in front of the activation; frames are dropped in the first layer already.

    Example:
        >>> import torch
        >>> encoder = TDNNEncoder(80, hidden_dim=32, bottleneck_dim=8, causal=True)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 34, 32), [34, 17])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 256,
        kernel_sizes: Sequence[int] = (5, 3, 3, 3, 3, 3, 3),
        dilations: Sequence[int] = (1, 1, 1, 2, 2, 4, 4),
        subsampling: int = 3,
        bottleneck_dim: int = 0,
        causal: bool = False,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("subsampling", subsampling, 1)
        check_at_least("bottleneck_dim", bottleneck_dim, 0, "0 is for whole layers")
        if not kernel_sizes or len(kernel_sizes) != len(dilations):
            raise SeqlabError(
                f"{len(kernel_sizes)} kernel_sizes and {len(dilations)} dilations must be one "
                "each for every layer"
            )
        if kernel_sizes[0] < subsampling or math.gcd(dilations[0], subsampling) > 1:
            raise SeqlabError(
                f"subsampling={subsampling} leaves frames unread under the first layer's "
                f"kernel_sizes[0]={kernel_sizes[0]} and dilations[0]={dilations[0]}; raise the "
                "kernel size to the subsampling and take a dilation of 1"
            )
        self.input_dim = input_dim
        self.output_dim = hidden_dim
        self.num_layers = len(kernel_sizes)
        self.causal = causal
        self.lookahead = subsampling - 1 if causal else 0
        rest = zip(kernel_sizes[1:], dilations[1:], strict=True)
        first = NormalizedConv(
            input_dim,
            hidden_dim,
            kernel_sizes[0],
            subsampling,
            activation,
            dropout,
            causal,
            dilations[0],
        )
        self.layers = nn.ModuleList([first])
        for kernel_size, dilation in rest:
            settings = (activation, dropout, causal, dilation)
            self.layers.append(
                FactorizedConv(hidden_dim, bottleneck_dim, kernel_size, *settings)
                if bottleneck_dim
                else NormalizedConv(hidden_dim, hidden_dim, kernel_size, 1, *settings)
            )

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        encoded = zero_padding(features, lengths)
        for number, layer in enumerate(self.layers, start=1):
            encoded, lengths = layer(encoded, lengths)
            if between is not None:
                encoded = zero_padding(between(number, encoded, lengths), lengths)
        return encoded, lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        return self._layers()[0].output_lengths(lengths)

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        check_at_least("batch_size", batch_size, 1)
        return tuple(layer.initial_state(batch_size) for layer in self._layers())

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        encoded, first = self._layers()[0].step(features, state[0])
        encoded, rest = self._pass_on(encoded, state[1:], between)
        return encoded, (first, *rest)

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """The encoded frame (B, 0 or 1, D) that the end of the stream completes."""
        if not self.causal:
            return super().flush(state)
        return self._pass_on(self._layers()[0].flush(state[0]), state[1:], between)[0]

    def _pass_on(
        self, encoded: Tensor, states: tuple[Any, ...], between: Between | None
    ) -> tuple[Tensor, list[Any]]:
        """What the first layer gave, through the layers behind it."""
        if encoded.shape[1] == 0:
            return encoded, list(states)
        lengths, after = full_lengths(encoded), []
        if between is not None:
            encoded = between(1, encoded, lengths)
        for number, (layer, state) in enumerate(
            zip(self._layers()[1:], states, strict=True), start=2
        ):
            encoded, kept = layer.step(encoded, state)
            after.append(kept)
            if between is not None:
                encoded = between(number, encoded, lengths)
        return encoded, after

    def _layers(self) -> list[ConvLayer]:
        return [layer for layer in self.layers if isinstance(layer, ConvLayer)]
