"""Recurrent networks: Elman, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.recurrent import run_unpacked
from seqlab.checks import check_at_least, check_choice, check_probability
from seqlab.contracts import Between, Encoder
from seqlab.lengths import Length, conv_length, is_traced, zero_padding

_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentEncoder(Encoder):
    """Elman RNN, LSTM or GRU layers over stacked frames.

    Use it unidirectional for streaming, bidirectional where whole recordings are at hand.

    Args:
        input_dim: Features a frame, at least 1.
        cell: "lstm", "gru" or "rnn" (Elman, tanh).
        hidden_dim: Units of a layer and direction, at least 1.
        num_layers: Layers, at least 1.
        bidirectional: Whether a second direction reads from the end; then it is not causal.
        dropout: Probability in [0, 1) between layers.
        subsampling: Frames that are stacked into one input, at least 1; a rest that does not
            fill a stack is dropped. CTC trains several times faster with 3 or 4.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Elman 1990; Hochreiter and Schmidhuber 1997; Cho et al. 2014, as torch.nn.RNN, LSTM
    and GRU state their equations. Stacking: Sak et al. 2015, "Fast and Accurate Recurrent Neural
    Network Acoustic Models", section 4.

    Example:
        >>> encoder = RecurrentEncoder(80, hidden_dim=8, subsampling=4)
        >>> encoded, lengths = encoder(torch.zeros(2, 10, 80), torch.tensor([10, 7]))
        >>> tuple(encoded.shape), lengths.tolist(), encoder.causal
        ((2, 2, 8), [2, 1], True)
    """

    def __init__(
        self,
        input_dim: int,
        cell: str = "lstm",
        hidden_dim: int = 256,
        num_layers: int = 2,
        bidirectional: bool = False,
        dropout: float = 0.0,
        subsampling: int = 1,
    ) -> None:
        super().__init__()
        check_choice("cell", cell, _CELLS)
        for name, value in (
            ("input_dim", input_dim),
            ("hidden_dim", hidden_dim),
            ("num_layers", num_layers),
            ("subsampling", subsampling),
        ):
            check_at_least(name, value, 1)
        check_probability("dropout", dropout)
        self.input_dim = input_dim
        self.output_dim = hidden_dim * (2 if bidirectional else 1)
        self.causal = not bidirectional
        self.subsampling = subsampling
        self.layers = _CELLS[cell](
            input_dim * subsampling,
            hidden_dim,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        stacked = self._stack(zero_padding(features, lengths))
        lengths = self.output_lengths(lengths)
        batch_size, frames = stacked.shape[:2]
        if batch_size == 0 or frames == 0:
            return stacked.new_zeros(batch_size, frames, self.output_dim), lengths
        if is_traced(stacked):  # packing cannot be traced
            return run_unpacked(self.layers, stacked, lengths), lengths
        # Packing refuses empty sequences: those run over one frame, which is zeroed again.
        packed = pack_padded_sequence(
            stacked, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        encoded, _ = pad_packed_sequence(
            self.layers(packed)[0], batch_first=True, total_length=frames
        )
        return zero_padding(encoded, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): whole stacks."""
        return conv_length(lengths, self.subsampling, self.subsampling)

    def initial_state(self, batch_size: int = 1) -> tuple[Tensor, Any]:
        """State before the first frame: no waiting frames (B, 0, F), and zero hidden state."""
        if not self.causal:
            return super().initial_state(batch_size)  # type: ignore[no-any-return]
        check_at_least("batch_size", batch_size, 1)
        weight = self.layers.weight_ih_l0
        assert isinstance(weight, Tensor)
        hidden = weight.new_zeros(self.layers.num_layers, batch_size, self.output_dim)
        waiting = weight.new_zeros(batch_size, 0, self.input_dim)
        is_lstm = isinstance(self.layers, nn.LSTM)
        return waiting, (hidden, torch.zeros_like(hidden)) if is_lstm else hidden

    def step(
        self, features: Tensor, state: tuple[Tensor, Any], between: Between | None = None
    ) -> tuple[Tensor, Any]:
        """Encoded (B, T', D) that the next features (B, T, F) complete, and the new state."""
        if not self.causal:
            return super().step(features, state)
        waiting, hidden = state
        features = torch.cat([waiting, features], dim=1)
        stacked = self._stack(features)
        waiting = features[:, stacked.shape[1] * self.subsampling :]
        if stacked.shape[1] == 0:
            encoded = stacked.new_zeros(stacked.shape[0], 0, self.output_dim)
        else:
            encoded, hidden = self.layers(stacked, hidden)
        return encoded, (waiting, hidden)

    def flush(self, state: tuple[Tensor, Any], between: Between | None = None) -> Tensor:
        """No frame (B, 0, D): the end completes none, and a rest of a stack is dropped."""
        if not self.causal:
            return super().flush(state)
        waiting, _ = state
        return waiting.new_zeros(waiting.shape[0], 0, self.output_dim)

    def _stack(self, features: Tensor) -> Tensor:
        frames = self.output_lengths(features.shape[1])
        whole = features[:, : frames * self.subsampling]
        return whole.reshape(features.shape[0], frames, self.input_dim * self.subsampling)
