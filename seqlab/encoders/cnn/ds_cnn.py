"""Depthwise separable convolutional networks for keywords."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from seqlab.blocks.image import Sides, sides
from seqlab.blocks.image_stream import NormalizedImage
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.image_stream_network import StreamedImageEncoder

# Arguments of the three published networks.
DS_CNN_SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "S": {"width": 64, "num_blocks": 4, "stem_stride": (2, 2), "first_stride": 1},
        "M": {"width": 172, "num_blocks": 4, "stem_stride": (2, 1), "first_stride": 2},
        "L": {"width": 276, "num_blocks": 5, "stem_stride": (2, 1), "first_stride": 2},
    }
)


class DSCNNEncoder(StreamedImageEncoder):
    """One wide convolution, then pairs of a 3 x 3 depthwise and a pointwise one.

    Use it for keywords on microcontrollers and wherever a few hundred microseconds count. The
    default is DS-CNN-S; ``DS_CNN_SIZES`` has the arguments of S, M and L.

    Args:
        input_dim: Features a frame, at least 1; in the paper 10 MFCCs every 20 ms.
        width: Channels of every layer, at least 1.
        num_blocks: Separable convolutions, at least 1.
        stem_kernel_size: Frames and bins under the first kernel, at least 1.
        stem_stride: Frames and bins between its outputs, at least 1.
        first_stride: The same of the first depthwise convolution.
        activation: Name of an activation.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Zhang et al. 2017, "Hello Edge: Keyword Spotting on Microcontrollers", section 4.2.5
    and table 5 (appendix). Deviations: convolutions have no bias beside their batch norm; kernels
    stand on the same frames whatever the length, one frame more ahead than back if even.

    Example:
        >>> import torch
        >>> encoder = DSCNNEncoder(10)
        >>> encoded, lengths = encoder(torch.zeros(2, 49, 10), torch.tensor([49, 20]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 25, 64), [25, 10])
    """

    def __init__(
        self,
        input_dim: int,
        width: int = 64,
        num_blocks: int = 4,
        stem_kernel_size: Sides = (10, 4),
        stem_stride: Sides = 2,
        first_stride: Sides = 1,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("width", width, 1)
        check_at_least("num_blocks", num_blocks, 1)
        strides = [sides("stem_stride", stem_stride), sides("first_stride", first_stride)]
        stem = NormalizedImage(
            input_dim, 1, width, stem_kernel_size, *strides[0], activation, causal=causal
        )
        layers, bins = [stem], stem.bins_after
        for stride in [strides[1]] + [(1, 1)] * (num_blocks - 1):
            depthwise = NormalizedImage(
                bins, width, width, 3, *stride, activation, groups=width, causal=causal
            )
            bins = depthwise.bins_after
            pointwise = NormalizedImage(bins, width, width, 1, 1, 1, activation, causal=causal)
            layers += [depthwise, pointwise]
        subsampling = strides[0][0] * strides[1][0]
        super().__init__(input_dim, width, list[nn.Module](layers), subsampling, causal)
