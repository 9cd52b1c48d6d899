"""AlexNet over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import MaxImagePool
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each

_POOLED = (1, 2, 5)  # the convolutions that a maximum follows


class AlexNetEncoder(SpectrogramNetwork):
    """Five layers of convolutions with kernels from 11 x 11 to 3 x 3, then fully connected ones.

    Use it as a baseline with wide kernels. The default has a quarter of the published channels
    and strides for images of 40 to 80 bins; ``widths=(64, 192, 384, 256, 256)`` and
    ``hidden_dims=(4096, 4096)`` are the published ones.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of the five convolutions.
        kernel_sizes: Frames and bins under each kernel, odd.
        time_strides: Frames between outputs of the first convolution and of the three maxima;
            their product is the subsampling. The published ones are 4, 2, 2, 2.
        frequency_strides: Bins likewise.
        batch_norm: Whether batch norm, which is later than the network, stands in place of
            biases.
        hidden_dims: Units of the fully connected layers; may be empty.
        context: Frames that the first fully connected layer sees, odd.
        dropout: Probability in [0, 1) behind the fully connected layers.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural
    Networks", in the widths of Krizhevsky 2014, "One weird trick for parallelizing convolutional
    neural networks", footnote 1, without local response normalisation. Deviations: kernels and
    maxima are centred, so that edges are seen; the fully connected layers slide over time.

    Example:
        >>> import torch
        >>> encoder = AlexNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 128), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (16, 48, 96, 64, 64),
        kernel_sizes: Sequence[int] = (11, 5, 3, 3, 3),
        time_strides: Sequence[int] = (1, 2, 2, 1),
        frequency_strides: Sequence[int] = (2, 2, 2, 2),
        batch_norm: bool = True,
        hidden_dims: Sequence[int] = (128, 128),
        context: int = 3,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__(input_dim)
        check_each(5, "convolution", widths=widths, kernel_sizes=kernel_sizes)
        strides = {"time_strides": time_strides, "frequency_strides": frequency_strides}
        check_each(4, "convolution or maximum with a stride", **strides)
        every = list(zip(time_strides, frequency_strides, strict=True))
        blocks: list[ImageBlock] = []
        for number, (width, kernel_size) in enumerate(zip(widths, kernel_sizes, strict=True), 1):
            dim = widths[number - 2] if number > 1 else 1
            stride = every[0] if number == 1 else (1, 1)
            blocks.append(ImageLayer(dim, width, kernel_size, *stride, batch_norm, activation))
            if number in _POOLED:
                blocks.append(MaxImagePool(width, 3, *every[1 + _POOLED.index(number)]))
        self._end_fully_connected(blocks, hidden_dims, context, activation, dropout, batch_norm)
