"""Batch normalisation by bands of frequencies."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from seqlab.blocks.image_stream import without_padding
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import full_lengths
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError


class SubSpectralNorm(MaskedBatchNorm):
    """Batch normalisation of each channel in each of a few frequency bands; padding stays zero.

    Use it where the statistics of low and high frequencies differ, as in networks that see a
    spectrogram as an image.

    Args:
        bins: Frequency bins F, at least 1.
        dim: Channels C, at least 1.
        bands: Groups of neighbouring bins, as equal in size as can be; at least 1, and no more
            than ``bins`` are made.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Chang et al. 2021, "Subspectral Normalization for Neural Audio Data Processing",
    section 3, with an affine map for each band. Deviation: ``bands`` need not divide ``bins``.

    Example:
        >>> norm = SubSpectralNorm(4, 1, bands=2)
        >>> image = torch.tensor([[1.0, 3.0, 10.0, 30.0]]).reshape(1, 1, 4, 1)
        >>> norm(image, torch.tensor([1])).flatten().round(decimals=2).tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """

    bands: Tensor

    def __init__(self, bins: int, dim: int, bands: int = 5) -> None:
        check_at_least("bins", bins, 1)
        check_at_least("dim", dim, 1)
        check_at_least("bands", bands, 1)
        bands = min(bands, bins)
        super().__init__(bands * dim)
        self.bins, self.dim = bins, dim
        edges = [bins * band // bands for band in range(bands + 1)]
        self.sizes = [end - start for start, end in itertools.pairwise(edges)]
        counts = torch.tensor(self.sizes)
        band = torch.repeat_interleave(torch.arange(bands), counts, output_size=sum(self.sizes))
        self.register_buffer("bands", band, persistent=False)

    def forward(self, image: Tensor, lengths: Tensor | None) -> Tensor:
        """Image (B, T, F, C), lengths (B,), or None for no padding, to the same shape."""
        if image.shape[2:] != (self.bins, self.dim):
            raise SeqlabError(
                f"image of shape {tuple(image.shape)} must be (B, T, {self.bins}, {self.dim}), "
                "as the bins and dim of this normalisation say"
            )
        if self.training:
            return self._trained(image, full_lengths(image) if lengths is None else lengths)
        if torch.compiler.is_exporting() and len(set(self.sizes)) == 1:
            return without_padding(self._exported(image), lengths)
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        scale = scale.view(-1, self.dim).index_select(0, self.bands)
        shift = shift.view(-1, self.dim).index_select(0, self.bands)
        return without_padding(torch.addcmul(shift, image, scale), lengths)

    def _exported(self, image: Tensor) -> Tensor:
        """One operator in the layout of exported convolutions, where the bands become channels."""
        batch, frames = image.shape[0], image.shape[1]
        bands = image.permute(0, 3, 2, 1).reshape(batch, -1, self.sizes[0], frames)
        mean, variance, weight, bias = (
            values.view(-1, self.dim).t().reshape(-1)
            for values in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        result = functional.batch_norm(bands, mean, variance, weight, bias, eps=self.eps)
        return result.view(batch, self.dim, self.bins, frames).permute(0, 3, 2, 1)

    def _trained(self, image: Tensor, lengths: Tensor) -> Tensor:
        results = [
            self._normalized(part, lengths, weight, bias)
            for part, weight, bias in zip(
                torch.split(image, self.sizes, dim=2),
                self.weight.view(-1, self.dim).unbind(),
                self.bias.view(-1, self.dim).unbind(),
                strict=True,
            )
        ]
        outputs, means, squares, totals = zip(*results, strict=True)
        counts = torch.stack(totals).repeat_interleave(self.dim)
        self._track(torch.cat(means), torch.cat(squares), counts)
        return torch.cat(outputs, dim=2)
