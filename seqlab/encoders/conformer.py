"""The Conformer encoder."""

from __future__ import annotations

from torch import nn

from seqlab.blocks.conformer import ConformerLayer
from seqlab.blocks.dropout import depth_probabilities
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.encoders.attention import AttentionEncoder, check_widths


class ConformerEncoder(AttentionEncoder):
    """Attention for what is far, convolution for what is near, in every layer.

    Use it as the first choice for speech recognition: of whole recordings, and, with chunks, of
    live streams. The defaults have about three million parameters, for few hours of speech.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Width D of all layers, divisible by ``num_heads``, the quotient even.
        num_layers: Layers, at least 1.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward parts; 0 means four times
            ``hidden_dim``.
        kernel_size: Subsampled frames under the kernel of the convolutions, odd.
        subsampling: Frames in for one frame out: 1, 2, 4 or 8.
        dropout: Probability in [0, 1) throughout the layers.
        convolution_norm: Norm inside the convolution module: "batch", or "layer" for batches of
            a few utterances.
        stochastic_depth: Probability in [0, 1) that an utterance skips a part of the last layer
            in training; it grows linearly from the first layer on.
        chunk_frames: Encoded frames in a chunk, for streaming; 0 for whole utterances.
        left_chunks: Chunks that a frame sees before its own; -1 for all.
        dynamic_chunks: Whether each training batch draws a chunk size, so that one model serves
            whole recordings and streams; ``chunk_frames`` may then be assigned at any time.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech
    Recognition", section 2. Deviations: rotary positions (Su et al. 2021, "RoFormer") in place of
    Transformer-XL's, relative as well, but linear in the frames and open to fused attention; the
    comparison of Zhang et al. 2025, "Benchmarking Rotary Position Embeddings for Automatic Speech
    Recognition", finds error rates as low or lower and training up to 21 % shorter. 1-D
    subsampling. Chunks and their training: Zhang et al. 2020, "Unified Streaming and
    Non-streaming Two-pass End-to-end Model"; convolutions within chunks: Li et al. 2023, "Dynamic
    Chunk Convolution".

    Example:
        >>> import torch
        >>> encoder = ConformerEncoder(80, hidden_dim=16, num_layers=1)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist(), encoder.causal
        ((2, 26, 16), [26, 13], False)
        >>> encoder.chunk_frames = 8
        >>> encoded, state = encoder.step(torch.zeros(1, 70, 80), encoder.initial_state())
        >>> encoded.shape[1], encoder.flush(state).shape[1]
        (16, 2)
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 144,
        num_layers: int = 6,
        num_heads: int = 4,
        feedforward_dim: int = 0,
        kernel_size: int = 15,
        subsampling: int = 4,
        dropout: float = 0.1,
        convolution_norm: str = "batch",
        stochastic_depth: float = 0.0,
        chunk_frames: int = 0,
        left_chunks: int = -1,
        dynamic_chunks: bool = False,
    ) -> None:
        check_widths(hidden_dim, num_layers, num_heads, input_dim=input_dim)
        super().__init__(
            ConvSubsampling(input_dim, hidden_dim, subsampling),
            [
                ConformerLayer(
                    hidden_dim,
                    num_heads,
                    feedforward_dim or 4 * hidden_dim,
                    kernel_size,
                    dropout,
                    convolution_norm,
                    depth,
                )
                for depth in depth_probabilities(stochastic_depth, num_layers)
            ],
            nn.Identity(),  # every layer ends in a norm
            hidden_dim // num_heads,
            dropout,
            "rotary",
            chunk_frames,
            left_chunks,
            dynamic_chunks,
        )
