"""The layer of a Transformer decoder: over a whole text at once, or one token at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError

KeysValues = tuple[Tensor, Tensor]  # each (rows, heads, frames or tokens, width of a head)


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart, so that they can be kept.

    Args:
        dim: Width D of queries and output, divisible by ``num_heads``.
        memory_dim: Width of what is attended to.
        num_heads: Heads, at least 1.
        dropout: Probability in [0, 1) on the attention weights.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.2.
    """

    def __init__(self, dim: int, memory_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_at_least("num_heads", num_heads, 1)
        if dim % num_heads:
            raise SeqlabError(f"hidden_dim={dim} must be divisible by num_heads={num_heads}")
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(memory_dim, 2 * dim)
        self.output = nn.Linear(dim, dim)

    def keys_values(self, memory: Tensor) -> KeysValues:
        """Keys and values (B, H, T, D // H) of memory (B, T, M)."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(
        self,
        sequence: Tensor,
        keys_values: KeysValues,
        visible: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Sequence (B, U, D) after attending, each position to what is ``visible`` (B, 1, 1, T).

        Args:
            sequence: (B, U, D).
            keys_values: From ``keys_values``.
            visible: Mask, True where a query may look; None: everywhere.
            causal: Whether position u sees the keys 0 to u alone.
        """
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(sequence)),
            *keys_values,
            attn_mask=visible,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output

    def _split(self, sequence: Tensor) -> Tensor:
        return sequence.reshape(*sequence.shape[:-1], self.num_heads, -1).transpose(1, 2)


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, attention to the encoded frames, and feed-forward part.

    Args:
        dim: Width D, divisible by ``num_heads``.
        memory_dim: Width M of an encoded frame.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward part, at least 1.
        dropout: Probability in [0, 1), on attention weights, hidden units and all outputs.

    Source: Vaswani et al. 2017, section 3.1, with the norms in front: Xiong et al. 2020, "On
    Layer Normalization in the Transformer Architecture", table 1 (right).
    """

    def __init__(
        self, dim: int, memory_dim: int, num_heads: int, feedforward_dim: int, dropout: float
    ) -> None:
        super().__init__()
        check_at_least("feedforward_dim", feedforward_dim, 1)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, dim, num_heads, dropout)
        self.memory_norm = nn.LayerNorm(dim)
        self.memory_attention = Attention(dim, memory_dim, num_heads, dropout)
        self.feedforward_norm = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            make_activation("relu"),
            Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.dropout = Dropout(dropout)

    def forward(self, sequence: Tensor, memory: Tensor, visible: Tensor) -> Tensor:
        """Sequence (B, U, D) of a whole text, memory (B, T', M), visible (B, 1, 1, T')."""
        normed = self.attention_norm(sequence)
        attended = self.attention(normed, self.attention.keys_values(normed), causal=True)
        sequence = sequence + self.dropout(attended)
        return self._rest(sequence, self.memory_attention.keys_values(memory), visible)

    def step(
        self, token: Tensor, past: KeysValues | None, memory: KeysValues, visible: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """One more token of each of N hypotheses, as many for each of B utterances.

        Args:
            token: (N, 1, D); the hypotheses of one utterance stand together.
            past: Keys and values of the tokens before; None before the first.
            memory: Keys and values of the encoded frames (B, H, T', D // H).
            visible: (B, 1, 1, T').

        Returns:
            (N, 1, D), and keys and values with those of this token.
        """
        normed = self.attention_norm(token)
        keys, values = self.attention.keys_values(normed)
        if past is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        token = token + self.dropout(self.attention(normed, (keys, values)))
        # Within an utterance the hypotheses are queries of one and the same memory.
        grouped = token.view(len(visible), -1, token.shape[-1])
        return self._rest(grouped, memory, visible).view(token.shape), (keys, values)

    def _rest(self, sequence: Tensor, memory: KeysValues, visible: Tensor) -> Tensor:
        attended = self.memory_attention(self.memory_norm(sequence), memory, visible)
        sequence = sequence + self.dropout(attended)
        output: Tensor = sequence + self.dropout(self.feedforward(self.feedforward_norm(sequence)))
        return output
