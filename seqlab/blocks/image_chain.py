"""Layers over images (B, T, F, C) that know their sizes, one after another."""

from __future__ import annotations

import abc
from collections.abc import Iterable

from torch import Tensor, nn

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.image import ImageConv, Sides
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.lengths import Length, zero_padding


class ImageBlock(nn.Module, abc.ABC):
    """A layer over images that keeps padding at zero and says the size of what it returns.

    Those that change no length or number of bins inherit both answers.
    """

    output_dim: int

    @abc.abstractmethod
    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return lengths

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``."""
        return bins


class ImageChain(ImageBlock):
    """Image blocks one after another.

    Args:
        blocks: At least one, each taking the channels that the one before it gives.

    Example:
        >>> import torch
        >>> chain = ImageChain([ImageLayer(1, 4), ImageLayer(4, 8, time_stride=2)])
        >>> image, lengths = chain(torch.zeros(1, 9, 40, 1), torch.tensor([9]))
        >>> tuple(image.shape), lengths.tolist()
        ((1, 5, 40, 8), [5])
    """

    def __init__(self, blocks: Iterable[ImageBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.output_dim = self._blocks()[-1].output_dim

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        for block in self.blocks:
            image, lengths = block(image, lengths)
        return image, lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        for block in self._blocks():
            lengths = block.output_lengths(lengths)
        return lengths

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``."""
        for block in self._blocks():
            bins = block.output_bins(bins)
        return bins

    def _blocks(self) -> list[ImageBlock]:
        return [block for block in self.blocks if isinstance(block, ImageBlock)]


class ImageLayer(ImageBlock):
    """A convolution, batch norm or a bias, an activation, dropout.

    Use it as the unit of networks over spectrograms; with ``kernel_size=1`` it mixes channels
    only.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames and bins under the kernel, odd.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.
        batch_norm: Whether batch norm stands in place of the bias.
        activation: Name of an activation.
        dropout: Probability in [0, 1) behind it.

    Raises:
        SeqlabError: If an argument is out of range.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: Sides = 3,
        time_stride: int = 1,
        frequency_stride: int = 1,
        batch_norm: bool = True,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.output_dim = output_dim
        self.convolution = ImageConv(
            input_dim, output_dim, kernel_size, time_stride, frequency_stride, bias=not batch_norm
        )
        self.norm = MaskedBatchNorm(output_dim) if batch_norm else None
        self.activation = MaskedActivation(activation, dropout, in_place=True)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        lengths = self.output_lengths(lengths)
        image = self.convolution(image)
        image = zero_padding(image, lengths) if self.norm is None else self.norm(image, lengths)
        return self.activation(image, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return self.convolution.output_lengths(lengths)

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``: divided, rounded up."""
        return self.convolution.output_bins(bins)
