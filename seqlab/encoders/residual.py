"""A small residual network over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.frames import FrameConv
from seqlab.blocks.image import ImageConv
from seqlab.blocks.image_residual import ResidualImageBlock
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class ResidualCNNEncoder(Encoder):
    """3 x 3 residual blocks over time and frequency, then one vector a frame.

    Use it for keyword spotting: the features are seen as an image with one channel, so that a
    pattern is recognised wherever it stands in time and at nearby frequencies. With 40 features
    the default has about 100 thousand parameters; ``widths`` scales them by the square.

    Args:
        input_dim: Features a frame, at least 1.
        widths: Channels of each stage, at least one stage.
        blocks: Residual blocks in each stage, at least 1.
        time_strides: Stride of each stage in time; their product is the subsampling. The first
            belongs to the convolution in front of the stages.
        frequency_strides: Stride of each stage in frequency, in the same order.
        output_dim: Width of the encoded frames, at least 1.
        dropout: Probability in [0, 1) after each block.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: He et al. 2016, "Deep Residual Learning", section 3; for keywords Tang and Lin 2018,
    "Deep Residual Learning for Small-Footprint Keyword Spotting". Deviations: strides, and a
    linear layer over the remaining frequencies instead of their mean.

    Example:
        >>> import torch
        >>> encoder = ResidualCNNEncoder(40)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 128), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (16, 32, 48),
        blocks: int = 1,
        time_strides: Sequence[int] = (1, 2, 2),
        frequency_strides: Sequence[int] = (2, 2, 2),
        output_dim: int = 128,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("blocks", blocks, 1)
        if not widths or not len(widths) == len(time_strides) == len(frequency_strides):
            raise SeqlabError(
                f"{len(widths)} widths, {len(time_strides)} time_strides and "
                f"{len(frequency_strides)} frequency_strides must be one each for every stage"
            )
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.stem = ImageConv(1, widths[0], 3, time_strides[0], frequency_strides[0])
        self.stem_norm = MaskedBatchNorm(widths[0])
        self.stem_activation = MaskedActivation(activation)
        self.blocks = nn.ModuleList()
        dim, bins = widths[0], self.stem.output_bins(input_dim)
        for stage, width in enumerate(widths):
            for index in range(blocks):
                strided = stage > 0 and index == 0
                strides = (time_strides[stage], frequency_strides[stage]) if strided else (1, 1)
                block = ResidualImageBlock(dim, width, *strides, activation, dropout)
                self.blocks.append(block)
                dim, bins = width, block.output_bins(bins)
        self.last = FrameConv(dim * bins, output_dim, bias=False)
        self.last_norm = MaskedBatchNorm(output_dim)
        self.last_activation = MaskedActivation(activation)

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        image = self.stem(zero_padding(features, lengths).unsqueeze(-1))
        lengths = self.stem.output_lengths(lengths)
        image = self.stem_activation(self.stem_norm(image, lengths), lengths)
        for block in self.blocks:
            image, lengths = block(image, lengths)
        encoded = self.last_norm(self.last(image.flatten(2)), lengths)
        return self.last_activation(encoded, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        lengths = self.stem.output_lengths(lengths)
        for block in self.blocks:
            assert isinstance(block, ResidualImageBlock)
            lengths = block.output_lengths(lengths)
        return lengths
