"""The Transformer encoder."""

from __future__ import annotations

from torch import nn

from seqlab.blocks.attention import TransformerLayer
from seqlab.blocks.dropout import depth_probabilities
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.encoders.attention import AttentionEncoder, check_widths


class TransformerEncoder(AttentionEncoder):
    """Pre-norm self-attention layers after convolutional subsampling.

    Use it where data and compute are plenty, or with strong regularisation where they are not.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Width D of all layers, divisible by ``num_heads``, the quotient even.
        num_layers: Layers, at least 1.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward parts; 0 means four times
            ``hidden_dim``.
        subsampling: Frames in for one frame out: 1, 2, 4 or 8.
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

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3; pre-norm as in Xiong et
    al. 2020; rotary positions by Su et al. 2021, "RoFormer"; chunks and their training by Zhang
    et al. 2020, "Unified Streaming and Non-streaming Two-pass End-to-end Model".

    Example:
        >>> import torch
        >>> encoder = TransformerEncoder(80, hidden_dim=16, num_layers=1)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 26, 16), [26, 13])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 192,
        num_layers: int = 6,
        num_heads: int = 4,
        feedforward_dim: int = 0,
        subsampling: int = 4,
        dropout: float = 0.1,
        positions: str = "rotary",
        activation: str = "relu",
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
                TransformerLayer(hidden_dim, num_heads, feedforward_dim, dropout, activation, depth)
                for depth in depth_probabilities(stochastic_depth, num_layers)
            ],
            nn.LayerNorm(hidden_dim),
            hidden_dim // num_heads,
            dropout,
            positions,
            chunk_frames,
            left_chunks,
            dynamic_chunks,
        )
