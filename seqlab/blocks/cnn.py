"""Two-dimensional convolutions over time and frequency, in the layout (B, T, F, C)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_odd
from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least
from seqlab.lengths import Length, conv_length


class ImageConv(nn.Conv2d):
    """A centred 2-D convolution over images (B, T, F, C), whose channels come last.

    Use it in place of ``torch.nn.Conv2d``, whose parameters it has: frames stay on the second
    axis, and the layout is the one that runs fastest on a CPU.

    Args:
        input_dim: Input channels C, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Side of the square kernel, odd.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.

    Raises:
        SeqlabError: If a size is out of range.

    Example:
        >>> import torch
        >>> ImageConv(1, 4, 3, time_stride=2)(torch.zeros(1, 9, 40, 1)).shape
        torch.Size([1, 5, 40, 4])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int = 3,
        time_stride: int = 1,
        frequency_stride: int = 1,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("time_stride", time_stride, 1)
        check_at_least("frequency_stride", frequency_stride, 1)
        check_odd("kernel_size", kernel_size)
        super().__init__(
            input_dim,
            output_dim,
            kernel_size,
            stride=(time_stride, frequency_stride),
            padding=kernel_size // 2,
            bias=False,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, T, F, C), zero beyond its lengths, to (B, T', F', C')."""
        image = functional.conv2d(
            image.permute(0, 3, 1, 2),
            self.weight,
            stride=(self.stride[0], self.stride[1]),
            padding=self.kernel_size[0] // 2,
        )
        return image.permute(0, 2, 3, 1)

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return conv_length(lengths, self.kernel_size[0], self.stride[0], self.kernel_size[0] // 2)

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``."""
        return conv_length(bins, self.kernel_size[0], self.stride[1], self.kernel_size[0] // 2)


class ResidualImageBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, and a shortcut around them.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        time_stride: Stride of the first convolution in time, at least 1.
        frequency_stride: Stride of the first convolution in frequency, at least 1.
        activation: Name of an activation.
        dropout: Probability in [0, 1) after the sum.

    Source: He et al. 2016, "Deep Residual Learning", figure 2 (left) with projection shortcuts
    (option B) where shapes differ.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        time_stride: int = 1,
        frequency_stride: int = 1,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv1 = ImageConv(input_dim, output_dim, 3, time_stride, frequency_stride)
        self.norm1 = MaskedBatchNorm(output_dim)
        self.activation1 = MaskedActivation(activation)
        self.conv2 = ImageConv(output_dim, output_dim, 3)
        self.norm2 = MaskedBatchNorm(output_dim)
        self.activation2 = MaskedActivation(activation, dropout)
        self.shortcut: ImageConv | None = None
        if input_dim != output_dim or time_stride != 1 or frequency_stride != 1:
            self.shortcut = ImageConv(input_dim, output_dim, 1, time_stride, frequency_stride)
            self.shortcut_norm = MaskedBatchNorm(output_dim)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        residual = image
        lengths = self.output_lengths(lengths)
        if self.shortcut is not None:
            residual = self.shortcut_norm(self.shortcut(image), lengths)
        image = self.activation1(self.norm1(self.conv1(image), lengths), lengths)
        image = self.norm2(self.conv2(image), lengths)
        return self.activation2(image + residual, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return self.conv1.output_lengths(lengths)

    def output_bins(self, bins: int) -> int:
        """Frequency bins that ``forward`` returns for ``bins``."""
        return self.conv1.output_bins(bins)
