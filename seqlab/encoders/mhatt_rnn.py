"""Convolutions along time in each bin, then a recurrent network, for multi-head attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.checks import check_sequence
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.blocks.streaming import chain_state, chain_step, full_lengths
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.lengths import Length, zero_padding


class MHAttRNNEncoder(Encoder):
    """Two convolutions along time that all bins share, then GRU or LSTM layers both ways.

    Use it for keywords with ``pooling: multihead`` in the classifier, which together are
    MHAtt-RNN; 20 features and 12 classes make the published 743 thousand parameters.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Units of a recurrent layer and direction, at least 1.
        num_layers: Recurrent layers, at least 1.
        cell: "gru", "lstm" or "rnn" (Elman, tanh).
        filters: Channels between the two convolutions, at least 1.
        kernel_size: Frames under their kernels, odd.
        dropout: Probability in [0, 1) between recurrent layers.
        activation: Name of an activation, of the convolutions.
        causal: Whether kernels and recurrence look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Rybakov et al. 2020, "Streaming keyword spotting on mobile devices", section 3.6, its
    convolutions and recurrent layers. Deviation: frames are kept at both ends, where zeros are
    convolved with.

    Example:
        >>> import torch
        >>> encoder = MHAttRNNEncoder(20, hidden_dim=16)
        >>> encoded, lengths = encoder(torch.zeros(2, 49, 20), torch.tensor([49, 25]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 49, 32), [49, 25])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 128,
        num_layers: int = 2,
        cell: str = "gru",
        filters: int = 10,
        kernel_size: int = 5,
        dropout: float = 0.0,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("filters", filters, 1)
        self.input_dim = input_dim
        self.causal = causal
        self.convolutions = nn.ModuleList(
            _ActivatedConv(dim, width, kernel_size, activation, causal)
            for dim, width in ((1, filters), (filters, 1))
        )
        self.recurrent = RecurrentEncoder(
            input_dim, cell, hidden_dim, num_layers, not causal, dropout
        )
        self.output_dim = self.recurrent.output_dim

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T, D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        bins = _apart(zero_padding(features, lengths))
        counts = lengths.repeat_interleave(self.input_dim)
        for layer in self.convolutions:
            bins = layer(bins, counts)
        return self.recurrent.forward(self._together(bins), lengths)

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): as many."""
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        """State of ``batch_size`` streams before their first frame; causal encoders only."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        check_at_least("batch_size", batch_size, 1)
        convolutions = chain_state(self._convolutions(), batch_size * self.input_dim)
        return convolutions, self.recurrent.initial_state(batch_size)

    def step(
        self, features: Tensor, state: tuple[Any, ...], between: Between | None = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Encoded (B, T, D) of the next features (B, T, F), and the new state."""
        if not self.causal:
            return super().step(features, state)
        bins, convolutions = chain_step(self._convolutions(), _apart(features), state[0])
        encoded, recurrent = self.recurrent.step(self._together(bins), state[1])
        return encoded, (convolutions, recurrent)

    def flush(self, state: tuple[Any, ...], between: Between | None = None) -> Tensor:
        """No frame (B, 0, D): every frame is encoded at once."""
        if not self.causal:
            return super().flush(state)
        return self.recurrent.flush(state[1])

    def _together(self, bins: Tensor) -> Tensor:
        """Bins apart (B * F, T, 1) as frames again (B, T, F)."""
        batch_size, frames = bins.shape[0] // self.input_dim, bins.shape[1]
        return bins.reshape(batch_size, self.input_dim, frames).transpose(1, 2)

    def _convolutions(self) -> list[_ActivatedConv]:
        return [layer for layer in self.convolutions if isinstance(layer, _ActivatedConv)]


def _apart(features: Tensor) -> Tensor:
    """Each bin as a sequence of its own: features (B, T, F) to (B * F, T, 1)."""
    batch_size, frames, bins = features.shape
    return features.transpose(1, 2).reshape(batch_size * bins, frames, 1)


class _ActivatedConv(nn.Module):
    """A convolution over frames, activation, and batch norm behind it; padding stays zero."""

    def __init__(
        self, input_dim: int, output_dim: int, kernel_size: int, activation: str, causal: bool
    ) -> None:
        super().__init__()
        kind = CausalConv if causal else FrameConv
        self.convolution = kind(input_dim, output_dim, kernel_size)
        self.activation = make_activation(activation)
        self.norm = MaskedBatchNorm(output_dim)

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        return self._behind(self.convolution(sequence), lengths)

    def initial_state(self, batch_size: int = 1) -> Tensor:
        return self._causal().initial_state(batch_size)

    def step(self, sequence: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        sequence, state = self._causal().step(sequence, state)
        return self._behind(sequence, full_lengths(sequence)), state

    def flush(self, state: Tensor) -> Tensor:
        return self._causal().flush(state)  # none: the stride is 1

    def _behind(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor = self.norm(self.activation(sequence), lengths)
        return output

    def _causal(self) -> CausalConv:
        assert isinstance(self.convolution, CausalConv), "callers stream causal layers only"
        return self.convolution
