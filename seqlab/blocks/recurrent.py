"""Recurrent layers without packed sequences, which no graph can hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlab.lengths import zero_padding


def run_unpacked(layers: nn.RNNBase, sequence: Tensor, lengths: Tensor) -> Tensor:
    """What the layers give for each utterance, as if it stood alone.

    Use it where torch records what happens, for which packed sequences are no tensors. The second
    direction reads each utterance turned round within its own length, so that padding comes last
    for both. Evaluation only: there is no dropout between layers.

    Args:
        layers: A batch-first RNN, LSTM or GRU with biases, in one or both directions.
        sequence: (B, T, C), T at least 1.
        lengths: Frames (B,).

    Returns:
        (B, T, D), padding zero.
    """
    lengths = lengths.to(sequence.device)
    position = torch.arange(sequence.shape[1], device=sequence.device)
    turned = torch.where(
        position < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - position, position
    ).unsqueeze(-1)
    weights = layers.all_weights
    for layer in range(layers.num_layers):
        if layers.bidirectional:
            ahead, back = weights[2 * layer : 2 * layer + 2]
            seen = sequence.gather(1, turned.expand(-1, -1, sequence.shape[2]))
            behind = _run(layers, seen, back)
            behind = behind.gather(1, turned.expand(-1, -1, behind.shape[2]))
            sequence = torch.cat([_run(layers, sequence, ahead), behind], dim=-1)
        else:
            sequence = _run(layers, sequence, weights[layer])
    return zero_padding(sequence, lengths)


def _run(layers: nn.RNNBase, sequence: Tensor, weights: Any) -> Tensor:
    """One layer in one direction."""
    state = sequence.new_zeros(1, sequence.shape[0], layers.hidden_size)
    settings = (list(weights), True, 1, 0.0, False, False, True)
    if isinstance(layers, nn.LSTM):
        return torch.lstm(sequence, (state, state), *settings)[0]
    function = torch.gru if isinstance(layers, nn.GRU) else torch.rnn_tanh
    return function(sequence, state, *settings)[0]
