"""Pooling over images (B, T, F, C): in small rectangles, in a pyramid, or of the whole."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.image import Sides, sides
from seqlab.blocks.image_chain import ImageBlock
from seqlab.blocks.pooling import pooling
from seqlab.checks import check_at_least, check_choice
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, strided_length, valid_mask, zero_padding


class ImagePool(ImageBlock):
    """The base of pooling in rectangles, which are centred as the kernels of convolutions are.

    Every frame and bin lies in some rectangle, the last ones at the edge included: lengths and
    bins are divided by the stride and rounded up, so that nothing is too short to be pooled.

    Args:
        dim: Channels, which stay as they are, at least 1.
        kernel_size: Frames and bins in a rectangle; odd where the stride is 1.
        time_stride: Frames between rectangles, at least 1; None takes the kernel's.
        frequency_stride: Bins between rectangles, at least 1; None takes the kernel's.

    Raises:
        SeqlabError: If a size is out of range.
    """

    def __init__(
        self,
        dim: int,
        kernel_size: Sides = 2,
        time_stride: int | None = None,
        frequency_stride: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least("dim", dim, 1)
        self.output_dim = dim
        self.kernel_size = sides("kernel_size", kernel_size)
        time_stride = self.kernel_size[0] if time_stride is None else time_stride
        frequency_stride = self.kernel_size[1] if frequency_stride is None else frequency_stride
        check_at_least("time_stride", time_stride, 1)
        check_at_least("frequency_stride", frequency_stride, 1)
        self.stride = (time_stride, frequency_stride)
        self.before = ((self.kernel_size[0] - 1) // 2, (self.kernel_size[1] - 1) // 2)
        for size, stride in zip(self.kernel_size, self.stride, strict=True):
            if stride > size or (stride == 1 and size % 2 == 0):
                raise SeqlabError(
                    f"kernel_size={size} with a stride of {stride} leaves gaps or is not centred; "
                    "use at least the stride, and an odd size where the stride is 1"
                )

    def output_lengths(self, lengths: Length) -> Length:
        """Frames that ``forward`` returns for ``lengths`` frames: divided, rounded up."""
        return strided_length(lengths, self.stride[0])

    def output_bins(self, bins: int) -> int:
        """Frequency bins F' that ``forward`` returns for ``bins``: divided, rounded up."""
        return strided_length(bins, self.stride[1])

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map image (B, T, F, C) and lengths (B,) to (B, T', F', C) and lengths; padding is 0."""
        after = self.output_lengths(lengths)
        if image.shape[1] == 0:
            return image.new_zeros(self._shape(image)), after
        pooled = self._pool(image, lengths)
        return zero_padding(pooled, after), after

    @abc.abstractmethod
    def _pool(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Pooled (B, T', F', C), whatever beyond its lengths."""

    def _shape(self, image: Tensor) -> tuple[int, int, int, int]:
        batch_size, frames, bins, dim = image.shape
        return batch_size, self.output_lengths(frames), self.output_bins(bins), dim

    def _cut(self, pooled: Tensor, image: Tensor) -> Tensor:
        """What torch pooled (B, C, T'', F''), without rectangles that begin behind the end."""
        _, frames, bins, _ = self._shape(image)
        return pooled[:, :, :frames, :bins].permute(0, 2, 3, 1)


class MaxImagePool(ImagePool):
    """The largest valid value of each channel in each rectangle; arguments as in `ImagePool`.

    Source: Ranzato et al. 2007, "Unsupervised Learning of Invariant Feature Hierarchies",
    section 2; without padding it is torch.nn.functional.max_pool2d with ceil_mode.

    Example:
        >>> pool = MaxImagePool(1, kernel_size=(2, 1))
        >>> image = torch.tensor([-3.0, -1.0, -2.0, 9.0]).reshape(1, 4, 1, 1)
        >>> pool(image, torch.tensor([3]))[0].flatten().tolist()
        [-1.0, -2.0]
    """

    def _pool(self, image: Tensor, lengths: Tensor) -> Tensor:
        pooled = functional.max_pool2d(
            _without_padding(image, lengths).permute(0, 3, 1, 2),
            self.kernel_size,
            self.stride,
            self.before,
            ceil_mode=True,
        )
        return self._cut(pooled, image)

    def with_indices(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Also where the values came from, for `max_unpool`.

        Args:
            image: (B, T, F, C), at least one frame.
            lengths: (B,), int64.

        Returns:
            Pooled (B, T', F', C), indices t * F + f of the same shape, int64, and lengths (B,).
        """
        after = self.output_lengths(lengths)
        pooled, indices = functional.max_pool2d_with_indices(
            _without_padding(image, lengths).permute(0, 3, 1, 2),
            self.kernel_size,
            self.stride,
            self.before,
            ceil_mode=True,
        )
        return zero_padding(self._cut(pooled, image), after), self._cut(indices, image), after


class AverageImagePool(ImagePool):
    """The mean of the valid values in each rectangle; arguments as in `ImagePool`.

    Use it where how often a pattern occurs matters, not only whether. Values beyond the edges or
    the lengths are not counted.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section
    II.B, without trained factors; without padding it is torch.nn.functional.avg_pool2d with
    ceil_mode, not counting its padding.

    Example:
        >>> pool = AverageImagePool(1, kernel_size=(2, 1))
        >>> image = torch.tensor([-3.0, -1.0, -2.0, 9.0]).reshape(1, 4, 1, 1)
        >>> pool(image, torch.tensor([3]))[0].flatten().tolist()
        [-2.0, -2.0]
    """

    def _pool(self, image: Tensor, lengths: Tensor) -> Tensor:
        pooled = functional.avg_pool2d(
            zero_padding(image, lengths).permute(0, 3, 1, 2),
            self.kernel_size,
            self.stride,
            self.before,
            ceil_mode=True,
            count_include_pad=False,
        )
        frames = image.shape[1]  # the padding of items has been counted; that is put right
        whole = self._counts(torch.full_like(lengths, frames), frames)
        share = whole.to(pooled.dtype) / self._counts(lengths, frames).clamp(min=1)
        return self._cut(pooled, image) * share[:, :, None, None]

    def _counts(self, lengths: Tensor, frames: int) -> Tensor:
        """Frames (B, T') of each rectangle that are within ``lengths`` (B,)."""
        starts = torch.arange(self.output_lengths(frames), device=lengths.device) * self.stride[0]
        starts = starts - self.before[0]
        ends = torch.minimum(starts + self.kernel_size[0], lengths[:, None])
        return (ends - starts.clamp(min=0)).clamp(min=0)


class GlobalImagePool(nn.Module):
    """One vector for a whole image: mean, maximum or learned weights over frames and bins.

    Args:
        name: "mean", "max" or "attention"; see `seqlab.blocks.pooling`.
        dim: Channels C, at least 1.

    Raises:
        SeqlabError: If the name is not known, or ``dim`` is out of range.

    Source: Lin et al. 2014, "Network In Network", section 3.2, for the mean.

    Example:
        >>> image = torch.tensor([1.0, 2.0, 3.0, 6.0, 9.0, 9.0]).reshape(1, 3, 2, 1)
        >>> GlobalImagePool("mean", 1)(image, torch.tensor([2]))
        tensor([[3.]])
    """

    def __init__(self, name: str, dim: int) -> None:
        super().__init__()
        check_at_least("dim", dim, 1)
        check_choice("name", name, ("attention", "max", "mean"))
        self.pooling = pooling(name, dim)

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), lengths (B,) -> (B, C); images without frames give 0."""
        # row by row, the valid positions of an image stand before its padding
        pooled: Tensor = self.pooling(image.flatten(1, 2), lengths * image.shape[2])
        return pooled


class SpatialPyramidPool(nn.Module):
    """Pooling in grids of n x n cells over each image, whatever its length, for several n.

    Use it in front of a linear layer that should know roughly where in time and frequency a
    pattern stood.

    Args:
        dim: Channels C, at least 1.
        levels: Cells along each side of each grid, at least one grid.
        name: "max" or "mean".

    Raises:
        SeqlabError: If an argument is out of range.

    Source: He et al. 2014, "Spatial Pyramid Pooling in Deep Convolutional Networks", section 2.2;
    a grid without padding is that of torch.nn.functional.adaptive_max_pool2d.

    Example:
        >>> pool = SpatialPyramidPool(4, levels=(1, 2))
        >>> pool(torch.zeros(2, 9, 6, 4), torch.tensor([9, 5])).shape, pool.output_dim
        (torch.Size([2, 20]), 20)
    """

    def __init__(self, dim: int, levels: Sequence[int] = (1, 2, 4), name: str = "max") -> None:
        super().__init__()
        check_at_least("dim", dim, 1)
        check_choice("name", name, ("max", "mean"))
        check_at_least("number of levels", len(levels), 1)
        for level in levels:
            check_at_least("levels", level, 1)
        self.levels, self.name = tuple(levels), name
        self.output_dim = dim * sum(level * level for level in levels)

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), lengths (B,) -> (B, sum of n * n * C), cell by cell; none give 0."""
        pooled = [self._grid(image, lengths, level) for level in self.levels]
        return torch.cat(pooled, dim=1)

    def _grid(self, image: Tensor, lengths: Tensor, level: int) -> Tensor:
        frames, bins = image.shape[1:3]
        rows = []
        for index in range(level):
            start, end = index * lengths // level, -(-(index + 1) * lengths // level)
            inside = valid_mask(end, frames) & ~valid_mask(start, frames)
            rows.append(self._pool(image, inside.unsqueeze(-1).unsqueeze(-1), 1))
        cells = []
        for index in range(level):
            first, last = index * bins // level, -(-(index + 1) * bins // level)
            part = torch.stack([row[:, first:last] for row in rows], dim=1)
            cells.append(part.amax(2) if self.name == "max" else part.mean(2))
        return torch.stack(cells, dim=2).flatten(1)

    def _pool(self, image: Tensor, inside: Tensor, axis: int) -> Tensor:
        if image.shape[axis] == 0:
            return image.sum(axis)
        count = inside.sum(axis)
        if self.name == "mean":
            return image.masked_fill(~inside, 0).sum(axis) / count.clamp(min=1).to(image.dtype)
        return image.masked_fill(~inside, -torch.inf).amax(axis).masked_fill(count == 0, 0)


def _without_padding(image: Tensor, lengths: Tensor) -> Tensor:
    """The image with padding so low that no maximum takes it."""
    valid = valid_mask(lengths, image.shape[1])
    return image.masked_fill(~valid[:, :, None, None], -torch.inf)
