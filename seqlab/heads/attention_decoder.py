"""The Transformer as a decoder of texts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn

from seqlab.blocks.attention import sinusoidal_positions
from seqlab.blocks.decoder_layer import DecoderLayer, KeysValues
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.heads.attention_head import AttentionHead, log_softmax


@dataclass(frozen=True)
class TransformerState:
    """What N hypotheses of B utterances have behind them.

    Args:
        memory: Keys and values of the encoded frames, layer by layer, (B, H, T', D // H).
        visible: (B, 1, 1, T'), True on real frames.
        past: Keys and values of the tokens so far, layer by layer, (N, H, u, D // H).
    """

    memory: tuple[KeysValues, ...]
    visible: Tensor
    past: tuple[KeysValues, ...] | None = None


class TransformerDecoderHead(AttentionHead):
    """A Transformer decoder over the encoded frames, trained with cross-entropy.

    Use it, best beside CTC in a :class:`~seqlab.heads.joint.JointHead`, where there is enough
    data to learn from what follows what; a search goes through it with
    :class:`~seqlab.decoding.attention_beam.AttentionBeamDecoder`. It neither streams nor copes
    with recordings much longer than those it was trained on.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        hidden_dim: Width of the layers, even and divisible by ``num_heads``.
        num_layers: Layers, at least 1.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward parts; 0 means four times
            ``hidden_dim``.
        dropout: Probability in [0, 1) throughout the layers.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
        blank: Index of the blank token, in [0, num_classes): it begins and ends a text.
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens, the end included.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3; for speech Dong et al.
    2018, "Speech-Transformer". Deviation: the norms stand in front of the layers.

    Example:
        >>> import torch
        >>> head = TransformerDecoderHead(4, num_classes=3, hidden_dim=8, num_layers=1)
        >>> encoded, lengths = torch.zeros(1, 5, 4), torch.tensor([5])
        >>> head.loss(encoded, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).shape
        torch.Size([1])
        >>> state = head.initial_state(encoded, lengths)
        >>> log_probs, state = head.advance(state, torch.tensor([head.blank]))
        >>> log_probs.shape
        torch.Size([1, 3])
    """

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        hidden_dim: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        feedforward_dim: int = 0,
        dropout: float = 0.1,
        label_smoothing: float = 0.1,
        blank: int = 0,
        length_normalized: bool = False,
    ) -> None:
        super().__init__(input_dim, num_classes, label_smoothing, blank, length_normalized)
        check_at_least("hidden_dim", hidden_dim, 1)
        check_at_least("num_layers", num_layers, 1)
        if hidden_dim % 2:
            raise SeqlabError(f"hidden_dim={hidden_dim} must be even, for sines and cosines")
        self.hidden_dim = hidden_dim
        self.embedding = nn.Embedding(num_classes, hidden_dim)
        nn.init.normal_(self.embedding.weight, std=hidden_dim**-0.5)
        self.dropout = Dropout(dropout)
        inner = feedforward_dim or 4 * hidden_dim
        self.layers = nn.ModuleList(
            DecoderLayer(hidden_dim, input_dim, num_heads, inner, dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.linear = nn.Linear(hidden_dim, num_classes)

    def log_probs(self, encoded: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, U, C) of what follows each of ``tokens`` (B, U)."""
        memory, valid = self._memory(encoded, lengths)
        sequence = self._embedded(tokens, first=0)
        for layer in self.layers:
            sequence = layer(sequence, memory, valid[:, None, None, :])
        return log_softmax(self.linear(self.norm(sequence)))

    def initial_state(self, encoded: Tensor, lengths: Tensor) -> TransformerState:
        """State of one hypothesis an utterance; feed the blank first."""
        memory, valid = self._memory(encoded, lengths)
        layers = cast("Iterable[DecoderLayer]", self.layers)
        keys_values = tuple(layer.memory_attention.keys_values(memory) for layer in layers)
        return TransformerState(keys_values, valid[:, None, None, :])

    def advance(self, state: TransformerState, tokens: Tensor) -> tuple[Tensor, TransformerState]:
        """Log-probabilities (N, C) of what follows ``tokens`` (N,), and the state after them."""
        past = state.past or (None,) * len(self.layers)
        sequence = self._embedded(tokens[:, None], first=past[0][0].shape[2] if past[0] else 0)
        kept = []
        layers = cast("Iterable[DecoderLayer]", self.layers)
        for layer, memory, before in zip(layers, state.memory, past, strict=True):
            sequence, after = layer.step(sequence, before, memory, state.visible)
            kept.append(after)
        log_probs = log_softmax(self.linear(self.norm(sequence[:, 0])))
        return log_probs, replace(state, past=tuple(kept))

    def select(self, state: TransformerState, rows: Tensor) -> TransformerState:
        """State of the hypotheses ``rows`` (N',); as many for each utterance, in their order."""
        if state.past is None:
            raise SeqlabError("nothing has been fed to the state yet; advance it by the blank")
        return replace(state, past=tuple((keys[rows], values[rows]) for keys, values in state.past))

    def _embedded(self, tokens: Tensor, first: int) -> Tensor:
        embedded = self.embedding(tokens) * math.sqrt(self.hidden_dim)
        positions = sinusoidal_positions(first + tokens.shape[1], self.hidden_dim, embedded)
        output: Tensor = self.dropout(embedded + positions[first:])
        return output
