"""Time-channel separable 1-D convolutions with batch norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.convolution import (
    ConvLayer,
    MaskedActivation,
    NormalizedConv,
    SeparableConv,
    SqueezeExcitation,
)
from seqlab.blocks.streaming import chain_flush, chain_state, chain_step, full_lengths
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class SeparableConvEncoder(Encoder):
    """Residual blocks of separable convolutions over time, after a strided stem.

    Use it for CTC on little data or few cores: it learns several times faster than an LSTM.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of every block, or a list with those of each block.
        kernel_sizes: Depthwise kernel of each block in frames after the stem, odd; their number
            is the number of blocks.
        repeats: Separable convolutions in a block, at least 1.
        strides: Stride of each convolution of the stem; their product is the subsampling. The
            first one is a full convolution, the others are separable.
        stem_kernel_size: Kernel of the stem, odd.
        output_dim: Channels of the last pointwise convolution, at least 1.
        dropout: Probability in [0, 1) after every activation behind the stem.
        activation: Name of an activation.
        squeeze_excitation: Whether each block gates its channels by their mean over time.
        causal: Whether all kernels look back only, to follow a stream; not with
            ``squeeze_excitation``, whose mean needs the whole utterance.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Kriman et al. 2020, "QuartzNet: Deep Automatic Speech Recognition with 1D
    Time-Channel Separable Convolutions", section 2. Deviations: residuals are the identity
    where widths agree; batch statistics leave out padding; no dilation in the last layers; the
    first convolution is a full one, which learns much faster from few hours of speech.

    Example:
        >>> import torch
        >>> encoder = SeparableConvEncoder(80)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 512), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: int | Sequence[int] = 256,
        kernel_sizes: Sequence[int] = (11, 11, 13, 13, 15, 15, 17, 17, 19, 19),
        repeats: int = 3,
        strides: Sequence[int] = (2, 2),
        stem_kernel_size: int = 9,
        output_dim: int = 512,
        dropout: float = 0.1,
        activation: str = "relu",
        squeeze_excitation: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        if causal and squeeze_excitation:
            raise SeqlabError(
                "causal=True and squeeze_excitation=True exclude each other: the gate is a mean "
                "over the whole utterance; leave one of them out"
            )
        widths = [widths] * len(kernel_sizes) if isinstance(widths, int) else list(widths)
        if not strides or not kernel_sizes or len(widths) != len(kernel_sizes):
            raise SeqlabError(
                f"{len(strides)} strides, {len(kernel_sizes)} kernel_sizes and {len(widths)} "
                "widths: give at least one stride and one kernel size, and one width a block"
            )
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.causal = causal
        self.lookahead = math.prod(strides) - 1 if causal else 0
        stem_dims = [input_dim] + [widths[0]] * len(strides)
        kinds: list[type[NormalizedConv] | type[SeparableConv]]
        kinds = [NormalizedConv] + [SeparableConv] * (len(strides) - 1)
        self.stem = nn.ModuleList(
            kind(dim, widths[0], stem_kernel_size, stride, activation, causal=causal)
            for kind, dim, stride in zip(kinds, stem_dims[:-1], strides, strict=True)
        )
        block_dims = [widths[0], *widths]
        self.blocks = nn.ModuleList(
            _Block(
                block_dims[i],
                widths[i],
                kernel,
                repeats,
                activation,
                dropout,
                squeeze_excitation,
                causal,
            )
            for i, kernel in enumerate(kernel_sizes)
        )
        self.last = SeparableConv(widths[-1], output_dim, 1, 1, activation, dropout, causal)

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        encoded = zero_padding(features, lengths)
        for layer in self.stem:
            encoded, lengths = layer(encoded, lengths)
        for block in self.blocks:
            encoded = block(encoded, lengths)
        encoded, lengths = self.last(encoded, lengths)
        return encoded, lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided by the strides, up."""
        for layer in self.stem:
            assert isinstance(layer, ConvLayer)
            lengths = layer.output_lengths(lengths)
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        check_at_least("batch_size", batch_size, 1)
        return chain_state(self._stem(), batch_size), chain_state(self._blocks(), batch_size)

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        encoded, stem = chain_step(self._stem(), features, state[0])
        encoded, blocks = chain_step(self._blocks(), encoded, state[1])
        return self.last(encoded, full_lengths(encoded))[0], (stem, blocks)

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """The encoded frame (B, 0 or 1, D) that the end of the stream completes."""
        if not self.causal:
            return super().flush(state)
        rest = chain_flush(self._stem(), state[0])
        encoded, _ = chain_step(self._blocks(), rest, state[1])
        output: Tensor = self.last(encoded, full_lengths(encoded))[0]
        return output

    def _stem(self) -> list[ConvLayer]:
        return [layer for layer in self.stem if isinstance(layer, ConvLayer)]

    def _blocks(self) -> list[_Block]:
        return [block for block in self.blocks if isinstance(block, _Block)]


class _Block(nn.Module):
    """``repeats`` separable convolutions with a residual connection around them."""

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int,
        repeats: int,
        activation: str,
        dropout: float,
        squeeze_excitation: bool,
        causal: bool,
    ) -> None:
        super().__init__()
        check_at_least("repeats", repeats, 1)
        dims = [input_dim] + [output_dim] * repeats
        names = [activation] * (repeats - 1) + [None]  # the last one acts after the sum
        self.layers = nn.ModuleList(
            SeparableConv(dims[i], output_dim, kernel_size, 1, names[i], dropout, causal)
            for i in range(repeats)
        )
        self.gate = SqueezeExcitation(output_dim) if squeeze_excitation else None
        self.shortcut: SeparableConv | None = None
        if input_dim != output_dim:
            self.shortcut = SeparableConv(input_dim, output_dim, 1, 1, None, causal=causal)
        self.activation = MaskedActivation(activation, dropout, in_place=True)

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        residual = sequence if self.shortcut is None else self.shortcut(sequence, lengths)[0]
        for layer in self.layers:
            sequence, _ = layer(sequence, lengths)
        if self.gate is not None:
            sequence = self.gate(sequence, lengths)
        output: Tensor = self.activation(sequence + residual, lengths)
        return output

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        return chain_state(self._layers(), batch_size)

    def step(self, sequence: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        lengths = full_lengths(sequence)
        residual = sequence if self.shortcut is None else self.shortcut(sequence, lengths)[0]
        sequence, state = chain_step(self._layers(), sequence, state)
        return self.activation(sequence + residual, lengths), state

    def flush(self, state: tuple[Any, ...]) -> Tensor:
        return chain_flush(self._layers(), state)  # none: the strides are 1

    def _layers(self) -> list[SeparableConv]:
        return [layer for layer in self.layers if isinstance(layer, SeparableConv)]
