"""Convolutions over images of time and frequency (B, T, F, C), centred or looking back in time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, conv_length, strided_length

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
        kernel_size: Frames and bins under the kernel, at least 1. One of even size reaches one
            frame or bin further ahead than back.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.
        bias: Whether a bias is added; then padding does not stay zero.
        dilation: Frames and bins between the taps of the kernel, at least 1.
        groups: Channel groups; ``input_dim`` makes a depthwise convolution.
        pad_frequency: Whether zeros stand below and above the bins, so that none is lost;
            otherwise the kernel stays within them, and there must be enough.

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
        pad_frequency: bool = True,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("time_stride", time_stride, 1)
        check_at_least("frequency_stride", frequency_stride, 1)
        check_at_least("groups", groups, 1)
        if input_dim % groups or output_dim % groups:
            raise SeqlabError(
                f"groups={groups} must divide input_dim={input_dim} and output_dim={output_dim}; "
                "1 connects all channels"
            )
        super().__init__(
            input_dim,
            output_dim,
            sides("kernel_size", kernel_size),
            stride=(time_stride, frequency_stride),
            dilation=sides("dilation", dilation),
            groups=groups,
            bias=bias,
        )
        reach = self.dilation[1] * (self.kernel_size[1] - 1) if pad_frequency else 0
        self.frequency_padding = (reach // 2, reach - reach // 2)

    @property
    def span(self) -> int:
        """Frames from the first to the last under the kernel."""
        return self.dilation[0] * (self.kernel_size[0] - 1) + 1

    @property
    def time_padding(self) -> tuple[int, int]:
        """Frames of zeros before the first and behind the last one."""
        return (self.span - 1) // 2, self.span // 2

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, T, F, C), zero beyond its lengths, to (B, T', F', C')."""
        return self.convolve(image, self.weight, self.bias, self.time_padding)

    def convolve(
        self, image: Tensor, weight: Tensor, bias: Tensor | None, time_padding: tuple[int, int]
    ) -> Tensor:
        """The same with other parameters of the same shapes and other zeros at both ends.

        Args:
            image: (B, T, F, C).
            weight: (C', C / groups, kernel), as ``self.weight``.
            bias: (C',), or None for no bias.
            time_padding: Frames of zeros before the first and behind the last one.

        Returns:
            (B, T', F', C'), T' the whole steps of the stride that the kernel finds room for.
        """
        if image.shape[1] + sum(time_padding) < self.span:  # torch refuses to return no frame
            bins = self.output_bins(image.shape[2])
            return image.new_zeros(image.shape[0], 0, bins, self.out_channels)
        if self._trains_in_phases:
            return self._convolve_phases(image, weight, bias, time_padding)
        stride, frequency_padding = (self.stride[0], self.stride[1]), self.frequency_padding
        if stride[1] > 1 and self.output_bins(image.shape[2]) == 1:
            # oneDNN's strided kernels of one channel read memory that nobody has written
            image = functional.pad(image, (0, 0, *frequency_padding))
            image = image[:, :, : self.dilation[1] * (self.kernel_size[1] - 1) + 1]
            stride, frequency_padding = (stride[0], 1), (0, 0)
        image, padding = _padded(image, time_padding, frequency_padding)
        dilation = (self.dilation[0], self.dilation[1])
        if torch.compiler.is_exporting():
            return _convolve_rows(image, weight, bias, stride, padding, dilation, self.groups)
        image = image.permute(0, 3, 1, 2)  # (B, C, T, F), channels last in memory
        image = functional.conv2d(image, weight, bias, stride, padding, dilation, self.groups)
        return image.permute(0, 2, 3, 1)

    @property
    def _trains_in_phases(self) -> bool:
        """On a CPU the gradient of dilated depthwise kernels is some fifty times too slow."""
        over_time = self.kernel_size[1] == self.stride[0] == self.stride[1] == 1
        return self.training and self.groups > 1 and self.dilation[0] > 1 and over_time

    def _convolve_phases(
        self, image: Tensor, weight: Tensor, bias: Tensor | None, time_padding: tuple[int, int]
    ) -> Tensor:
        """The same by a kernel without dilation over every ``dilation``-th frame."""
        batch_size, frames, bins, channels = image.shape
        step, output_frames = self.dilation[0], frames + sum(time_padding) - self.span + 1
        missing = -(frames + sum(time_padding)) % step
        before, behind = time_padding[0], time_padding[1] + missing
        image = functional.pad(image, (0, 0, 0, 0, before, behind))
        phases = (batch_size, image.shape[1] // step, step * bins, channels)
        image = image.reshape(phases).permute(0, 3, 1, 2)
        image = functional.conv2d(image, weight, bias, groups=self.groups).permute(0, 2, 3, 1)
        image = image.reshape(batch_size, image.shape[1] * step, bins, self.out_channels)
        return image[:, :output_frames]

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.stride[0]) if self.stride[0] > 1 else lengths

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``; padded, divided, rounded up."""
        padded = bins + sum(self.frequency_padding)
        return conv_length(padded, self.kernel_size[1], self.stride[1], 0, self.dilation[1])


class CausalImageConv(ImageConv):
    """The same convolution looking back in time: no frame is read before it is needed.

    Use it wherever a network over images has to follow a live stream. Output t reads its own
    ``time_stride`` frames, the last of them ``(t + 1) * time_stride - 1``, and what lies before
    them; beyond both ends are zeros. Frequencies are seen as in `ImageConv`, whose arguments it
    takes; the kernel spans at least a stride.

    Raises:
        SeqlabError: If a size is out of range, or ``groups`` does not divide the channels.

    Example:
        >>> import torch
        >>> conv, image = CausalImageConv(1, 4, (10, 4), 2, 2), torch.zeros(1, 7, 40, 1)
        >>> first, state = conv.step(image, conv.initial_state(1, bins=40))
        >>> first.shape[1], conv.flush(state).shape[1], conv(image).shape[1]
        (3, 1, 4)
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
        pad_frequency: bool = True,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            kernel_size,
            time_stride,
            frequency_stride,
            bias,
            dilation,
            groups,
            pad_frequency,
        )
        if self.span < time_stride:
            raise SeqlabError(
                f"kernel_size={self.kernel_size[0]} must span at least the "
                f"time_stride={time_stride}, lest frames go unread; use {time_stride} or more"
            )

    @property
    def past(self) -> int:
        """Frames under the kernel before the output's own."""
        return self.span - self.stride[0]

    @property
    def time_padding(self) -> tuple[int, int]:
        """Frames of zeros before the first and behind the last one."""
        return self.past, self.stride[0] - 1

    def initial_state(self, batch_size: int, bins: int) -> Tensor:
        """Frames (B, P, F, C) before the first one: zeros."""
        return self.weight.new_zeros(batch_size, self.past, bins, self.in_channels)

    def step(self, image: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T', F', C') that the next frames (B, T, F, C) complete, and the new state."""
        image, state = self.advance(image, state)
        return self.convolve(image, self.weight, self.bias, (0, 0)), state

    def flush(self, state: Tensor) -> Tensor:
        """The frame (B, 0 or 1, F', C') that the end of the stream completes."""
        return self.step(self.missing(state), state)[0]

    def advance(self, image: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The frames (B, ..., F, C) that `convolve` takes in a step, and the new state."""
        image = torch.cat([state, image], dim=1)
        frames = (image.shape[1] - self.past) // self.stride[0]
        read = self.past + frames * self.stride[0]
        return image[:, :read], image[:, frames * self.stride[0] :]

    def missing(self, state: Tensor) -> Tensor:
        """Zeros (B, n, F, C) that complete the output that frames of the stream wait for."""
        waiting = state.shape[1] - self.past
        frames = self.stride[0] - waiting if waiting else 0
        return state.new_zeros(state.shape[0], frames, *state.shape[2:])


def _convolve_rows(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Tensor:
    """The convolution of image (B, T, F, C) for runtimes of exported graphs.

    There what is computed bin by bin or frame by frame, as norms and masks are, is several times
    as fast where a row of frames lies in one piece (B, C, F, T), for frames outnumber bins.
    """
    image = functional.conv2d(
        image.permute(0, 3, 2, 1),
        weight.transpose(2, 3),
        bias,
        stride[::-1],
        padding[::-1],
        dilation[::-1],
        groups,
    )
    return image.permute(0, 3, 2, 1)


def _padded(
    image: Tensor, time: tuple[int, int], frequency: tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """The image with what convolutions cannot pad themselves, and what is left to them."""
    apart = time if time[0] != time[1] else (0, 0)
    aside = frequency if frequency[0] != frequency[1] else (0, 0)
    if any(apart) or any(aside):
        image = functional.pad(image, (0, 0, *aside, *apart))
    return image, (time[0] - apart[0], frequency[0] - aside[0])
