"""Blocks over images (B, T, F, C) whose channels come from several places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.image import ImageConv
from seqlab.blocks.image_chain import ImageBlock, ImageChain, ImageLayer
from seqlab.blocks.image_pooling import AverageImagePool, MaxImagePool
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class InceptionBlock(ImageBlock):
    """Kernels of three sizes and a maximum side by side, each behind or before a 1 x 1 one.

    Args:
        input_dim: Input channels, at least 1.
        widths: Channels of the six convolutions: 1 x 1; 1 x 1 before 3 x 3, 3 x 3; 1 x 1 before
            the wide one, the wide one; 1 x 1 behind the maximum.
        wide_kernel: Side of the wide kernel, odd.
        batch_norm: Whether batch norm stands in place of biases.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Szegedy et al. 2015, "Going Deeper with Convolutions", figure 2 (b); batch norm as in
    Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int],
        wide_kernel: int = 5,
        batch_norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if len(widths) != 6:
            raise SeqlabError(
                f"widths={list(widths)} must be six: 1x1, 3x3 reduce, 3x3, wide reduce, wide, "
                "pooled"
            )
        one, reduce3, three, reduce5, five, pooled = widths

        def layer(dim: int, width: int, kernel_size: int) -> ImageLayer:
            return ImageLayer(dim, width, kernel_size, batch_norm=batch_norm, activation=activation)

        self.branches = nn.ModuleList(
            [
                layer(input_dim, one, 1),
                ImageChain([layer(input_dim, reduce3, 1), layer(reduce3, three, 3)]),
                ImageChain([layer(input_dim, reduce5, 1), layer(reduce5, five, wide_kernel)]),
                ImageChain([MaxImagePool(input_dim, 3, 1, 1), layer(input_dim, pooled, 1)]),
            ]
        )
        self.output_dim = one + three + five + pooled

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T, F, C') and lengths."""
        return torch.cat([branch(image, lengths)[0] for branch in self.branches], -1), lengths


class DenseBlock(ImageBlock):
    """Layers that each read the outputs of all layers before them.

    A layer is norm, activation, a 1 x 1 convolution to ``bottleneck * growth`` channels, and the
    same with a 3 x 3 one to ``growth`` channels.

    Args:
        input_dim: Input channels, at least 1.
        layers: Number of layers, at least 1.
        growth: Channels that each layer adds, at least 1.
        bottleneck: Channels of the 1 x 1 convolutions, in ``growth``, at least 1.
        activation: Name of an activation.
        dropout: Probability in [0, 1) behind each layer.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Huang et al. 2017, "Densely Connected Convolutional Networks", section 3 (DenseNet-B).
    """

    def __init__(
        self,
        input_dim: int,
        layers: int,
        growth: int,
        bottleneck: int = 4,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_at_least("layers", layers, 1)
        check_at_least("growth", growth, 1)
        check_at_least("bottleneck", bottleneck, 1)
        inner = bottleneck * growth
        dims = [input_dim + index * growth for index in range(layers)]
        self.squeeze = nn.ModuleList(PreActivatedConv(dim, inner, 1, activation) for dim in dims)
        self.widen = nn.ModuleList(PreActivatedConv(inner, growth, 3, activation) for _ in dims)
        self.dropout = Dropout(dropout)
        self.output_dim = input_dim + layers * growth

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T, F, C') and lengths."""
        for squeeze, widen in zip(self.squeeze, self.widen, strict=True):
            new = widen(squeeze(image, lengths), lengths)
            image = torch.cat([image, self.dropout(zero_padding(new, lengths))], dim=-1)
        return image, lengths


class DenseTransition(ImageBlock):
    """What stands between dense blocks: norm, activation, fewer channels, and their means.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        time_stride: Frames in a mean, at least 1.
        frequency_stride: Bins in a mean, at least 1.
        activation: Name of an activation.

    Source: Huang et al. 2017, section 3, "Pooling layers" and "Compression".
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        time_stride: int = 2,
        frequency_stride: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.convolution = PreActivatedConv(input_dim, output_dim, 1, activation)
        self.pool = AverageImagePool(output_dim, (time_stride, frequency_stride))
        self.output_dim = output_dim

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C) and lengths (B,) to (B, T', F', C') and lengths."""
        pooled: tuple[Tensor, Tensor] = self.pool(self.convolution(image, lengths), lengths)
        return pooled

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return self.pool.output_lengths(lengths)

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``: divided, rounded up."""
        return self.pool.output_bins(bins)


class PreActivatedConv(nn.Module):
    """Batch norm, an activation, and then the convolution; its padding is not zero.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Side of the kernel, odd.
        activation: Name of an activation.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks", section 4.
    """

    def __init__(
        self, input_dim: int, output_dim: int, kernel_size: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(input_dim)
        self.activation = MaskedActivation(activation, in_place=True)
        self.convolution = ImageConv(input_dim, output_dim, kernel_size)

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), whatever beyond lengths (B,), to (B, T, F, C')."""
        convolved: Tensor = self.convolution(self.activation(self.norm(image, lengths), lengths))
        return convolved
