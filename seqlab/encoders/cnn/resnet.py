"""Residual networks over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import MaxImagePool
from seqlab.blocks.image_residual import BottleneckImageBlock, ResidualImageBlock
from seqlab.checks import check_at_least, check_choice
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each

KINDS: dict[str, type[ResidualImageBlock | BottleneckImageBlock]] = {
    "basic": ResidualImageBlock,
    "bottleneck": BottleneckImageBlock,
}


class ResNetEncoder(SpectrogramNetwork):
    """A wide first convolution, a maximum, then stages of residual blocks.

    Use it as a strong network of any size. With ``widths=(64, 128, 256, 512)`` the defaults are
    ResNet-18 and ``blocks=(3, 4, 6, 3)`` ResNet-34; with ``kind="bottleneck"`` and
    ``widths=(256, 512, 1024, 2048)`` the latter are ResNet-50, and ``reduction=16`` is SE-ResNet.
    `ResidualCNNEncoder` is the smaller one for keywords.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Output channels of the blocks of each stage; multiples of 4 for bottlenecks.
        blocks: Residual blocks of each stage, at least 1.
        kind: "basic" (two 3 x 3 convolutions) or "bottleneck" (1 x 1, 3 x 3, 1 x 1).
        time_strides: Frames between outputs of the first convolution, of the maximum, and of the
            first block of each stage; their product is the subsampling. The published ones are
            2, 2, 1, 2, 2, 2.
        frequency_strides: Bins likewise.
        dilations: Frames and bins between the taps of the 3 x 3 kernels of each stage; 1 for all,
            if None.
        reduction: Of gates on the channels of each block, see `ImageSqueezeExcitation`; 0 for
            none.
        dropout: Probability in [0, 1) behind each block.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1, with
    projection shortcuts (option B); gates by Hu et al. 2018, "Squeeze-and-Excitation Networks";
    dilation in place of strides by Yu et al. 2017, "Dilated Residual Networks", section 2.
    Deviation: the mean over time is the head's.

    Example:
        >>> import torch
        >>> encoder = ResNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 128), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (2, 2, 2, 2),
        kind: str = "basic",
        time_strides: Sequence[int] = (1, 2, 1, 2, 1, 1),
        frequency_strides: Sequence[int] = (2, 1, 1, 2, 2, 2),
        dilations: Sequence[int] | None = None,
        reduction: int = 0,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        check_choice("kind", kind, KINDS)
        dilations = (1,) * len(widths) if dilations is None else dilations
        check_each(len(widths), "stage", blocks=blocks, dilations=dilations)
        strides = {"time_strides": time_strides, "frequency_strides": frequency_strides}
        check_each(len(widths) + 2, "layer with a stride", **strides)
        every = list(zip(time_strides, frequency_strides, strict=True))
        narrow = widths[0] // 4 if kind == "bottleneck" else widths[0]
        chain: list[ImageBlock] = [
            ImageLayer(1, narrow, 7, *every[0], activation=activation),
            MaxImagePool(narrow, 3, *every[1]),
        ]
        make = partial(KINDS[kind], activation=activation, dropout=dropout, reduction=reduction)
        for width, count, dilation, stride in zip(
            widths, blocks, dilations, every[2:], strict=True
        ):
            check_at_least("blocks", count, 1)
            for index in range(count):
                steps, dim = (1, 1) if index else stride, chain[-1].output_dim
                chain.append(make(dim, width, *steps, dilation=dilation))
        self._end_with_mean(chain)
