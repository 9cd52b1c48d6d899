"""Batch norms folded into the convolutions before them, for what is traced."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqlab.blocks.convolution import ConvLayer
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.lengths import zero_padding

__all__ = ["folded"]

Network = TypeVar("Network", bound=nn.Module)


class _Cleared(nn.Module):
    """What is left of a folded norm: padding comes out as zero."""

    def __init__(self, norm: MaskedBatchNorm) -> None:
        super().__init__()
        self.weight = norm.weight  # whose type and device layers ask for

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        return zero_padding(sequence, lengths)


def folded(network: Network) -> Network:
    """A copy of a network in evaluation mode, in which convolutions over frames do the norms' part.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks", section 3.2.
    """
    network = copy.deepcopy(network)
    for layer in list(network.modules()):
        if isinstance(layer, ConvLayer):
            _fold(layer)
    return network


@torch.no_grad()
def _fold(layer: ConvLayer) -> None:
    last = layer.convolution[-1] if isinstance(layer.convolution, nn.Sequential) else None
    kernel, norm = last or layer.convolution, layer.norm
    if type(norm) is not MaskedBatchNorm or type(kernel) not in (FrameConv, CausalConv):
        return
    assert isinstance(kernel, FrameConv), "as its type says"
    scale = norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    if kernel.bias is not None:
        bias = bias + kernel.bias.double() * scale
    weight = kernel.weight.double() * scale[:, None, None]
    kernel.weight = nn.Parameter(weight.to(kernel.weight.dtype))
    kernel.bias = nn.Parameter(bias.to(kernel.weight.dtype))
    layer.norm = _Cleared(norm)  # type: ignore[assignment]
