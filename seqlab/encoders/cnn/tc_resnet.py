"""Temporal convolutional residual networks for keywords."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from seqlab.blocks.convolution import NormalizedConv
from seqlab.blocks.residual_frames import ResidualFrames
from seqlab.checks import check_at_least, check_range
from seqlab.encoders.cnn.frame_network import FrameNetworkEncoder
from seqlab.errors import SeqlabError


class TCResNetEncoder(FrameNetworkEncoder):
    """Residual blocks of wide kernels over time, for which a frame's features are the channels.

    Use it for keywords where every millisecond counts: it sees all frequencies from the first
    layer on and halves the frames with every new width. The default is TC-ResNet8; its blocks
    twice each, ``widths=(24, 24, 32, 32, 48, 48)``, make TC-ResNet14.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of each block. A block whose width differs from that before it has a
            stride of 2 and a convolution on its connection.
        stem_width: Channels of the first convolution, at least 1.
        width_multiplier: What all widths are multiplied by, rounded to at least 1; in the paper
            1 or 1.5.
        kernel_size: Frames under the kernels of the blocks, odd.
        dropout: Probability in [0, 1) after each block.
        activation: Name of an activation.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Choi et al. 2019, "Temporal Convolution for Real-time Keyword Spotting on Mobile
    Devices", section 2 and figures 2 and 3. Deviations: frames are kept for the head to pool,
    and its dropout with them; kernels of stride 2 stand on even frames whatever the length.

    Example:
        >>> import torch
        >>> encoder = TCResNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 40), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 13, 48), [13, 7])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (24, 32, 48),
        stem_width: int = 16,
        width_multiplier: float = 1.0,
        kernel_size: int = 9,
        dropout: float = 0.0,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        if not widths:
            raise SeqlabError("widths=[] must name the channels of at least one block")
        for width in (stem_width, *widths):
            check_at_least("width", width, 1)
        check_range("width_multiplier", width_multiplier, 0.01, 100, "1 leaves the widths alone")
        dims = [max(1, round(width * width_multiplier)) for width in (stem_width, *widths)]
        layers: list[nn.Module] = [
            NormalizedConv(input_dim, dims[0], 3, 1, activation, causal=causal)
        ]
        subsampling = 1
        for dim, width in itertools.pairwise(dims):
            layers.append(_block(dim, width, kernel_size, activation, dropout, causal))
            subsampling *= 2 if dim != width else 1
        super().__init__(input_dim, dims[-1], layers, subsampling, causal)


def _block(
    dim: int, width: int, kernel_size: int, activation: str, dropout: float, causal: bool
) -> ResidualFrames:
    stride = 2 if dim != width else 1
    body = [
        NormalizedConv(dim, width, kernel_size, stride, activation, causal=causal),
        NormalizedConv(width, width, kernel_size, 1, None, causal=causal),
    ]
    shortcut = None
    if dim != width:
        shortcut = NormalizedConv(dim, width, 1, 1, activation, causal=causal)
    return ResidualFrames(body, shortcut, activation, dropout)
