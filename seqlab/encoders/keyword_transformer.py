"""The Keyword Transformer."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.activation import activation as make_activation
from seqlab.blocks.attention import AttentionLayer, Cache, SelfAttention
from seqlab.blocks.chunks import View
from seqlab.blocks.dropout import Dropout, StochasticDepth, depth_probabilities
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.encoders.attention import AttentionEncoder, check_widths


class KeywordTransformerEncoder(AttentionEncoder):
    """Post-norm self-attention over single frames, twelve layers of heads 64 wide.

    Use it for keywords with plenty of training data or a teacher, and ``pooling: attention`` in
    the classifier. The default is KWT-1; ``hidden_dim=128, num_heads=2`` make KWT-2, 192 and 3
    KWT-3.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Width D of all layers, divisible by ``num_heads``, the quotient even.
        num_layers: Layers, at least 1.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward parts; 0 means four times
            ``hidden_dim``.
        subsampling: Frames in for one frame out: 1, 2, 4 or 8; above 1 by convolutions.
        dropout: Probability in [0, 1) throughout the layers.
        positions: "rotary" (relative, inside the attention) or "sinusoidal" (added once).
        activation: Name of an activation.
        stochastic_depth: Probability in [0, 1) that an utterance skips a part of the last layer
            in training; it grows linearly from the first layer on.
        chunk_frames: Encoded frames in a chunk, for streaming; 0 for whole utterances.
        left_chunks: Chunks that a frame sees before its own; -1 for all.
        dynamic_chunks: Whether each training batch draws a chunk size, so that one model serves
            whole recordings and streams; ``chunk_frames`` may then be assigned at any time.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Berg et al. 2021, "Keyword Transformer: A Self-Attention Model for Keyword Spotting",
    section 3 and table 1. Deviations: there is no class token; the frames are the result, and a
    head with attention pooling weighs them by a learned query as the token does. Positions are
    relative or sinusoidal instead of a learned table of 98, for utterances of any length.
    Queries, keys and values have a bias.

    Example:
        >>> import torch
        >>> encoder = KeywordTransformerEncoder(40, num_layers=2)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 40), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 98, 64), [98, 50])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 64,
        num_layers: int = 12,
        num_heads: int = 1,
        feedforward_dim: int = 0,
        subsampling: int = 1,
        dropout: float = 0.0,
        positions: str = "rotary",
        activation: str = "gelu",
        stochastic_depth: float = 0.0,
        chunk_frames: int = 0,
        left_chunks: int = -1,
        dynamic_chunks: bool = False,
    ) -> None:
        check_widths(hidden_dim, num_layers, num_heads, input_dim=input_dim)
        feedforward_dim = feedforward_dim or 4 * hidden_dim
        super().__init__(
            ConvSubsampling(input_dim, hidden_dim, subsampling, activation=activation),
            [
                _PostNormLayer(hidden_dim, num_heads, feedforward_dim, dropout, activation, depth)
                for depth in depth_probabilities(stochastic_depth, num_layers)
            ],
            nn.Identity(),
            hidden_dim // num_heads,
            dropout,
            positions,
            chunk_frames,
            left_chunks,
            dynamic_chunks,
        )


class _PostNormLayer(AttentionLayer):
    """Self-attention and feed-forward layer, each with a connection around it and then a norm.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        dropout: float,
        activation: str,
        stochastic_depth: float,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, num_heads, dropout)
        self.attention_norm = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            make_activation(activation),
            Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.feedforward_norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        self.depth = StochasticDepth(stochastic_depth)

    def forward(self, sequence: Tensor, view: View, past: Cache = ()) -> tuple[Tensor, Cache]:
        attended, kept = self.attention.attend(sequence, view, past)
        sequence = self.attention_norm(sequence + self.depth(self.dropout(attended)))
        fed = self.feedforward(sequence)
        return self.feedforward_norm(sequence + self.depth(self.dropout(fed))), kept

    def initial_cache(self, batch_size: int = 1) -> Cache:
        return self.attention.initial_cache(batch_size)
