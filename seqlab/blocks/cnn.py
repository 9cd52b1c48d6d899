"""Two-dimensional convolutions over time and frequency, in the layout (B, T, F, C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.image import CausalImageConv, ImageConv
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import full_lengths
from seqlab.checks import check_at_least
from seqlab.lengths import Length, zero_padding


class ConvPoolBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, then the maximum over small rectangles.

    Use it in front of a recurrent network. Frames and bins that do not fill a rectangle are
    dropped.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        time_pool: Frames in a rectangle, at least 1.
        frequency_pool: Bins in a rectangle, at least 1.
        activation: Name of an activation.
        causal: Whether the convolutions look back in time only; then `step` follows a stream.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks", section 2.1; batch
    norm by Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        time_pool: int = 2,
        frequency_pool: int = 2,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("time_pool", time_pool, 1)
        check_at_least("frequency_pool", frequency_pool, 1)
        kind = CausalImageConv if causal else ImageConv
        self.conv1 = kind(input_dim, output_dim)
        self.norm1 = MaskedBatchNorm(output_dim)
        self.conv2 = kind(output_dim, output_dim)
        self.norm2 = MaskedBatchNorm(output_dim)
        self.activation = MaskedActivation(activation)
        self.pool = (time_pool, frequency_pool)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        image = self.activation(self.norm1(self.conv1(image), lengths), lengths)
        image = self.activation(self.norm2(self.conv2(image), lengths), lengths)
        lengths = self.output_lengths(lengths)
        return zero_padding(self._pooled(image), lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: whole rectangles."""
        return lengths // self.pool[0]

    def output_bins(self, bins: int) -> int:
        """Frequency bins that ``forward`` returns for ``bins``."""
        return bins // self.pool[1]

    def initial_state(self, batch_size: int, bins: int) -> tuple[Tensor, ...]:
        """State before the first frame of ``bins`` bins; causal blocks only."""
        assert isinstance(self.conv1, CausalImageConv) and isinstance(self.conv2, CausalImageConv)
        waiting = self.norm1.weight.new_zeros(batch_size, 0, bins, self.norm1.num_features)
        return (
            self.conv1.initial_state(batch_size, bins),
            self.conv2.initial_state(batch_size, bins),
            waiting,
        )

    def step(self, image: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames (B, T', F', C') that the next frames (B, T, F, C) complete, and the new state."""
        assert isinstance(self.conv1, CausalImageConv) and isinstance(self.conv2, CausalImageConv)
        lengths = full_lengths(image)
        image, first = self.conv1.step(image, state[0])
        image = self.activation(self.norm1(image, lengths), lengths)
        image, second = self.conv2.step(image, state[1])
        image = self.activation(self.norm2(image, lengths), lengths)
        image = torch.cat([state[2], image], dim=1)
        read = image.shape[1] // self.pool[0] * self.pool[0]
        return self._pooled(image), (first, second, image[:, read:])

    def _pooled(self, image: Tensor) -> Tensor:
        if image.shape[1] < self.pool[0]:
            bins = self.output_bins(image.shape[2])
            return image.new_zeros(image.shape[0], 0, bins, image.shape[3])
        return functional.max_pool2d(image.permute(0, 3, 1, 2), self.pool).permute(0, 2, 3, 1)
