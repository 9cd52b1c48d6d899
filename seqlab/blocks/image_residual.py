"""Residual blocks over images (B, T, F, C), and gates on their channels."""

from __future__ import annotations

import abc

from torch import Tensor

from seqlab.blocks.convolution import MaskedActivation, SqueezeExcitation
from seqlab.blocks.image import ImageConv
from seqlab.blocks.image_chain import ImageBlock
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.pooling import masked_mean
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, strided_length


class ImageSqueezeExcitation(SqueezeExcitation):
    """Scales each channel of an image by a gate computed from its mean over valid positions.

    Args:
        dim: Channels, at least 1.
        reduction: The gate's hidden layer has ``dim // reduction`` units, at least 1.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", section 3.

    Example:
        >>> import torch
        >>> ImageSqueezeExcitation(8)(torch.zeros(1, 5, 4, 8), torch.tensor([5])).shape
        torch.Size([1, 5, 4, 8])
    """

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), zero beyond lengths (B,), to the same shape, zero likewise."""
        gate: Tensor = self.gate(masked_mean(image.mean(2), lengths))
        return image * gate[:, None, None]


class ShortcutBlock(ImageBlock):
    """The base of residual blocks: a branch, a gate on its channels if asked for, a shortcut.

    The shortcut is a 1 x 1 convolution with batch norm where shapes differ.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.
        activation: Name of an activation, behind the sum.
        dropout: Probability in [0, 1) after the sum.
        reduction: Of the gate, see `ImageSqueezeExcitation`; 0 for no gate.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        time_stride: int,
        frequency_stride: int,
        activation: str,
        dropout: float,
        reduction: int,
    ) -> None:
        super().__init__()
        check_at_least("reduction", reduction, 0, "0 is for no gate")
        self.output_dim = output_dim
        self.strides = (time_stride, frequency_stride)
        self.shortcut: ImageConv | None = None
        if input_dim != output_dim or self.strides != (1, 1):
            self.shortcut = ImageConv(input_dim, output_dim, 1, *self.strides)
            self.shortcut_norm = MaskedBatchNorm(output_dim)
        self.gate = ImageSqueezeExcitation(output_dim, reduction) if reduction else None
        self.last_activation = MaskedActivation(activation, dropout)

    @abc.abstractmethod
    def _branch(self, image: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Image (B, T, F, C) of lengths ``before`` (B,) to (B, T', F', C') of ``after``."""

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        after = self.output_lengths(lengths)
        branch = self._branch(image, lengths, after)
        if self.gate is not None:
            branch = self.gate(branch, after)
        if self.shortcut is not None:
            image = self.shortcut_norm(self.shortcut(image), after)
        return self.last_activation(branch + image, after), after

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.strides[0])

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``: divided, rounded up."""
        return strided_length(bins, self.strides[1])


class ResidualImageBlock(ShortcutBlock):
    """Two 3 x 3 convolutions with batch norm, and a shortcut around them.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        time_stride: Stride of the first convolution in time, at least 1.
        frequency_stride: Stride of the first convolution in frequency, at least 1.
        activation: Name of an activation.
        dropout: Probability in [0, 1) after the sum.
        dilation: Frames and bins between the taps of the kernels, at least 1.
        reduction: Of a gate on the channels, see `ImageSqueezeExcitation`; 0 for no gate.

    Raises:
        SeqlabError: If an argument is out of range.

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
        dilation: int = 1,
        reduction: int = 0,
    ) -> None:
        strides = (time_stride, frequency_stride)
        super().__init__(input_dim, output_dim, *strides, activation, dropout, reduction)
        self.conv1 = ImageConv(input_dim, output_dim, 3, *strides, dilation=dilation)
        self.norm1 = MaskedBatchNorm(output_dim)
        self.activation1 = MaskedActivation(activation)
        self.conv2 = ImageConv(output_dim, output_dim, 3, dilation=dilation)
        self.norm2 = MaskedBatchNorm(output_dim)

    def _branch(self, image: Tensor, before: Tensor, after: Tensor) -> Tensor:
        image = self.activation1(self.norm1(self.conv1(image), after), after)
        branch: Tensor = self.norm2(self.conv2(image), after)
        return branch


class BottleneckImageBlock(ShortcutBlock):
    """A 3 x 3 convolution between two 1 x 1 ones that narrow and widen, and a shortcut.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, a multiple of 4, of which the 3 x 3 one has a quarter.
        time_stride: Stride of the 3 x 3 convolution in time, at least 1.
        frequency_stride: Stride of the 3 x 3 convolution in frequency, at least 1.
        activation: Name of an activation.
        dropout: Probability in [0, 1) after the sum.
        dilation: Frames and bins between the taps of the 3 x 3 kernel, at least 1.
        reduction: Of a gate on the channels, see `ImageSqueezeExcitation`; 0 for no gate.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: He et al. 2016, figure 5 (right). Deviation: the stride is in the 3 x 3 convolution,
    not in the first, as most programs have it.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        time_stride: int = 1,
        frequency_stride: int = 1,
        activation: str = "relu",
        dropout: float = 0.0,
        dilation: int = 1,
        reduction: int = 0,
    ) -> None:
        if output_dim % 4:
            raise SeqlabError(
                f"output_dim={output_dim} must be a multiple of 4, of which the 3 x 3 convolution "
                f"has a quarter; use {4 * (output_dim // 4 + 1)}"
            )
        strides, width = (time_stride, frequency_stride), output_dim // 4
        super().__init__(input_dim, output_dim, *strides, activation, dropout, reduction)
        self.conv1 = ImageConv(input_dim, width, 1)
        self.norm1 = MaskedBatchNorm(width)
        self.activation1 = MaskedActivation(activation)
        self.conv2 = ImageConv(width, width, 3, *strides, dilation=dilation)
        self.norm2 = MaskedBatchNorm(width)
        self.activation2 = MaskedActivation(activation)
        self.conv3 = ImageConv(width, output_dim, 1)
        self.norm3 = MaskedBatchNorm(output_dim)

    def _branch(self, image: Tensor, before: Tensor, after: Tensor) -> Tensor:
        image = self.activation1(self.norm1(self.conv1(image), before), before)
        image = self.activation2(self.norm2(self.conv2(image), after), after)
        branch: Tensor = self.norm3(self.conv3(image), after)
        return branch
