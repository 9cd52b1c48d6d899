"""What networks over spectrograms share: images through blocks, then one vector a frame."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.frames import FrameConv
from seqlab.blocks.image_chain import ImageBlock, ImageChain
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class FrequencyMean(nn.Module):
    """The mean over the bins of each frame.

    With a `ClassifierHead` that takes the mean over frames it is the global average pooling of
    the published networks.
    """

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), whatever beyond lengths (B,), to (B, T, C), zero beyond."""
        return zero_padding(image.mean(2), lengths)


class FullyConnected(nn.Module):
    """The fully connected layers behind a convolutional network, at every frame.

    The first layer sees all bins and channels of ``context`` frames, as the published ones see
    a whole image; the others see a frame of it. Without layers the channels of all bins stand
    side by side.

    Args:
        input_dim: Channels of the image, at least 1.
        bins: Its frequency bins, at least 1.
        widths: Units of each layer; may be empty.
        context: Frames that the first layer sees, odd.
        activation: Name of an activation.
        dropout: Probability in [0, 1) behind each layer.
        batch_norm: Whether each layer is normalised, without which wide ones may die at the
            learning rates that the convolutions like.

    Raises:
        SeqlabError: If an argument is out of range.
    """

    def __init__(
        self,
        input_dim: int,
        bins: int,
        widths: Sequence[int],
        context: int = 1,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        for width in widths:
            check_at_least("hidden_dims", width, 1)
        dims = [input_dim * bins, *widths]
        kernels = [context] + [1] * len(widths)
        self.layers = nn.ModuleList(
            FrameConv(before, after, kernel, bias=not batch_norm)
            for before, after, kernel in zip(dims, widths, kernels, strict=False)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(width) for width in widths if batch_norm)
        self.activation = MaskedActivation(activation, dropout, in_place=True)
        self.output_dim = dims[-1]

    def forward(self, image: Tensor, lengths: Tensor) -> Tensor:
        """Image (B, T, F, C), zero beyond lengths (B,), to (B, T, D), zero likewise."""
        sequence = image.flatten(2)
        for layer, norm in zip_longest(self.layers, self.norms):
            sequence = layer(sequence)
            padded = norm(sequence, lengths) if norm else zero_padding(sequence, lengths)
            sequence = self.activation(padded, lengths)
        return sequence


class SpectrogramNetwork(Encoder):
    """The base of encoders that see features as an image of one channel.

    A network fills in what it consists of: blocks over images, and what makes one vector of the
    bins and channels that are left at each frame.
    """

    blocks: ImageChain
    frames: nn.Module

    @abc.abstractmethod
    def __init__(self, input_dim: int) -> None:
        check_at_least("input_dim", input_dim, 1)
        super().__init__()
        self.input_dim = input_dim

    def _end_with_mean(self, blocks: Iterable[ImageBlock]) -> None:
        """Let the network be these blocks and the mean over frequency."""
        self.blocks, self.frames = ImageChain(blocks), FrequencyMean()
        self.output_dim = self.blocks.output_dim

    def _end_fully_connected(
        self,
        blocks: Iterable[ImageBlock],
        hidden_dims: Sequence[int],
        context: int,
        activation: str,
        dropout: float,
        batch_norm: bool = False,
    ) -> None:
        """Let the network be these blocks and fully connected layers."""
        self.blocks = ImageChain(blocks)
        bins = self.blocks.output_bins(self.input_dim)
        last = FullyConnected(
            self.blocks.output_dim, bins, hidden_dims, context, activation, dropout, batch_norm
        )
        self.frames, self.output_dim = last, last.output_dim

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        image = zero_padding(features, lengths).unsqueeze(-1)
        image, lengths = self.blocks(image, lengths)
        return self.frames(image, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        return self.blocks.output_lengths(lengths)


def check_each(count: int, what: str, **settings: Sequence[object]) -> None:
    """Raise SeqlabError unless each of ``settings`` has ``count`` entries, one for each ``what``.

    >>> check_each(2, "stage", widths=(8, 16), time_strides=(1,))
    Traceback (most recent call last):
    seqlab.errors.SeqlabError: time_strides=[1] must have 2 entries, one for each stage
    """
    check_at_least(f"number of {what}s", count, 1)
    for name, values in settings.items():
        if len(values) != count:
            raise SeqlabError(
                f"{name}={list(values)} must have {count} entries, one for each {what}"
            )
