"""The E-Branchformer encoder."""

from __future__ import annotations

from torch import nn

from seqlab.blocks.branchformer import EBranchformerLayer
from seqlab.blocks.dropout import depth_probabilities
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.encoders.attention import AttentionEncoder, check_widths


class EBranchformerEncoder(AttentionEncoder):
    """Attention and a convolutional MLP side by side in every layer.

    Use it where a Conformer trains unsteadily, or to compare with one: at equal size it costs
    about as much.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Width D of all layers, divisible by ``num_heads``, the quotient even.
        num_layers: Layers, at least 1.
        num_heads: Attention heads, at least 1.
        feedforward_dim: Hidden width of the feed-forward parts; 0 means twice ``hidden_dim``.
        gating_dim: Hidden units of the convolutional branch, even; 0 means four times
            ``hidden_dim``.
        kernel_size: Subsampled frames under the kernels of the convolutions, odd.
        subsampling: Frames in for one frame out: 1, 2, 4 or 8.
        dropout: Probability in [0, 1) throughout the layers.
        stochastic_depth: Probability in [0, 1) that an utterance skips a part of the last layer
            in training; it grows linearly from the first layer on.
        chunk_frames: Encoded frames in a chunk, for streaming; 0 for whole utterances.
        left_chunks: Chunks that a frame sees before its own; -1 for all.
        dynamic_chunks: Whether each training batch draws a chunk size, so that one model serves
            whole recordings and streams; ``chunk_frames`` may then be assigned at any time.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Kim et al. 2022, "E-Branchformer: Branchformer with Enhanced Merging for Speech
    Recognition", section 2. Deviations: rotary positions, 1-D subsampling and chunks as in
    `ConformerEncoder`. It stands here, and not a Zipformer, since Peng et al. 2023, "A Comparative
    Study on E-Branchformer vs Conformer", find it as good as a Conformer or better on almost all
    of 15 recognition tasks, large and small, and steadier in training, with an ordinary optimizer;
    Zipformer's results (Yao et al. 2023) are from large corpora, with an optimizer and activation
    constraints of its own.

    Example:
        >>> import torch
        >>> encoder = EBranchformerEncoder(80, hidden_dim=16, num_layers=1)
        >>> encoded, lengths = encoder(torch.zeros(2, 101, 80), torch.tensor([101, 50]))
        >>> tuple(encoded.shape), lengths.tolist(), encoder.causal
        ((2, 26, 16), [26, 13], False)
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 144,
        num_layers: int = 6,
        num_heads: int = 4,
        feedforward_dim: int = 0,
        gating_dim: int = 0,
        kernel_size: int = 15,
        subsampling: int = 4,
        dropout: float = 0.1,
        stochastic_depth: float = 0.0,
        chunk_frames: int = 0,
        left_chunks: int = -1,
        dynamic_chunks: bool = False,
    ) -> None:
        check_widths(hidden_dim, num_layers, num_heads, input_dim=input_dim)
        super().__init__(
            ConvSubsampling(input_dim, hidden_dim, subsampling),
            [
                EBranchformerLayer(
                    hidden_dim,
                    num_heads,
                    feedforward_dim or 2 * hidden_dim,
                    gating_dim or 4 * hidden_dim,
                    kernel_size,
                    dropout,
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
