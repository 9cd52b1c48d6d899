"""Convolutions over frames: centred, causal, and kept within chunks; sequences are (B, T, C)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_odd
from seqlab.blocks.depthwise import is_slow_backward, with_fast_gradient
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, strided_length


class FrameConv(nn.Conv1d):
    """A centred 1-D convolution over the frames of a sequence (B, T, C).

    Use it in place of ``torch.nn.Conv1d``, whose parameters it has: frames stay on the second
    axis, which on a CPU also runs two to three times faster, since the sequence is already the
    channels-last image that the convolution kernels want.

    Args:
        input_dim: Input channels C, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames under the kernel, odd.
        stride: Frames between outputs, at least 1.
        groups: Channel groups; ``input_dim`` makes a depthwise convolution.
        bias: Whether a bias is added.
        dilation: Frames between the taps of the kernel, at least 1.

    Raises:
        SeqlabError: If a size is out of range.

    Example:
        >>> import torch
        >>> FrameConv(3, 5, kernel_size=7, stride=2)(torch.zeros(1, 9, 3)).shape
        torch.Size([1, 5, 5])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("stride", stride, 1)
        check_at_least("dilation", dilation, 1)
        check_odd("kernel_size", kernel_size)
        super().__init__(
            input_dim,
            output_dim,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=bias,
        )

    @property
    def span(self) -> int:
        """Frames from the first to the last under the kernel."""
        return self.dilation[0] * (self.kernel_size[0] - 1) + 1

    def forward(self, sequence: Tensor) -> Tensor:
        """Sequence (B, T, C), zero beyond its lengths, to (B, ceil(T / stride), C')."""
        return self._convolve(sequence, self.span // 2)

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.stride[0]) if self.stride[0] > 1 else lengths

    def _convolve(self, sequence: Tensor, padding: int) -> Tensor:
        if sequence.shape[1] + 2 * padding < self.span:  # torch refuses to return no frame
            return sequence.new_zeros(sequence.shape[0], 0, self.out_channels)
        if torch.compiler.is_exporting() and self.groups == 1:  # as few nodes as can be
            rows = sequence.transpose(1, 2)
            stride, dilation = self.stride[0], self.dilation[0]
            rows = functional.conv1d(rows, self._kernel(), self.bias, stride, padding, dilation)
            return rows.transpose(1, 2)
        if self._is_small_depthwise and is_slow_backward(sequence, self.weight):
            convolve = partial(self._frames, padding)
            shape = self.stride[0], padding, self.dilation[0]
            frames = with_fast_gradient(convolve, sequence, self._kernel(), *shape)
            return frames if self.bias is None else frames + self.bias
        return self._frames(padding, sequence, self._kernel(), self.bias)

    def _frames(
        self, padding: int, sequence: Tensor, kernel: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """The convolution of (B, T, C) as one of images."""
        image = sequence.unsqueeze(self._flat_axis).permute(0, 3, 1, 2)  # channels last in memory
        if self._is_slow_in_half_precision and image.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                image = self._convolve_image(image.to(kernel.dtype), padding, kernel, bias)
        else:
            image = self._convolve_image(image, padding, kernel, bias)
        return image.permute(0, 2, 3, 1).squeeze(self._flat_axis)

    @property
    def _flat_axis(self) -> int:
        """Which axis of the image (B, H, W, C) has one element; the other one has the frames.

        On a CPU depthwise kernels are faster down an image, others along its rows, both up to
        five times. Runtimes of exported graphs like rows.
        """
        return 2 if self.groups > 1 and not torch.compiler.is_exporting() else 1

    @property
    def _is_slow_in_half_precision(self) -> bool:
        """On a CPU the gradient of a strided depthwise kernel takes ten times longer in bf16."""
        return self.stride[0] > 1 and self.groups > 1

    @property
    def _is_small_depthwise(self) -> bool:
        """Whether its gradient is one that the compiled loops make faster; wide ones gain none."""
        depthwise = self.groups == self.in_channels == self.out_channels > 1
        return depthwise and self.kernel_size[0] <= 15

    def _convolve_image(
        self, image: Tensor, padding: int, kernel: Tensor, bias: Tensor | None
    ) -> Tensor:
        down = self._flat_axis == 2
        return functional.conv2d(
            image,
            kernel.unsqueeze(-1 if down else -2),
            bias,
            stride=(self.stride[0], 1) if down else (1, self.stride[0]),
            padding=(padding, 0) if down else (0, padding),
            dilation=(self.dilation[0], 1) if down else (1, self.dilation[0]),
            groups=self.groups,
        )

    def _kernel(self) -> Tensor:
        return self.weight


class CausalConv(FrameConv):
    """The same convolution looking back: no frame is read before the next output needs it.

    Use it wherever a network has to follow a live stream. Output t reads its own ``stride``
    frames, the last of them ``t * stride + stride - 1``, and what lies before them; beyond both
    ends are zeros. Arguments are those of `FrameConv`; the kernel spans at least a stride.

    Raises:
        SeqlabError: If a size is out of range.

    Example:
        >>> import torch
        >>> conv = CausalConv(3, 5, kernel_size=3, stride=2)
        >>> first, state = conv.step(torch.zeros(1, 5, 3), conv.initial_state())
        >>> first.shape[1], conv.flush(state).shape[1], conv(torch.zeros(1, 5, 3)).shape[1]
        (2, 1, 3)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
    ) -> None:
        super().__init__(input_dim, output_dim, kernel_size, stride, groups, bias, dilation)
        if self.span < stride:
            raise SeqlabError(
                f"kernel_size={kernel_size} must span at least the stride={stride}, lest frames "
                f"go unread; use {stride | 1} or more"
            )

    def forward(self, sequence: Tensor) -> Tensor:
        """Sequence (B, T, C), zero beyond its lengths, to (B, ceil(T / stride), C')."""
        padded = functional.pad(sequence, (0, 0, self._past, self.stride[0] - 1))
        return self._convolve(padded, 0)

    def initial_state(self, batch_size: int = 1) -> Tensor:
        """Frames (B, P, C) before the first one: zeros."""
        return self.weight.new_zeros(batch_size, self._past, self.in_channels)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T', C') that the next frames (B, T, C) complete, and the new state."""
        sequence = torch.cat([state, sequence], dim=1)
        frames = (sequence.shape[1] - self._past) // self.stride[0]
        read = self._past + frames * self.stride[0]
        return self._convolve(sequence[:, :read], 0), sequence[:, frames * self.stride[0] :]

    def flush(self, state: Tensor) -> Tensor:
        """The frame (B, 0 or 1, C') that the end of the stream completes."""
        waiting = state.shape[1] - self._past
        missing = self.stride[0] - waiting if waiting else 0
        return self.step(state.new_zeros(state.shape[0], missing, self.in_channels), state)[0]

    @property
    def _past(self) -> int:
        """Frames under the kernel before the output's own."""
        return self.span - self.stride[0]


class ChunkedConv(FrameConv):
    """A centred depthwise convolution that may be kept from looking beyond chunks of frames.

    Use it in encoders that serve whole recordings and live streams with the same weights: frames
    behind the end of a frame's own chunk then count as zero, whatever lies before is seen.

    Args:
        dim: Channels, at least 1.
        kernel_size: Frames under the kernel, odd.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Li et al. 2023, "Dynamic Chunk Convolution for Unified Streaming and Non-Streaming
    Conformer ASR".
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__(dim, dim, kernel_size, groups=dim)

    def forward(
        self, sequence: Tensor, chunk_frames: int = 0, past: Tensor | None = None
    ) -> Tensor:
        """Sequence (B, T, C), zero beyond its lengths, to the same shape.

        Args:
            sequence: (B, T, C), beginning with a chunk.
            chunk_frames: Frames in a chunk; 0 for no chunks.
            past: The frames before them, as `tail` gives them; None for zeros.
        """
        if chunk_frames == 0:
            return super().forward(sequence)
        batch_size, frames, channels = sequence.shape
        reach, behind = self.span // 2, chunk_frames - 1  # enough to fill the last chunk
        if past is None:
            padded = functional.pad(sequence, (0, 0, reach, behind))
        else:
            padded = functional.pad(torch.cat([past, sequence], dim=1), (0, 0, 0, behind))
        windows = padded.unfold(1, reach + chunk_frames, chunk_frames).transpose(2, 3)
        chunks = windows.shape[1]
        outputs = self._convolve(functional.pad(windows.flatten(0, 1), (0, 0, 0, reach)), 0)
        return outputs.reshape(batch_size, chunks * chunk_frames, channels)[:, :frames]

    def tail(self, sequence: Tensor, past: Tensor | None = None) -> Tensor:
        """What the frames after ``sequence`` see of it and of what came before (B, k // 2, C)."""
        if past is not None:
            sequence = torch.cat([past, sequence], dim=1)
        return sequence[:, sequence.shape[1] - self.span // 2 :]

    def initial_tail(self, batch_size: int = 1) -> Tensor:
        """What the first frames see before them: zeros (B, k // 2, C)."""
        return self.weight.new_zeros(batch_size, self.span // 2, self.in_channels)
