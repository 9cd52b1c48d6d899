"""GoogLeNet over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seqlab.blocks.image_branches import InceptionBlock
from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import MaxImagePool
from seqlab.checks import check_range
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each

STEM = (64, 64, 192)
"""Channels of the three convolutions in front; Szegedy et al. 2015, table 1."""

STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of inception blocks 3a to 3b, 4a to 4e, 5a to 5b; Szegedy et al. 2015, table 1."""


class GoogLeNetEncoder(SpectrogramNetwork):
    """Inception blocks: kernels of three sizes and a maximum side by side.

    Use it where patterns of different extent matter alike. The default is the published network
    with a quarter of its channels.

    Args:
        input_dim: Features a frame, at least 1.
        scale: Factor on all published channels, in (0, 4].
        stages: Published channels of the six convolutions of each block of each stage, see
            `InceptionBlock`.
        time_strides: Frames between outputs of the first convolution, of the two maxima of the
            stem, and of the maxima between stages; their product is the subsampling. The
            published ones are all 2.
        frequency_strides: Bins likewise.
        wide_kernel: Side of the widest kernel of a block, odd; programs that follow an early
            release have 3.
        batch_norm: Whether batch norm, which is later than the network, stands in place of
            biases.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Szegedy et al. 2015, "Going Deeper with Convolutions", table 1. Deviations: no local
    response normalisation and no auxiliary classifiers; maxima are centred; dropout and the mean
    over time are the head's.

    Example:
        >>> import torch
        >>> encoder = GoogLeNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 256), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        scale: float = 0.25,
        stages: Sequence[Sequence[Sequence[int]]] = STAGES,
        time_strides: Sequence[int] = (1, 2, 1, 2, 1),
        frequency_strides: Sequence[int] = (2, 2, 2, 2, 1),
        wide_kernel: int = 5,
        batch_norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        check_range("scale", scale, 1 / 64, 4, "1 is the published network")
        strides = {"time_strides": time_strides, "frequency_strides": frequency_strides}
        check_each(len(stages) + 2, "convolution or maximum with a stride", **strides)
        every = list(zip(time_strides, frequency_strides, strict=True))
        first, second, third = (_scaled(width, scale) for width in STEM)
        layer = partial(ImageLayer, batch_norm=batch_norm, activation=activation)
        blocks: list[ImageBlock] = [
            layer(1, first, 7, *every[0]),
            MaxImagePool(first, 3, *every[1]),
            layer(first, second, 1),
            layer(second, third, 3),
        ]
        for stage, pool in zip(stages, every[2:], strict=True):
            blocks.append(MaxImagePool(blocks[-1].output_dim, 3, *pool))
            for widths in stage:
                scaled = [_scaled(width, scale) for width in widths]
                dim = blocks[-1].output_dim
                blocks.append(InceptionBlock(dim, scaled, wide_kernel, batch_norm, activation))
        self._end_with_mean(blocks)


def _scaled(width: int, scale: float) -> int:
    return max(1, round(width * scale))
