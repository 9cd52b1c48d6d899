"""Broadcasted residual networks for keywords."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.dropout import ChannelDropout
from seqlab.blocks.image import CausalImageConv, ImageConv
from seqlab.blocks.image_stream import NormalizedImage, image_conv, without_padding
from seqlab.blocks.sub_spectral import SubSpectralNorm
from seqlab.checks import check_at_least, check_range
from seqlab.encoders.cnn.image_stream_network import StreamedImageEncoder
from seqlab.lengths import Length

_BLOCKS = (2, 2, 4, 4)  # in each stage
_WIDTHS = (1.0, 1.5, 2.0, 2.5)  # of each stage, over that of the first
_FREQUENCY_STRIDES = (1, 2, 2, 1)
_LAST_KERNEL = 5


class BCResNetEncoder(StreamedImageEncoder):
    """Residual blocks whose costly part, over time, sees the mean of all frequencies.

    Use it for keywords: few networks recognise more for their size. ``tau`` scales the widths;
    the published networks have 1, 1.5, 2, 3, 6 and 8, with 40 features. Frames keep their rate.

    Args:
        input_dim: Features a frame, at least 1.
        tau: Factor of the widths; the first stage has 8 tau channels, encoded frames 32 tau.
        bands: Frequency bands of the sub-spectral norm, at least 1.
        dropout: Probability in [0, 1) that a block leaves out a channel over time.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Kim et al. 2021, "Broadcasted Residual Learning for Efficient Keyword Spotting",
    section 2, figure 2 and table 1. Deviations: frames are kept for the head to pool; with other
    than 40 features the last kernel still spans five bins, or all if they are fewer, and the mean
    over frequency takes what is left.

    Example:
        >>> import torch
        >>> encoder = BCResNetEncoder(40, tau=1)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 40), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 98, 32), [98, 50])
    """

    def __init__(
        self,
        input_dim: int,
        tau: float = 1.0,
        bands: int = 5,
        dropout: float = 0.1,
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("bands", bands, 1)
        check_range("tau", tau, 0.25, 64, "1 is the smallest published network, 8 the largest")
        base = round(8 * tau)
        stem = NormalizedImage(input_dim, 1, 2 * base, 5, frequency_stride=2, causal=causal)
        layers: list[nn.Module] = [stem]
        dim, bins = 2 * base, stem.bins_after
        for stage, blocks in enumerate(_BLOCKS):
            for index in range(blocks):
                width, stride = int(base * _WIDTHS[stage]), _FREQUENCY_STRIDES[stage]
                block = BroadcastedBlock(
                    bins, dim, width, stride if index == 0 else 1, 2**stage, bands, dropout, causal
                )
                layers.append(block)
                dim, bins = width, block.bins_after
        layers.append(_Closing(bins, dim, 4 * base, causal))
        super().__init__(input_dim, 4 * base, layers, 1, causal)


class BroadcastedBlock(nn.Module):
    """A depthwise kernel over frequency, and one over time on the mean of all frequencies.

    Use it as the unit of networks over spectrograms: the part over time is as cheap as one over
    frames, and what it finds is added at all frequencies. Where width and stride do not change,
    the input is added too.

    Args:
        bins: Frequency bins F of what comes in, at least 1.
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1; if they differ, a pointwise layer comes first.
        frequency_stride: Bins between outputs, at least 1.
        dilation: Frames between the taps of the kernel over time, at least 1.
        bands: Frequency bands of the sub-spectral norm, at least 1.
        dropout: Probability in [0, 1) that a channel of the part over time is left out.
        causal: Whether the kernel over time looks back only; then the block follows a stream.

    Source: Kim et al. 2021, equations 3 and 4 and figure 2.
    """

    def __init__(
        self,
        bins: int,
        input_dim: int,
        output_dim: int,
        frequency_stride: int = 1,
        dilation: int = 1,
        bands: int = 5,
        dropout: float = 0.1,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.widen: NormalizedImage | None = None
        if input_dim != output_dim:
            self.widen = NormalizedImage(bins, input_dim, output_dim, 1)
        self.adds_input = input_dim == output_dim and frequency_stride == 1
        self.over_frequency = ImageConv(
            output_dim, output_dim, (1, 3), 1, frequency_stride, groups=output_dim
        )
        self.bins_after = self.over_frequency.output_bins(bins)
        self.norm = SubSpectralNorm(self.bins_after, output_dim, bands)
        self.over_time = NormalizedImage(
            1, output_dim, output_dim, (3, 1), 1, 1, "swish", (dilation, 1), output_dim, causal
        )
        self.mix = ImageConv(output_dim, output_dim, 1)
        self.dropout = ChannelDropout(dropout)
        self.activation = MaskedActivation("relu", in_place=True)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), lengths (B,) to (B, T, F', C') and lengths, whatever beyond."""
        # Only kernels over time can see padding, so that in evaluation only theirs is cleared;
        # statistics in training leave it out everywhere.
        spread = self._spread(image, lengths if self.norm.training else None)
        mean = without_padding(spread.mean(2, keepdim=True), lengths)
        found, _ = self.over_time(mean, lengths)
        return self._sum(image, spread, found, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: as many."""
        return lengths

    def initial_state(self, batch_size: int = 1) -> Tensor:
        """Frames (B, P, 1, C') before the first one; causal blocks only."""
        return self.over_time.initial_state(batch_size)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The next frames (B, T, F, C) to (B, T, F', C'), and the new state."""
        spread = self._spread(sequence, None)
        found, state = self.over_time.step(spread.mean(2, keepdim=True), state)
        return self._sum(sequence, spread, found, None), state

    def flush(self, state: Tensor) -> Tensor:
        """No frame (B, 0, F', C'): none is held back."""
        return state.new_zeros(state.shape[0], 0, self.bins_after, self.over_frequency.out_channels)

    def _spread(self, image: Tensor, lengths: Tensor | None) -> Tensor:
        if self.widen is not None:
            image = self.widen.pointwise(image, lengths)
        return self.norm(self.over_frequency(image), lengths)  # type: ignore[no-any-return]

    def _sum(self, image: Tensor, spread: Tensor, found: Tensor, lengths: Tensor | None) -> Tensor:
        total = spread + self.dropout(self.mix(found))
        if self.adds_input:
            total = total + image
        return self.activation(total, lengths)  # type: ignore[no-any-return]


class _Closing(nn.Module):
    """A depthwise 5 x 5 kernel within the frequencies, then a pointwise layer."""

    def __init__(self, bins: int, input_dim: int, output_dim: int, causal: bool) -> None:
        super().__init__()
        kernel_size = (_LAST_KERNEL, min(_LAST_KERNEL, bins))
        self.bins = bins
        self.depthwise = image_conv(
            input_dim, input_dim, kernel_size, groups=input_dim, causal=causal, pad_frequency=False
        )
        self.widen = NormalizedImage(self.depthwise.output_bins(bins), input_dim, output_dim, 1)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        image = self.depthwise(without_padding(image, lengths))
        return self.widen(image, lengths)  # type: ignore[no-any-return]

    def output_lengths(self, lengths: Length) -> Length:
        return lengths

    def initial_state(self, batch_size: int = 1) -> Tensor:
        return self._causal().initial_state(batch_size, self.bins)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        image, state = self._causal().step(sequence, state)
        return self.widen.pointwise(image, None), state

    def flush(self, state: Tensor) -> Tensor:
        return self.step(state[:, :0], state)[0]

    def _causal(self) -> CausalImageConv:
        assert isinstance(self.depthwise, CausalImageConv), "callers stream causal layers only"
        return self.depthwise
