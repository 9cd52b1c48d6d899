"""Larger images (B, T, F, C) from smaller ones: by repeating, between, learned, or unpooled."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.image import Sides, sides
from seqlab.blocks.image_chain import ImageBlock
from seqlab.checks import check_at_least, check_choice
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, valid_mask, zero_padding


class ImageUpsample(ImageBlock):
    """Whole multiples of the frames and bins of an image, without weights.

    Use it to bring coarse maps back to the frames of the features, as in segmentation or
    enhancement. The last frame of each item is the edge that is drawn on, not its padding.

    Args:
        dim: Channels, which stay as they are, at least 1.
        time_factor: Frames for each frame, at least 1.
        frequency_factor: Bins for each bin, at least 1.
        mode: "nearest" repeats; "bilinear" draws lines between the centres.

    Raises:
        SeqlabError: If an argument is out of range.

    Example:
        >>> up = ImageUpsample(1, time_factor=2, mode="bilinear")
        >>> image = torch.tensor([0.0, 4.0, 99.0]).reshape(1, 3, 1, 1)
        >>> up(image, torch.tensor([2]))[0].flatten().tolist()
        [0.0, 1.0, 3.0, 4.0, 0.0, 0.0]
    """

    def __init__(
        self, dim: int, time_factor: int = 2, frequency_factor: int = 1, mode: str = "nearest"
    ) -> None:
        super().__init__()
        check_at_least("dim", dim, 1)
        check_at_least("time_factor", time_factor, 1)
        check_at_least("frequency_factor", frequency_factor, 1)
        check_choice("mode", mode, ("nearest", "bilinear"))
        self.output_dim = dim
        self.factors, self.mode = (time_factor, frequency_factor), mode

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return lengths * self.factors[0]

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``."""
        return bins * self.factors[1]

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C) and lengths (B,) to (B, T', F', C) and lengths; padding is 0."""
        after = self.output_lengths(lengths)
        batch_size, frames, bins, dim = image.shape
        if frames == 0 or batch_size == 0:
            shape = (batch_size, self.output_lengths(frames), self.output_bins(bins), dim)
            return image.new_zeros(shape), after
        if self.mode == "bilinear":
            image = _last_frame_repeated(image, lengths)
        size = [frames * self.factors[0], bins * self.factors[1]]
        drawn = functional.interpolate(image.permute(0, 3, 1, 2), size, mode=self.mode)
        return zero_padding(drawn.permute(0, 2, 3, 1), after), after


class TransposedImageConv(nn.ConvTranspose2d):
    """A learned upsampling: what a strided convolution does, read backwards.

    Args:
        input_dim: Input channels, at least 1.
        output_dim: Output channels, at least 1.
        kernel_size: Frames and bins that one input writes to, at least the strides.
        time_stride: Frames out for each frame in, at least 1.
        frequency_stride: Bins out for each bin in, at least 1.
        bias: Whether a bias is added.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Zeiler et al. 2010, "Deconvolutional Networks", section 3; the parameters and results
    are those of torch.nn.ConvTranspose2d, cut to the strides times the input.

    Example:
        >>> up = TransposedImageConv(4, 2, kernel_size=4, time_stride=2, frequency_stride=2)
        >>> image, lengths = up(torch.zeros(1, 5, 10, 4), torch.tensor([5]))
        >>> tuple(image.shape), lengths.tolist()
        ((1, 10, 20, 2), [10])
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        kernel_size: Sides = 3,
        time_stride: int = 2,
        frequency_stride: int = 1,
        bias: bool = True,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("output_dim", output_dim, 1)
        check_at_least("time_stride", time_stride, 1)
        check_at_least("frequency_stride", frequency_stride, 1)
        kernel, stride = sides("kernel_size", kernel_size), (time_stride, frequency_stride)
        for size, step in zip(kernel, stride, strict=True):
            if size < step:
                raise SeqlabError(
                    f"kernel_size={size} must be at least its stride {step}, lest the output has "
                    "gaps; raise it"
                )
        super().__init__(input_dim, output_dim, kernel, stride, bias=bias)

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames."""
        return lengths * self.stride[0]

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``."""
        return bins * self.stride[1]

    def forward(  # type: ignore[override]  # as all blocks, it takes lengths
        self, image: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C), zero beyond lengths (B,), to (B, T', F', C') and lengths."""
        after = self.output_lengths(lengths)
        batch_size, frames, bins, _ = image.shape
        size = (self.output_lengths(frames), self.output_bins(bins))
        if frames == 0:
            return image.new_zeros(batch_size, *size, self.out_channels), after
        whole = functional.conv_transpose2d(
            image.permute(0, 3, 1, 2), self.weight, self.bias, (self.stride[0], self.stride[1])
        )
        # centred as well as can be: the odd element is cut from the end
        first = [(self.kernel_size[axis] - self.stride[axis]) // 2 for axis in (0, 1)]
        cut = whole[:, :, first[0] : first[0] + size[0], first[1] : first[1] + size[1]]
        return zero_padding(cut.permute(0, 2, 3, 1), after), after


def max_unpool(image: Tensor, indices: Tensor, lengths: Tensor, frames: int, bins: int) -> Tensor:
    """Put pooled values back to where `MaxImagePool.with_indices` found them; the rest is 0.

    Args:
        image: (B, T', F', C), pooled, or of the same shape.
        indices: (B, T', F', C), int64, as ``with_indices`` gave them.
        lengths: (B,), int64, of ``image``.
        frames: T of the image that was pooled.
        bins: F of the image that was pooled.

    Returns:
        (B, T, F, C).

    Raises:
        SeqlabError: If the shapes differ.

    Source: Zeiler et al. 2011, "Adaptive Deconvolutional Networks", section 2.2; without padding
    it is torch.nn.functional.max_unpool2d.

    Example:
        >>> from seqlab.blocks.image_pooling import MaxImagePool
        >>> image = torch.tensor([1.0, 3.0, 2.0, 0.0]).reshape(1, 4, 1, 1)
        >>> pooled, where, lengths = MaxImagePool(1, (2, 1)).with_indices(image, torch.tensor([4]))
        >>> max_unpool(pooled, where, lengths, 4, 1).flatten().tolist()
        [0.0, 3.0, 2.0, 0.0]
    """
    if image.shape != indices.shape:
        raise SeqlabError(
            f"image of shape {tuple(image.shape)} must have the shape of its indices "
            f"{tuple(indices.shape)}; pass what with_indices returned"
        )
    batch_size, pooled_frames, _, dim = image.shape
    place = frames * bins  # padding goes to one place more, which is cut off
    padding = ~valid_mask(lengths, pooled_frames)[:, :, None, None]
    where = indices.masked_fill(padding, place).flatten(1, 2)
    spread = image.new_zeros(batch_size, place + 1, dim)
    spread = spread.scatter(1, where, image.flatten(1, 2))
    return spread[:, :place].reshape(batch_size, frames, bins, dim)


def _last_frame_repeated(image: Tensor, lengths: Tensor) -> Tensor:
    """The image (B, T, F, C) with its last valid frame in place of the padding."""
    frames = torch.arange(image.shape[1], device=image.device)
    nearest = torch.minimum(frames, (lengths[:, None] - 1).clamp(min=0))
    index = nearest[:, :, None, None].expand_as(image)
    return zero_padding(image, lengths).gather(1, index)
