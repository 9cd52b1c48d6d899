"""Separable 1-D convolutions with residual blocks, small enough for a matchbox."""

from __future__ import annotations

from torch import nn

from seqlab.blocks.convolution import NormalizedConv, SeparableConv
from seqlab.blocks.residual_frames import ResidualFrames
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.frame_network import FrameNetworkEncoder

_STEM_KERNEL = 11
_FIRST_KERNEL = 13
_LAST_KERNEL = 29


class MatchboxNetEncoder(FrameNetworkEncoder):
    """Residual blocks of separable convolutions over time, in the naming B x R x C.

    Use it for keywords with few parameters and a long context: every encoded frame of the default,
    3 x 2 x 64, sees 75 frames on either side of it.

    Args:
        input_dim: Features a frame, at least 1.
        blocks: Residual blocks B, at least 1; their kernels are 13, 15, 17 ... frames wide.
        repeats: Separable convolutions R in a block, at least 1.
        width: Channels C of the blocks, at least 1.
        output_dim: Channels of the layers in front of and behind the blocks, at least 1.
        subsampling: Stride of the first convolution, from 1 to its kernel of 11 frames.
        dropout: Probability in [0, 1) after every activation.
        activation: Name of an activation.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Majumdar and Ginsburg 2020, "MatchboxNet: 1D Time-Channel Separable Convolutional
    Neural Network Architecture for Speech Commands Recognition", section 2 and table 1.
    Deviation: the head pools before the last, linear layer, which comes to the same.

    Example:
        >>> import torch
        >>> encoder = MatchboxNetEncoder(64)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 64), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 98, 128), [98, 50])
    """

    def __init__(
        self,
        input_dim: int,
        blocks: int = 3,
        repeats: int = 2,
        width: int = 64,
        output_dim: int = 128,
        subsampling: int = 1,
        dropout: float = 0.1,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("blocks", blocks, 1)
        check_at_least("repeats", repeats, 1)
        settings = (activation, dropout, causal)
        layers: list[nn.Module] = [
            SeparableConv(input_dim, output_dim, _STEM_KERNEL, subsampling, *settings)
        ]
        dims = [output_dim] + [width] * blocks
        for index, dim in enumerate(dims[:-1]):
            kernel = _FIRST_KERNEL + 2 * index
            layers.append(_block(dim, width, kernel, repeats, *settings))
        layers += [
            SeparableConv(width, output_dim, _LAST_KERNEL, 1, *settings, dilation=2),
            NormalizedConv(output_dim, output_dim, 1, 1, *settings),
        ]
        super().__init__(input_dim, output_dim, layers, subsampling, causal)


def _block(
    dim: int,
    width: int,
    kernel_size: int,
    repeats: int,
    activation: str,
    dropout: float,
    causal: bool,
) -> ResidualFrames:
    dims = [dim] + [width] * repeats
    names = [activation] * (repeats - 1) + [None]  # the last one acts after the sum
    body = [
        SeparableConv(before, width, kernel_size, 1, name, dropout, causal)
        for before, name in zip(dims[:-1], names, strict=True)
    ]
    shortcut = NormalizedConv(dim, width, 1, 1, None, causal=causal)
    return ResidualFrames(body, shortcut, activation, dropout)
