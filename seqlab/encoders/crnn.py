"""Convolutions over time and frequency, then a recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.cnn import ConvPoolBlock
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding


class CRNNEncoder(Encoder):
    """Blocks of 3 x 3 convolutions with pooling, then LSTM, GRU or Elman layers.

    Use it where a recurrent network alone learns too slowly: the convolutions see the same
    pattern at nearby frequencies and leave fewer frames to the recurrence. With
    ``bidirectional=False`` everything looks back only, and it streams.

    Args:
        input_dim: Features a frame, at least the product of ``frequency_pools``.
        widths: Channels of each block of two convolutions, at least one block.
        time_pools: Frames that each block makes one of; their product is the subsampling, and
            frames that do not fill it are dropped.
        frequency_pools: Bins that each block makes one of.
        cell: "lstm", "gru" or "rnn" (Elman, tanh).
        hidden_dim: Units of a recurrent layer and direction, at least 1.
        num_layers: Recurrent layers, at least 1.
        bidirectional: Whether a second direction reads from the end; then it is not causal.
        dropout: Probability in [0, 1) behind the convolutions and between recurrent layers.
        activation: Name of an activation, of the convolutions.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Hori et al. 2017, "Advances in Joint CTC-Attention based End-to-End Speech Recognition
    with a Deep CNN Encoder and RNN-LM", section 3.1: the first layers of VGG, then LSTM.
    Deviation: batch norm behind each convolution.

    Example:
        >>> import torch
        >>> encoder = CRNNEncoder(80, widths=(4, 8), hidden_dim=16)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist(), encoder.causal
        ((2, 25, 32), [25, 12], False)
    """

    def __init__(
        self,
        input_dim: int,
        widths: Sequence[int] = (32, 64),
        time_pools: Sequence[int] = (2, 2),
        frequency_pools: Sequence[int] = (2, 2),
        cell: str = "lstm",
        hidden_dim: int = 256,
        num_layers: int = 2,
        bidirectional: bool = True,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        if not widths or not len(widths) == len(time_pools) == len(frequency_pools):
            raise SeqlabError(
                f"{len(widths)} widths, {len(time_pools)} time_pools and "
                f"{len(frequency_pools)} frequency_pools must be one each for every block"
            )
        self.input_dim = input_dim
        self.causal = not bidirectional
        self.blocks = nn.ModuleList(
            ConvPoolBlock(dim, width, time_pool, frequency_pool, activation, self.causal)
            for dim, width, time_pool, frequency_pool in zip(
                (1, *widths[:-1]), widths, time_pools, frequency_pools, strict=True
            )
        )
        bins = self._bins()[-1]
        check_at_least(
            "bins left of input_dim", bins, 1, "raise input_dim or lower frequency_pools"
        )
        self.dropout = Dropout(dropout)
        self.recurrent = RecurrentEncoder(
            widths[-1] * bins, cell, hidden_dim, num_layers, bidirectional, dropout
        )
        self.output_dim = self.recurrent.output_dim

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        image = zero_padding(features, lengths).unsqueeze(-1)
        for block in self.blocks:
            image, lengths = block(image, lengths)
        return self.recurrent.forward(self.dropout(image.flatten(2)), lengths)

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded down."""
        for block in self._blocks():
            lengths = block.output_lengths(lengths)
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        blocks = zip(self._blocks(), self._bins(), strict=False)
        states = tuple(block.initial_state(batch_size, bins) for block, bins in blocks)
        return states, self.recurrent.initial_state(batch_size)

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        image, after = features.unsqueeze(-1), []
        for block, before in zip(self._blocks(), state[0], strict=True):
            image, kept = block.step(image, before)
            after.append(kept)
        encoded, hidden = self.recurrent.step(self.dropout(image.flatten(2)), state[1])
        return encoded, (tuple(after), hidden)

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """No frame (B, 0, D): what does not fill the pools is dropped."""
        if not self.causal:
            return super().flush(state)
        return self.recurrent.flush(state[1])

    def _blocks(self) -> list[ConvPoolBlock]:
        return [block for block in self.blocks if isinstance(block, ConvPoolBlock)]

    def _bins(self) -> list[int]:
        """Bins in front of each block, and behind the last one."""
        bins = [self.input_dim]
        for block in self._blocks():
            bins.append(block.output_bins(bins[-1]))
        return bins
