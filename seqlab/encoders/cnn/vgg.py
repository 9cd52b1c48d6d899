"""VGG networks over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import MaxImagePool
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each


class VGGEncoder(SpectrogramNetwork):
    """Stages of 3 x 3 convolutions, each ended by a maximum, then fully connected layers.

    Use it where a plain network without shortcuts is wanted. ``widths=(64, 128, 256, 512, 512)``
    and ``layers=(2, 2, 3, 3, 3)`` are VGG-16, ``layers=(2, 2, 4, 4, 4)`` VGG-19, with pools of 2
    and ``hidden_dims=(4096, 4096)``.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of each stage.
        layers: Convolutions of each stage, at least 1.
        time_pools: Frames in the maximum behind each stage; their product is the subsampling.
        frequency_pools: Bins likewise.
        batch_norm: Whether batch norm, which is later than the network, stands in place of
            biases.
        hidden_dims: Units of the fully connected layers; may be empty.
        context: Frames that the first fully connected layer sees, odd.
        dropout: Probability in [0, 1) behind the fully connected layers.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
    Recognition", table 1. Deviations: what does not fill a maximum is kept; the fully connected
    layers slide over time.

    Example:
        >>> import torch
        >>> encoder = VGGEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 128), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (16, 32, 64),
        layers: Sequence[int] = (2, 2, 2),
        time_pools: Sequence[int] = (2, 2, 1),
        frequency_pools: Sequence[int] = (2, 2, 2),
        batch_norm: bool = True,
        hidden_dims: Sequence[int] = (128,),
        context: int = 3,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        pools = {"time_pools": time_pools, "frequency_pools": frequency_pools}
        check_each(len(widths), "stage", layers=layers, **pools)
        blocks: list[ImageBlock] = []
        dim = 1
        for width, count, *pool in zip(widths, layers, time_pools, frequency_pools, strict=True):
            check_at_least("layers", count, 1)
            for _ in range(count):
                blocks.append(ImageLayer(dim, width, 3, 1, 1, batch_norm, activation))
                dim = width
            blocks.append(MaxImagePool(width, (pool[0], pool[1])))
        self._end_fully_connected(blocks, hidden_dims, context, activation, dropout, batch_norm)
