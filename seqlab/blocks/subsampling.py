"""Fewer frames in front of an encoder whose cost grows with their number."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.frames import CausalConv
from seqlab.blocks.streaming import chain_flush, chain_state, chain_step, full_lengths
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, strided_length, zero_padding


class ConvSubsampling(nn.Module):
    """Convolutions of stride 2 over time, then a linear layer; it can follow a stream.

    Use it in front of a Transformer: factor 4 turns 10 ms frames into 40 ms ones. Output t needs
    the input up to frame ``(t + 1) * factor - 1`` and no further, so that whole recordings and
    live streams give the same frames.

    Args:
        input_dim: Features a frame, at least 1.
        output_dim: Width of the subsampled frames, at least 1.
        factor: 1, 2, 4 or 8; the number of convolutions is its logarithm to base 2.
        kernel_size: Frames under each kernel, odd.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Dong et al. 2018, "Speech-Transformer", section 3.1, with 1-D in place of 2-D
    convolutions, which cost a tenth on a CPU. Deviation: the kernels look back only.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        factor: int = 4,
        kernel_size: int = 5,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("subsampling", factor, 1)
        if factor not in (1, 2, 4, 8):
            raise SeqlabError(f"subsampling={factor} must be 1, 2, 4 or 8: strides of 2 in a row")
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.factor = factor
        dims = [input_dim] + [output_dim] * (factor.bit_length() - 1)
        self.layers = nn.ModuleList(
            _HalvingLayer(dim, output_dim, kernel_size, activation) for dim in dims[:-1]
        )
        self.linear = nn.Linear(dims[-1], output_dim)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), T at least 1, and lengths (B,) to (B, T', D) and lengths."""
        sequence = zero_padding(sequence, lengths)
        for layer in self._chain():
            sequence, lengths = layer(sequence, lengths)
        return self.linear(sequence), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.factor)

    def initial_state(self, batch_size: int = 1) -> tuple[Tensor, ...]:
        """State before the first frame."""
        nothing = self.linear.weight.new_zeros(batch_size, 0, self.linear.in_features)
        return chain_state(self._chain(), batch_size) or (nothing,)

    def step(
        self, sequence: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames (B, T', D) that the next frames (B, T, C) complete, and the new state."""
        if self.factor > 1:
            sequence, state = chain_step(self._chain(), sequence, state)
        return self.linear(sequence), state

    def flush(self, state: tuple[Tensor, ...]) -> Tensor:
        """The frame (B, 0 or 1, D) that the end of the stream completes."""
        rest = chain_flush(self._chain(), state) if self.factor > 1 else state[0]
        output: Tensor = self.linear(rest)
        return output

    def _chain(self) -> list[_HalvingLayer]:
        return [layer for layer in self.layers if isinstance(layer, _HalvingLayer)]


class _HalvingLayer(nn.Module):
    """A causal convolution of stride 2, and an activation; padding stays zero."""

    def __init__(self, input_dim: int, output_dim: int, kernel_size: int, activation: str) -> None:
        super().__init__()
        self.conv = CausalConv(input_dim, output_dim, kernel_size, stride=2)
        self.activation = MaskedActivation(activation)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        sequence, lengths = self.conv(sequence), self.conv.output_lengths(lengths)
        return self.activation(zero_padding(sequence, lengths), lengths), lengths

    def initial_state(self, batch_size: int = 1) -> Tensor:
        return self.conv.initial_state(batch_size)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        sequence, state = self.conv.step(sequence, state)
        return self.activation(sequence, full_lengths(sequence)), state

    def flush(self, state: Tensor) -> Tensor:
        sequence = self.conv.flush(state)
        output: Tensor = self.activation(sequence, full_lengths(sequence))
        return output
