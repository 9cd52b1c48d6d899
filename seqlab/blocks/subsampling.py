"""Fewer frames in front of an encoder whose cost grows with their number."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.convolution import FrameConv, MaskedActivation
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class ConvSubsampling(nn.Module):
    """Convolutions of stride 2 over time, then a linear layer.

    Use it in front of a Transformer: factor 4 turns 10 ms frames into 40 ms ones.

    Args:
        input_dim: Features a frame, at least 1.
        output_dim: Width of the subsampled frames, at least 1.
        factor: 1, 2, 4 or 8; the number of convolutions is its logarithm to base 2.
        kernel_size: Frames under each kernel, odd.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Dong et al. 2018, "Speech-Transformer", section 3.1, with 1-D in place of 2-D
    convolutions, which cost a tenth on a CPU.
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
        dims = [input_dim] + [output_dim] * (factor.bit_length() - 1)
        self.convs = nn.ModuleList(
            FrameConv(dim, output_dim, kernel_size, stride=2) for dim in dims[:-1]
        )
        self.activation = MaskedActivation(activation)
        self.linear = nn.Linear(dims[-1], output_dim)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), T at least 1, and lengths (B,) to (B, T', D) and lengths."""
        for conv in self.convs:
            assert isinstance(conv, FrameConv)
            sequence = self.activation(conv(zero_padding(sequence, lengths)), lengths)
            lengths = conv.output_lengths(lengths)
        return self.linear(zero_padding(sequence, lengths)), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        for conv in self.convs:
            assert isinstance(conv, FrameConv)
            lengths = conv.output_lengths(lengths)
        return lengths
