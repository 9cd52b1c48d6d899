"""A plain stack of dilated separable convolutions over time."""

from __future__ import annotations

from torch import nn

from seqlab.blocks.convolution import ConvLayer, NormalizedConv
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.blocks.residual_frames import ResidualFrames
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.frame_network import FrameNetworkEncoder


class TCNEncoder(FrameNetworkEncoder):
    """Residual separable convolutions over time, whose dilation doubles from block to block.

    Use it with ``causal=True`` for wake words in a stream, where few wide layers are cheaper than
    the many narrow ones of `MDTCEncoder`. With the defaults a frame's context is 121 frames.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Channels of every block, at least 1.
        num_blocks: Blocks, with dilations 1, 2, 4 ..., at least 1.
        kernel_size: Frames under each depthwise kernel, odd.
        subsampling: Stride of the first layer, from 1 to 5, frames that its kernel sees; with 1
            it is a linear layer of one frame.
        dropout: Probability in [0, 1) after each block.
        activation: Name of an activation.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Bai et al. 2018, "An Empirical Evaluation of Generic Convolutional and Recurrent
    Networks for Sequence Modeling", section 3, with separable kernels as the DS-TCN of Wang et
    al. 2023, "WeKws". Deviations: the kernel is odd (WeKws: 8); batch norm behind the first
    layer; no bias in front of a batch norm.

    Example:
        >>> import torch
        >>> encoder = TCNEncoder(80, hidden_dim=32, causal=True)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 80), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 98, 32), [98, 50])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 256,
        num_blocks: int = 4,
        kernel_size: int = 9,
        subsampling: int = 1,
        dropout: float = 0.1,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("num_blocks", num_blocks, 1)
        check_at_least("subsampling", subsampling, 1)
        kernel = 5 if subsampling > 1 else 1
        layers: list[nn.Module] = [
            NormalizedConv(input_dim, hidden_dim, kernel, subsampling, activation, causal=causal)
        ]
        settings = (kernel_size, activation, dropout, causal)
        layers += [_block(hidden_dim, 2**index, *settings) for index in range(num_blocks)]
        super().__init__(input_dim, hidden_dim, layers, subsampling, causal)


def _block(
    dim: int, dilation: int, kernel_size: int, activation: str, dropout: float, causal: bool
) -> ResidualFrames:
    kind = CausalConv if causal else FrameConv
    depthwise = kind(dim, dim, kernel_size, 1, groups=dim, bias=False, dilation=dilation)
    body = [
        ConvLayer([depthwise], activation, 0.0),
        NormalizedConv(dim, dim, 1, 1, activation, dropout, causal=causal),
    ]
    return ResidualFrames(body, None, None)
