"""Layers over images (B, T, F, C) that also follow a stream, cheap in evaluation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.image import CausalImageConv, ImageConv, Sides
from seqlab.blocks.image_pooling import AverageImagePool
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import full_lengths
from seqlab.checks import check_at_least
from seqlab.lengths import Length, is_traced, zero_padding


def without_padding(image: Tensor, lengths: Tensor | None) -> Tensor:
    """Image (B, T, ...), zero beyond lengths (B,); None says that it has no padding.

    On a CPU nothing is computed where all utterances are equally long, as one alone is.
    """
    if lengths is None:
        return image
    if image.device.type == "cpu" and not is_traced(image):
        padded = bool((lengths < image.shape[1]).any())
        return zero_padding(image, lengths) if padded else image
    return zero_padding(image, lengths)


def image_conv(
    input_dim: int,
    output_dim: int,
    kernel_size: Sides = 3,
    time_stride: int = 1,
    frequency_stride: int = 1,
    dilation: Sides = 1,
    groups: int = 1,
    causal: bool = False,
    pad_frequency: bool = True,
) -> ImageConv:
    """An `ImageConv`, or where ``causal`` a `CausalImageConv`, without a bias."""
    kind = CausalImageConv if causal else ImageConv
    return kind(
        input_dim,
        output_dim,
        kernel_size,
        time_stride,
        frequency_stride,
        False,
        dilation,
        groups,
        pad_frequency,
    )


class NormalizedImage(nn.Module):
    """A convolution over images, batch norm, an activation; padding stays zero.

    Use it as the unit of convolutional networks that run on small devices or follow a stream:
    in evaluation the norm is folded into the weights of the convolution and costs nothing.

    Args:
        bins: Frequency bins F of what comes in, at least 1.
        input_dim: Input channels C, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames and bins under the kernel, at least 1.
        time_stride: Frames between outputs, at least 1.
        frequency_stride: Bins between outputs, at least 1.
        activation: Name of an activation; None for none.
        dilation: Frames and bins between the taps of the kernel, at least 1.
        groups: Channel groups; ``input_dim`` makes a depthwise convolution.
        causal: Whether the kernel looks back in time only; then the layer follows a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", section 3.2; folded as in Jacob et al.
    2018, "Quantization and Training of Neural Networks", section 3.2.

    Example:
        >>> layer = NormalizedImage(40, 1, 8, (3, 5), time_stride=2, causal=True)
        >>> image, lengths = layer(torch.zeros(1, 9, 40, 1), torch.tensor([9]))
        >>> tuple(image.shape), lengths.tolist(), layer.bins_after
        ((1, 5, 40, 8), [5], 40)
    """

    def __init__(
        self,
        bins: int,
        input_dim: int,
        output_dim: int,
        kernel_size: Sides = 3,
        time_stride: int = 1,
        frequency_stride: int = 1,
        activation: str | None = "relu",
        dilation: Sides = 1,
        groups: int = 1,
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("bins", bins, 1)
        self.bins = bins
        self.convolution = image_conv(
            input_dim,
            output_dim,
            kernel_size,
            time_stride,
            frequency_stride,
            dilation,
            groups,
            causal,
        )
        self.bins_after = self.convolution.output_bins(bins)
        self.norm = MaskedBatchNorm(output_dim)
        self.activation: MaskedActivation | None = None
        if activation is not None:
            self.activation = MaskedActivation(activation, in_place=True)

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        lengths = self.output_lengths(lengths)
        return self._apply_to(image, self.convolution.time_padding, lengths), lengths

    def pointwise(self, image: Tensor, lengths: Tensor | None) -> Tensor:
        """What ``forward`` gives without lengths; None says that the image has no padding.

        For kernels and strides of one frame, which need no state to follow a stream.
        """
        return self._apply_to(image, self.convolution.time_padding, lengths)

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return self.convolution.output_lengths(lengths)

    def initial_state(self, batch_size: int = 1) -> Tensor:
        """Frames (B, P, F, C) before the first one; causal layers only."""
        return self._causal().initial_state(batch_size, self.bins)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T', F', C') that the next frames (B, T, F, C) complete, and the new state."""
        image, state = self._causal().advance(sequence, state)
        return self._apply_to(image, (0, 0), None), state

    def flush(self, state: Tensor) -> Tensor:
        """The frame (B, 0 or 1, F', C') that the end of the stream completes."""
        return self.step(self._causal().missing(state), state)[0]

    def _apply_to(
        self, image: Tensor, time_padding: tuple[int, int], lengths: Tensor | None
    ) -> Tensor:
        convolution, norm = self.convolution, self.norm
        if norm.training:
            image = convolution.convolve(image, convolution.weight, None, time_padding)
            lengths = full_lengths(image) if lengths is None else lengths
            image = norm(image, lengths)
        else:
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            weight = convolution.weight * scale[:, None, None, None]
            bias = norm.bias - norm.running_mean * scale
            image = convolution.convolve(image, weight, bias, time_padding)
            image = without_padding(image, lengths)
        if self.activation is None:
            return image
        lengths = full_lengths(image) if lengths is None else lengths
        return self.activation(image, lengths)  # type: ignore[no-any-return]

    def _causal(self) -> CausalImageConv:
        assert isinstance(self.convolution, CausalImageConv), "callers stream causal layers only"
        return self.convolution


class ImageMean(AverageImagePool):
    """The mean of rectangles side by side, the last ones as far as they are filled; it streams.

    Args:
        bins: Frequency bins F of what comes in, at least 1.
        dim: Channels C, which stay as they are, at least 1.
        size: Frames and bins in a rectangle, at least 1.

    Raises:
        SeqlabError: If a size is out of range.

    Example:
        >>> pool = ImageMean(1, 1, (2, 1))
        >>> image = torch.tensor([1.0, 3.0, 5.0]).reshape(1, 3, 1, 1)
        >>> pool(image, torch.tensor([3]))[0].flatten().tolist()
        [2.0, 5.0]
    """

    def __init__(self, bins: int, dim: int, size: Sides) -> None:
        super().__init__(dim, size)
        check_at_least("bins", bins, 1)
        self.bins, self.bins_after = bins, self.output_bins(bins)
        self.before = (0, 0)  # unlike centred rectangles, no frame waits for another's

    def _pool(self, image: Tensor, lengths: Tensor) -> Tensor:
        frames, bins = self._shape(image)[1:3]
        time, frequency = self.kernel_size
        missing = (bins * frequency - image.shape[2], frames * time - image.shape[1])
        image = functional.pad(zero_padding(image, lengths), (0, 0, 0, missing[0], 0, missing[1]))
        rectangles = (image.shape[0], frames, time, bins, frequency, image.shape[3])
        starts = torch.arange(frames, device=lengths.device) * time
        filled = (lengths[:, None] - starts).clamp(1, time)
        heights = (self.bins - torch.arange(bins, device=lengths.device) * frequency).clamp(
            max=frequency
        )
        counts = filled[:, :, None, None] * heights[:, None]
        return image.reshape(rectangles).sum((2, 4)) / counts.to(image.dtype)

    def initial_state(self, batch_size: int = 1) -> Tensor:
        """No frame (B, 0, F, C) waits at first."""
        return torch.zeros(batch_size, 0, self.bins, self.output_dim)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T', F', C) that the next frames (B, T, F, C) fill, and the new state."""
        image = torch.cat([state.to(sequence), sequence], dim=1)
        read = image.shape[1] // self.stride[0] * self.stride[0]
        whole = image[:, :read]
        return self(whole, full_lengths(whole))[0], image[:, read:]

    def flush(self, state: Tensor) -> Tensor:
        """The frame (B, 0 or 1, F', C) that the end of the stream leaves unfilled."""
        pooled: Tensor = self(state, full_lengths(state))[0]
        return pooled
