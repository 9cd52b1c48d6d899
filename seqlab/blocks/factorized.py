"""Convolutions over frames through a narrow, nearly orthogonal bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.blocks.convolution import ConvLayer
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError


class SemiOrthogonalConv(FrameConv):
    """A convolution whose matrix stays close to a multiple of one with orthonormal rows.

    Use it as the first factor of a factorised layer. Each pass in training moves the matrix M,
    (C', C k), one step towards the nearest one with ``M M^T = alpha^2 I``, alpha free.

    Arguments and errors are those of `FrameConv`; C' is at most C k.

    Source: Povey et al. 2018, "Semi-Orthogonal Low-Rank Matrix Factorization for Deep Neural
    Networks", sections 2.1 and 2.2. Deviations: the step is taken in every pass, not in every
    fourth, and M begins orthogonal.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        dilation: int = 1,
    ) -> None:
        super().__init__(input_dim, output_dim, kernel_size, stride, groups, bias, dilation)
        if output_dim > input_dim * kernel_size:
            raise SeqlabError(
                f"bottleneck_dim={output_dim} must be at most the {input_dim} * {kernel_size} "
                "values that it sees, or its rows cannot be orthogonal; lower it"
            )
        nn.init.orthogonal_(self.weight)

    def _kernel(self) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return self.weight
        towards_semi_orthogonal_(self.weight)
        return self.weight.clone()  # lest the next pass changes what this one's gradient needs


class CausalSemiOrthogonalConv(SemiOrthogonalConv, CausalConv):
    """The same looking back only."""


@torch.no_grad()
def towards_semi_orthogonal_(weight: Tensor) -> None:
    """Move a matrix (R, ...), R rows, one step towards ``M M^T = alpha^2 I``, in place.

    Source: Povey et al. 2018, equations 1 to 3, with alpha as in section 2.2.
    """
    matrix = weight.flatten(1)
    product = matrix @ matrix.T
    scale = product.square().sum() / product.trace()
    product.diagonal().sub_(scale)
    weight.sub_((product @ matrix).reshape(weight.shape) / (2 * scale))


class FactorizedConv(ConvLayer):
    """A convolution through a bottleneck, batch norm, activation, dropout, and a scaled bypass.

    Use it in deep time-delay networks: it has a fraction of the weights of a full convolution.

    Args:
        dim: Channels, at least 1.
        bottleneck_dim: Channels between the factors, at least 1.
        kernel_size: Frames under the kernel of the first factor, odd; the second sees one.
        activation_name: Name of an activation.
        dropout: Probability in [0, 1).
        causal: Whether the kernel looks back only; then the layer can follow a stream.
        dilation: Frames between the taps of the kernel, at least 1.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Povey et al. 2018, sections 3.1 and 3.4: the input of a layer, times 0.66, is added to
    its output. Deviation: all of the context belongs to the first factor.
    """

    bypass = 0.66

    def __init__(
        self,
        dim: int,
        bottleneck_dim: int,
        kernel_size: int,
        activation_name: str = "relu",
        dropout: float = 0.0,
        causal: bool = False,
        dilation: int = 1,
    ) -> None:
        check_at_least("bottleneck_dim", bottleneck_dim, 1)
        first = CausalSemiOrthogonalConv if causal else SemiOrthogonalConv
        second = CausalConv if causal else FrameConv
        kernels = [
            first(dim, bottleneck_dim, kernel_size, dilation=dilation),
            second(bottleneck_dim, dim, bias=False),
        ]
        super().__init__(kernels, activation_name, dropout)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Sequence (B, T, C), zero beyond lengths (B,), to the same shape likewise, lengths."""
        passed, lengths = super().forward(sequence, lengths)
        return passed + self.bypass * sequence, lengths

    def step(
        self, sequence: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The next frames (B, T, C) to the same shape, and the new state."""
        passed, state = super().step(sequence, state)
        return passed + self.bypass * sequence, state
