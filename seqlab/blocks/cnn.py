"""Two-dimensional convolutions over time and frequency, in the layout (B, T, F, C)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_odd
from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import full_lengths
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, strided_length, zero_padding

Sides = int | tuple[int, int]  # of time and frequency, or of both


def sides(name: str, value: Sides) -> tuple[int, int]:
    """Sizes in time and frequency, each at least 1; one number stands for both.

    Raises:
        SeqlabError: If it is neither a number nor a pair, or a size is below 1.

    >>> sides("kernel_size", 3), sides("kernel_size", (1, 5))
    ((3, 3), (1, 5))
    """
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2:
        raise SeqlabError(f"{name}={value!r} must be one number, or a pair (time, frequency)")
    for side in pair:
        check_at_least(name, side, 1)
    return pair[0], pair[1]


class ImageConv(nn.Conv2d):
    """A centred 2-D convolution over images (B, T, F, C), whose channels come last.

    Use it in place of ``torch.nn.Conv2d``, whose parameters it has: frames stay on the second
    axis, and the layout is the one that runs fastest on a CPU. Sizes may differ between time and
    frequency: a pair (time, frequency), or one number for both.

    Args:
        input_dim: Input channels C, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames and bins under the kernel, odd.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.
        bias: Whether a bias is added; then padding does not stay zero.
        dilation: Frames and bins between the taps of the kernel, at least 1.
        groups: Channel groups; ``input_dim`` makes a depthwise convolution.

    Raises:
        SeqlabError: If a size is out of range, or ``groups`` does not divide the channels.

    Example:
        >>> import torch
        >>> ImageConv(1, 4, 3, time_stride=2)(torch.zeros(1, 9, 40, 1)).shape
        torch.Size([1, 5, 40, 4])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: Sides = 3,
        time_stride: int = 1,
        frequency_stride: int = 1,
        bias: bool = False,
        dilation: Sides = 1,
        groups: int = 1,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("time_stride", time_stride, 1)
        check_at_least("frequency_stride", frequency_stride, 1)
        check_at_least("groups", groups, 1)
        kernel, spread = sides("kernel_size", kernel_size), sides("dilation", dilation)
        for side in kernel:
            check_odd("kernel_size", side)
        if input_dim % groups or output_dim % groups:
            raise SeqlabError(
                f"groups={groups} must divide input_dim={input_dim} and output_dim={output_dim}; "
                "1 connects all channels"
            )
        super().__init__(
            input_dim,
            output_dim,
            kernel,
            stride=(time_stride, frequency_stride),
            padding=(spread[0] * (kernel[0] // 2), spread[1] * (kernel[1] // 2)),
            dilation=spread,
            groups=groups,
            bias=bias,
        )

    @property
    def span(self) -> int:
        """Frames from the first to the last under the kernel."""
        return self.dilation[0] * (self.kernel_size[0] - 1) + 1

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, T, F, C), zero beyond its lengths, to (B, T', F', C')."""
        return self._convolve(image, self.span // 2)

    def _convolve(self, image: Tensor, time_padding: int) -> Tensor:
        if image.shape[1] + 2 * time_padding < self.span:
            bins = self.output_bins(image.shape[2])
            return image.new_zeros(image.shape[0], 0, bins, self.out_channels)
        image = functional.conv2d(
            image.permute(0, 3, 1, 2),
            self.weight,
            self.bias,
            stride=(self.stride[0], self.stride[1]),
            padding=(time_padding, self.dilation[1] * (self.kernel_size[1] // 2)),
            dilation=(self.dilation[0], self.dilation[1]),
            groups=self.groups,
        )
        return image.permute(0, 2, 3, 1)

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.stride[0])

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``: divided, rounded up."""
        return strided_length(bins, self.stride[1])


class CausalImageConv(ImageConv):
    """The same convolution looking back in time only, with a stride of 1; it follows streams.

    Args:
        input_dim: Input channels C, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Side of the square kernel, odd.

    Raises:
        SeqlabError: If a size is out of range.
    """

    def __init__(self, input_dim: int, output_dim: int, kernel_size: int = 3) -> None:
        super().__init__(input_dim, output_dim, kernel_size)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, T, F, C) to (B, T, F, C')."""
        return self._convolve(functional.pad(image, (0, 0, 0, 0, self.kernel_size[0] - 1, 0)), 0)

    def initial_state(self, batch_size: int, bins: int) -> Tensor:
        """Frames (B, k - 1, F, C) before the first one: zeros."""
        past = self.kernel_size[0] - 1
        return self.weight.new_zeros(batch_size, past, bins, self.in_channels)

    def step(self, image: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next frames (B, T, F, C) to (B, T, F, C'), and the new state."""
        seen = torch.cat([state, image], dim=1)
        state = seen[:, image.shape[1] :]
        return self._convolve(seen, 0), state


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
