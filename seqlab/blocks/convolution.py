"""Convolutions over frames with what follows them: norm, activation, dropout, gates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from seqlab.blocks.activation import activation
from seqlab.blocks.dropout import Dropout, ReluDropout
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.pooling import masked_mean
from seqlab.blocks.streaming import chain_flush, chain_state, chain_step, full_lengths
from seqlab.checks import check_at_least
from seqlab.lengths import Length, strided_length, zero_padding


class ConvLayer(nn.Module):
    """Convolutions over frames in a row, then batch norm, activation, dropout; padding stays zero.

    The base of the layers that choose the convolutions.

    Args:
        kernels: At least one; all of them causal, for a layer that follows a stream.
        activation_name: Name for :func:`activation`; None for no activation and no dropout.
        dropout: Probability in [0, 1).
    """

    def __init__(
        self, kernels: Sequence[FrameConv], activation_name: str | None, dropout: float
    ) -> None:
        super().__init__()
        self.convolution = nn.Sequential(*kernels) if len(kernels) > 1 else kernels[0]
        self.stride = math.prod(kernel.stride[0] for kernel in kernels)  # frames in for one out
        self.norm = MaskedBatchNorm(kernels[-1].out_channels)
        self.activation: MaskedActivation | None = None
        if activation_name is not None:
            self.activation = MaskedActivation(activation_name, dropout, in_place=True)

    @property
    def input_dim(self) -> int:
        """Channels of what comes in."""
        return self._kernels()[0].in_channels

    @property
    def output_dim(self) -> int:
        """Channels of what goes out."""
        return self._kernels()[-1].out_channels

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map sequence (B, T, C), zero beyond lengths (B,), to (B, T', C') likewise, lengths."""
        sequence, lengths = self.convolution(sequence), self.output_lengths(lengths)
        return self._behind(sequence, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return strided_length(lengths, self.stride) if self.stride > 1 else lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Tensor, ...]:
        """State before the first frame; causal layers only."""
        return chain_state(self._causal_kernels(), batch_size)

    def step(
        self, sequence: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Frames (B, T', C') that the next frames (B, T, C) complete, and the new state."""
        sequence, state = chain_step(self._causal_kernels(), sequence, state)
        return self._behind(sequence, full_lengths(sequence)), state

    def flush(self, state: tuple[Tensor, ...]) -> Tensor:
        """The frame (B, 0 or 1, C') that the end of the stream completes."""
        sequence = chain_flush(self._causal_kernels(), state)
        return self._behind(sequence, full_lengths(sequence))

    def _behind(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        sequence = self.norm(sequence, lengths)
        return sequence if self.activation is None else self.activation(sequence, lengths)

    def _kernels(self) -> list[FrameConv]:
        return [layer for layer in self.convolution.modules() if isinstance(layer, FrameConv)]

    def _causal_kernels(self) -> list[CausalConv]:
        kernels = [layer for layer in self._kernels() if isinstance(layer, CausalConv)]
        assert len(kernels) == len(self._kernels()), "callers stream causal layers only"
        return kernels


class NormalizedConv(ConvLayer):
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
        causal: Whether the kernels look back only; then the layer can follow a stream.
        dilation: Frames between the taps of the kernel, at least 1.

    Raises:
        SeqlabError: If a size is out of range.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int,
        stride: int = 1,
        activation_name: str | None = "relu",
        dropout: float = 0.0,
        causal: bool = False,
        dilation: int = 1,
    ) -> None:
        kind = CausalConv if causal else FrameConv
        kernel = kind(input_dim, output_dim, kernel_size, stride, bias=False, dilation=dilation)
        super().__init__([kernel], activation_name, dropout)


class SeparableConv(ConvLayer):
    """The same with a depthwise convolution in time and a pointwise one over channels.

    Use it as the unit of time-channel separable networks: it costs a fraction of a full
    convolution of the same kernel. With ``kernel_size=1`` and ``stride=1`` only the pointwise
    convolution is left. Arguments and errors are those of `NormalizedConv`; the dilation is that
    of the depthwise kernel.

    Source: Kriman et al. 2020, "QuartzNet", section 2.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int,
        stride: int = 1,
        activation_name: str | None = "relu",
        dropout: float = 0.0,
        causal: bool = False,
        dilation: int = 1,
    ) -> None:
        kind = CausalConv if causal else FrameConv
        kernels = [kind(input_dim, output_dim, bias=False)]
        if kernel_size != 1 or stride != 1:
            depthwise = kind(input_dim, input_dim, kernel_size, stride, input_dim, False, dilation)
            kernels.insert(0, depthwise)
        super().__init__(kernels, activation_name, dropout)


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
