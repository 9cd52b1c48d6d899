"""Residual networks of 3 x 3 kernels for keywords."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.image import CausalImageConv, Sides, sides
from seqlab.blocks.image_stream import ImageMean, image_conv, without_padding
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import chain_state, chain_step, full_lengths
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.image_stream_network import StreamedImageEncoder
from seqlab.lengths import Length

_SAME_DILATION = 3  # layers, before the dilation doubles

# Arguments of the six published networks.
RES_SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "res8": {"width": 45, "num_layers": 6, "pool": (4, 3), "dilated": False},
        "res8-narrow": {"width": 19, "num_layers": 6, "pool": (4, 3), "dilated": False},
        "res15": {"width": 45, "num_layers": 13, "pool": 1, "dilated": True},
        "res15-narrow": {"width": 19, "num_layers": 13, "pool": 1, "dilated": True},
        "res26": {"width": 45, "num_layers": 24, "pool": (2, 2), "dilated": False},
        "res26-narrow": {"width": 19, "num_layers": 24, "pool": (2, 2), "dilated": False},
    }
)


class Res15Encoder(StreamedImageEncoder):
    """Residual pairs of 3 x 3 convolutions at full resolution, dilated further and further.

    Use it as a strong reference for keywords: accurate with few parameters, but slow, since
    every layer computes all frames and bins. The default is res15; ``RES_SIZES`` has the
    arguments of its small siblings, of which res8-narrow costs a hundredth.

    Args:
        input_dim: Features a frame, at least 1; in the paper 40 MFCCs every 10 ms.
        width: Channels of every layer, at least 1.
        num_layers: Convolutions behind the first one, at least 2.
        pool: Frames and bins whose mean is taken behind the first convolution; 1 for none.
        dilated: Whether kernels reach twice as far every three layers.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Tang and Lin 2018, "Deep Residual Learning for Small-Footprint Keyword Spotting",
    section 3 and tables 1 to 3. Deviation: what does not fill a rectangle of ``pool`` at the end
    is a rectangle too, so that no recording is too short.

    Example:
        >>> import torch
        >>> encoder = Res15Encoder(40, **RES_SIZES["res8-narrow"])
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 40), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 19), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        width: int = 45,
        num_layers: int = 13,
        pool: Sides = 1,
        dilated: bool = True,
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("width", width, 1)
        check_at_least("num_layers", num_layers, 2)
        size, bins = sides("pool", pool), input_dim
        layers: list[nn.Module] = [_Layer(bins, 1, width, 1, causal, normalized=False)]
        if size != (1, 1):
            pooled = ImageMean(bins, width, size)
            layers, bins = [*layers, pooled], pooled.bins_after
        reach = [2 ** (i // _SAME_DILATION) if dilated else 1 for i in range(num_layers)]
        for index in range(0, num_layers - 1, 2):
            layers.append(_Pair(bins, width, reach[index : index + 2], index > 0, causal))
        if num_layers % 2:
            layers.append(_Layer(bins, width, width, reach[-1], causal))
        layers.append(_Norm(bins, width))
        super().__init__(input_dim, width, layers, size[0], causal)


class _Layer(nn.Module):
    """Batch norm, a 3 x 3 convolution, ReLU; padding stays zero."""

    def __init__(
        self,
        bins: int,
        input_dim: int,
        width: int,
        dilation: int,
        causal: bool,
        normalized: bool = True,
    ) -> None:
        super().__init__()
        self.bins = bins
        self.norm = MaskedBatchNorm(input_dim, affine=False) if normalized else None
        self.convolution = image_conv(input_dim, width, 3, dilation=dilation, causal=causal)
        self.activation = MaskedActivation("relu", in_place=True)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            image = self.norm(image, lengths)
        image = self.activation(self.convolution(image), lengths)
        return without_padding(image, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        return lengths

    def initial_state(self, batch_size: int = 1) -> Tensor:
        return self._causal().initial_state(batch_size, self.bins)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        lengths = full_lengths(sequence)
        if self.norm is not None:
            sequence = self.norm(sequence, lengths)
        image, state = self._causal().step(sequence, state)
        return self.activation(image, lengths), state

    def flush(self, state: Tensor) -> Tensor:
        channels = self.convolution.out_channels
        return state.new_zeros(state.shape[0], 0, self.bins, channels)

    def _causal(self) -> CausalImageConv:
        assert isinstance(self.convolution, CausalImageConv), "callers stream causal layers only"
        return self.convolution


class _Pair(nn.Module):
    """Two layers with a connection around them."""

    def __init__(
        self, bins: int, width: int, dilations: Sequence[int], normalized: bool, causal: bool
    ) -> None:
        super().__init__()
        self.first = _Layer(bins, width, width, dilations[0], causal, normalized)
        self.second = _Layer(bins, width, width, dilations[1], causal)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        result, _ = self.first(image, lengths)
        result, _ = self.second(result, lengths)
        return image + result, lengths

    def output_lengths(self, lengths: Length) -> Length:
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        return chain_state((self.first, self.second), batch_size)

    def step(self, sequence: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        result, state = chain_step((self.first, self.second), sequence, state)
        return sequence + result, state

    def flush(self, state: tuple[Any, ...]) -> Tensor:
        return self.second.flush(state[1])


class _Norm(nn.Module):
    """Batch norm alone."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.bins = bins
        self.norm = MaskedBatchNorm(width, affine=False)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.norm(image, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        return lengths

    def initial_state(self, batch_size: int = 1) -> Tensor:
        return self.norm.weight.new_zeros(batch_size, 0, self.bins, self.norm.num_features)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.norm(sequence, full_lengths(sequence)), state

    def flush(self, state: Tensor) -> Tensor:
        return state
