"""What networks of layers over images share: features seen as an image, one vector a frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.streaming import chain_flush, chain_step
from seqlab.contracts import Between
from seqlab.encoders.cnn.frame_network import FrameNetworkEncoder
from seqlab.lengths import zero_padding


class StreamedImageEncoder(FrameNetworkEncoder):
    """Layers over images (B, T, F, C) one after the other, then the mean over frequency.

    The base of networks that see features as an image of one channel; its arguments are those
    of `FrameNetworkEncoder`.
    """

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        image = zero_padding(features, lengths).unsqueeze(-1)
        for layer in self.layers:
            image, lengths = layer(image, lengths)
        return _over_frequency(image), lengths

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        image, state = chain_step(self._chain(), features.unsqueeze(-1), state)
        return _over_frequency(image), state

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """The encoded frame (B, 0 or 1, D) that the end of the stream completes."""
        if not self.causal:
            return super().flush(state)
        return chain_flush(self._chain(), state).mean(2)


def _over_frequency(image: Tensor) -> Tensor:
    """Mean (B, T, C) over the bins of an image (B, T, F, C)."""
    if torch.compiler.is_exporting():  # in the layout of exported convolutions: moved only once
        return image.permute(0, 3, 2, 1).mean(2).transpose(1, 2)
    return image.mean(2)
