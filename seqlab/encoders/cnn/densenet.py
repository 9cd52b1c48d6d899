"""Densely connected networks over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.image_branches import DenseBlock, DenseTransition
from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import MaxImagePool
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least, check_range
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each


class DenseNetEncoder(SpectrogramNetwork):
    """Blocks whose layers each read all layers before them, with few channels a layer.

    Use it where weights are few and memory is not: channels of a block are kept side by side.
    ``growth=32``, ``layers=(6, 12, 24, 16)`` and ``stem_dim=64`` are DenseNet-121.

    Args:
        input_dim: Features a frame, at least 1.
        layers: Layers of each block, at least 1.
        growth: Channels that each layer adds, at least 1.
        stem_dim: Channels of the first convolution, at least 1.
        bottleneck: Channels of the 1 x 1 convolutions, in ``growth``, at least 1.
        compression: Share of the channels that is kept between blocks, in (0, 1].
        time_strides: Frames between outputs of the first convolution, of the maximum, and of the
            means between blocks; their product is the subsampling. The published ones are all 2.
        frequency_strides: Bins likewise.
        dropout: Probability in [0, 1) behind each layer of a block.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Huang et al. 2017, "Densely Connected Convolutional Networks", table 1 (DenseNet-BC).
    Deviation: the mean over time is the head's.

    Example:
        >>> import torch
        >>> encoder = DenseNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 90), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        layers: Sequence[int] = (4, 4, 4),
        growth: int = 12,
        stem_dim: int = 24,
        bottleneck: int = 4,
        compression: float = 0.5,
        time_strides: Sequence[int] = (1, 2, 2, 1),
        frequency_strides: Sequence[int] = (2, 2, 2, 2),
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        check_at_least("number of blocks", len(layers), 1)
        check_range("compression", compression, 0.05, 1, "1 keeps all channels")
        strides = {"time_strides": time_strides, "frequency_strides": frequency_strides}
        check_each(len(layers) + 1, "layer with a stride", **strides)
        every = list(zip(time_strides, frequency_strides, strict=True))
        chain: list[ImageBlock] = [
            ImageLayer(1, stem_dim, 7, *every[0], activation=activation),
            MaxImagePool(stem_dim, 3, *every[1]),
        ]
        for index, count in enumerate(layers):
            if index:
                dim = chain[-1].output_dim
                kept = max(1, int(dim * compression))
                chain.append(DenseTransition(dim, kept, *every[index + 1], activation))
            dim = chain[-1].output_dim
            chain.append(DenseBlock(dim, count, growth, bottleneck, activation, dropout))
        chain.append(_Normalized(chain[-1].output_dim, activation))
        self._end_with_mean(chain)


class _Normalized(ImageBlock):
    """Batch norm and an activation, behind the last block."""

    def __init__(self, dim: int, activation: str) -> None:
        super().__init__()
        self.output_dim = dim
        self.norm = MaskedBatchNorm(dim)
        self.activation = MaskedActivation(activation, in_place=True)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.activation(self.norm(image, lengths), lengths), lengths
