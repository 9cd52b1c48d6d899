"""Convolutions over frames, in the layout (B, T, C) that the rest of the toolkit keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.activation import activation
from seqlab.blocks.checks import check_odd
from seqlab.blocks.dropout import Dropout, ReluDropout
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.pooling import masked_mean
from seqlab.checks import check_at_least
from seqlab.lengths import Length, conv_length, zero_padding


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
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("stride", stride, 1)
        check_odd("kernel_size", kernel_size)
        super().__init__(
            input_dim,
            output_dim,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=bias,
        )

    def forward(self, sequence: Tensor) -> Tensor:
        """Sequence (B, T, C), zero beyond its lengths, to (B, ceil(T / stride), C')."""
        image = sequence.unsqueeze(2).permute(0, 3, 1, 2)  # (B, C, T, 1), channels last in memory
        if self._is_slow_in_half_precision and image.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                image = self._convolve(image.to(self.weight.dtype))
        else:
            image = self._convolve(image)
        return image.permute(0, 2, 3, 1).squeeze(2)

    @property
    def _is_slow_in_half_precision(self) -> bool:
        """On a CPU the gradient of a strided depthwise kernel takes ten times longer in bf16."""
        return self.stride[0] > 1 and self.groups > 1

    def _convolve(self, image: Tensor) -> Tensor:
        return functional.conv2d(
            image,
            self.weight.unsqueeze(-1),
            self.bias,
            stride=(self.stride[0], 1),
            padding=(self.kernel_size[0] // 2, 0),
            groups=self.groups,
        )

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        kernel_size = self.kernel_size[0]
        return conv_length(lengths, kernel_size, self.stride[0], kernel_size // 2)


class NormalizedConv(nn.Module):
    """A convolution over frames, batch norm, activation, dropout; padding stays zero.

    Use it where every output channel should see all input channels under the whole kernel, as in
    the first layer of a network.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames under the kernel, odd.
        stride: Frames between outputs, at least 1.
        activation_name: Name for :func:`activation`; None for no activation and no dropout.
        dropout: Probability in [0, 1).

    Raises:
        SeqlabError: If an argument is out of range.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int,
        stride: int = 1,
        activation_name: str | None = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.convolution = self._convolution(input_dim, output_dim, kernel_size, stride)
        self.norm = MaskedBatchNorm(output_dim)
        self.activation: MaskedActivation | None = None
        if activation_name is not None:
            self.activation = MaskedActivation(activation_name, dropout, in_place=True)

    def _convolution(
        self, input_dim: int, output_dim: int, kernel_size: int, stride: int
    ) -> nn.Module:
        return FrameConv(input_dim, output_dim, kernel_size, stride, bias=False)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), zero beyond lengths (B,), to (B, T', C') likewise, lengths."""
        sequence, lengths = self.convolution(sequence), self.output_lengths(lengths)
        sequence = self.norm(sequence, lengths)
        if self.activation is not None:
            sequence = self.activation(sequence, lengths)
        return sequence, lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        for layer in self.convolution.modules():
            if isinstance(layer, FrameConv):
                lengths = layer.output_lengths(lengths)
        return lengths


class SeparableConv(NormalizedConv):
    """The same with a depthwise convolution in time and a pointwise one over channels.

    Use it as the unit of time-channel separable networks: it costs a fraction of a full
    convolution of the same kernel. With ``kernel_size=1`` and ``stride=1`` only the pointwise
    convolution is left. Arguments and errors are those of `NormalizedConv`.

    Source: Kriman et al. 2020, "QuartzNet", section 2.
    """

    def _convolution(
        self, input_dim: int, output_dim: int, kernel_size: int, stride: int
    ) -> nn.Module:
        pointwise = FrameConv(input_dim, output_dim, bias=False)
        if kernel_size == stride == 1:
            return pointwise
        depthwise = FrameConv(
            input_dim, input_dim, kernel_size, stride, groups=input_dim, bias=False
        )
        return nn.Sequential(depthwise, pointwise)


class MaskedActivation(nn.Module):
    """Activation and dropout that leave padding zero, also where f(0) is not 0 (sigmoid).

    Args:
        name: Name for :func:`activation`.
        dropout: Probability in [0, 1).
        in_place: Whether a ReLU may overwrite its input; only for inputs that nothing else reads.
    """

    def __init__(self, name: str, dropout: float = 0.0, in_place: bool = False) -> None:
        super().__init__()
        self.function: nn.Module
        if name == "relu":
            self.function = ReluDropout(dropout, in_place)
        else:
            self.function = nn.Sequential(activation(name), Dropout(dropout))
        self._moves_zero = name in ("sigmoid", "log_sigmoid")

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Sequence (B, T, ...), zero beyond lengths (B,), to the same shape, zero likewise."""
        sequence = self.function(sequence)
        return zero_padding(sequence, lengths) if self._moves_zero else sequence


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the mean over valid frames.

    Use it at the end of a residual block to let a whole utterance weight its channels.

    Args:
        dim: Channels, at least 1.
        reduction: The gate's hidden layer has ``dim // reduction`` units, at least 1.

    Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", section 3; over time as in Han et
    al. 2020, "ContextNet", section 2.2.1.
    """

    def __init__(self, dim: int, reduction: int = 8) -> None:
        super().__init__()
        check_at_least("reduction", reduction, 1)
        hidden_dim = max(1, dim // reduction)
        self.gate = nn.Sequential(
            nn.Linear(dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, dim), nn.Sigmoid()
        )

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Sequence (B, T, dim), zero beyond lengths (B,), to the same shape, zero likewise."""
        gate: Tensor = self.gate(masked_mean(sequence, lengths))
        return sequence * gate.unsqueeze(1)
