"""LeNet-5 over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from seqlab.blocks.image_chain import ImageBlock, ImageLayer
from seqlab.blocks.image_pooling import AverageImagePool
from seqlab.encoders.cnn.spectrogram_network import SpectrogramNetwork, check_each


class LeNetEncoder(SpectrogramNetwork):
    """Two layers of 5 x 5 convolutions with means between them, and two fully connected layers.

    Use it as the smallest baseline, and to see what the later networks gain. With a
    `ClassifierHead` it is LeNet-5; its layer C5, which sees 5 x 5 of the last maps, sees
    ``context`` frames and all bins.

    Args:
        input_dim: Features a frame, at least 1; 20 leave the five bins of the published layer C5.
        widths: Channels of each convolution.
        kernel_size: Frames and bins under each kernel, odd.
        time_pools: Frames that each convolution is followed by the mean of; their product is the
            subsampling.
        frequency_pools: Bins likewise.
        hidden_dims: Units of the fully connected layers.
        context: Frames that the first fully connected layer sees, odd.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section
    II.B. Deviations, most as in today's programs: plain means and tanh, every map reads all maps
    before it, a softmax in place of radial basis functions; the kernels are centred.

    Example:
        >>> import torch
        >>> encoder = LeNetEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 84), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (6, 16),
        kernel_size: int = 5,
        time_pools: Sequence[int] = (2, 2),
        frequency_pools: Sequence[int] = (2, 2),
        hidden_dims: Sequence[int] = (120, 84),
        context: int = 5,
        activation: str = "tanh",
    ) -> None:
        super().__init__(input_dim)
        pools = {"time_pools": time_pools, "frequency_pools": frequency_pools}
        check_each(len(widths), "convolution", **pools)
        blocks: list[ImageBlock] = []
        dims = (1, *widths[:-1])
        for dim, width, *pool in zip(dims, widths, time_pools, frequency_pools, strict=True):
            layer = ImageLayer(dim, width, kernel_size, batch_norm=False, activation=activation)
            blocks += [layer, AverageImagePool(width, (pool[0], pool[1]))]
        self._end_fully_connected(blocks, hidden_dims, context, activation, 0.0)
