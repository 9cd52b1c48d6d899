"""The Transformer encoder."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.attention import TransformerLayer, rotary_positions, sinusoidal_positions
from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.checks import check_at_least, check_choice
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding

POSITIONS = ("rotary", "sinusoidal")


class TransformerEncoder(Encoder):
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

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3; pre-norm as in Xiong et
    al. 2020; rotary positions by Su et al. 2021, "RoFormer".

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
    ) -> None:
        super().__init__()
        check_choice("positions", positions, POSITIONS)
        for name, value in (
            ("input_dim", input_dim),
            ("hidden_dim", hidden_dim),
            ("num_layers", num_layers),
            ("num_heads", num_heads),
        ):
            check_at_least(name, value, 1)
        if hidden_dim % (2 * num_heads):
            raise SeqlabError(
                f"hidden_dim={hidden_dim} must be divisible by 2 * num_heads = {2 * num_heads}"
            )
        self.input_dim = input_dim
        self.output_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.positions = positions
        self.subsampling = ConvSubsampling(
            input_dim, hidden_dim, subsampling, activation=activation
        )
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(
                hidden_dim, num_heads, feedforward_dim or 4 * hidden_dim, dropout, activation
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        encoded, lengths = self.subsampling(features, lengths)
        frames = encoded.shape[1]
        rotary = None
        if self.positions == "rotary":
            rotary = rotary_positions(frames, self.output_dim // self.num_heads, encoded)
        else:
            encoded = encoded + sinusoidal_positions(frames, self.output_dim, encoded)
        encoded = self.dropout(encoded)
        for number, layer in enumerate(self.layers, start=1):
            encoded = layer(encoded, lengths, rotary)
            if between is not None:
                encoded = between(number, encoded, lengths)
        return zero_padding(self.norm(encoded), lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        return self.subsampling.output_lengths(lengths)
