"""Network in network over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import AverageImagePool, MaxImagePool
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each


class NiNEncoder(SpectrogramNetwork):
    """Convolutions each followed by 1 x 1 ones, a small network at every position.

    Use it for networks of few weights that need no fully connected layers: the mean over
    frequency ends it. ``widths=((192, 160, 96), (192, 192, 192), (192, 192))`` is the published
    network, whose last 1 x 1 convolution, to the classes, is the head's.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of the convolution and the 1 x 1 ones behind it, of each stage.
        kernel_sizes: Frames and bins under the first kernel of each stage, odd.
        time_strides: Frames between the rectangles that stand between two stages; their product
            is the subsampling. The first is a maximum, the others are means, of 3 x 3.
        frequency_strides: Bins likewise.
        batch_norm: Whether batch norm, which is later than the network, stands in place of
            biases.
        dropout: Probability in [0, 1) behind every stage but the last.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Lin et al. 2014, "Network In Network", section 3.3, with the sizes of the authors'
    CIFAR-10 network. Deviation: the mean over time is the head's.

    Example:
        >>> import torch
        >>> encoder = NiNEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 64), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[Sequence[int]] = ((48, 40, 24), (64, 64, 64), (64, 64)),
        kernel_sizes: Sequence[int] = (5, 5, 3),
        time_strides: Sequence[int] = (2, 2),
        frequency_strides: Sequence[int] = (2, 2),
        batch_norm: bool = True,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        check_each(len(widths), "stage", kernel_sizes=kernel_sizes)
        strides = {"time_strides": time_strides, "frequency_strides": frequency_strides}
        if len(widths) > 1 or time_strides or frequency_strides:
            check_each(len(widths) - 1, "stage but the last", **strides)
        blocks: list[ImageBlock] = []
        dim = 1
        for stage, (kernel_size, channels) in enumerate(zip(kernel_sizes, widths, strict=True)):
            check_at_least(f"number of layers in stage {stage}", len(channels), 1)
            for index, width in enumerate(channels, 1):
                kernel = kernel_size if index == 1 else 1
                dropped = dropout if index == len(channels) and stage < len(widths) - 1 else 0.0
                layer = ImageLayer(dim, width, kernel, 1, 1, batch_norm, activation, dropped)
                blocks.append(layer)
                dim = width
            if stage < len(widths) - 1:
                kind = AverageImagePool if stage else MaxImagePool
                blocks.append(kind(dim, 3, time_strides[stage], frequency_strides[stage]))
        self._end_with_mean(blocks)
