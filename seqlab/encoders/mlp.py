"""A multilayer perceptron over windows of frames: the baseline."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.convolution import MaskedActivation
from seqlab.blocks.frames import FrameConv
from seqlab.checks import check_at_least
from seqlab.contracts import Between, Encoder
from seqlab.lengths import Length, zero_padding


class MLPEncoder(Encoder):
    """Fully connected layers that see each frame with its neighbours.

    Use it as the baseline that any other encoder has to beat.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Units of every layer, at least 1.
        num_layers: Layers, at least 1.
        context: Frames seen on either side, at least 0; beyond the ends they are zero.
        subsampling: Frames from one window to the next, at least 1.
        dropout: Probability in [0, 1) after every activation.
        activation: Name of an activation.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Hinton et al. 2012, "Deep Neural Networks for Acoustic Modeling in Speech
    Recognition", section on the interface with an HMM (windows of frames).

    Example:
        >>> import torch
        >>> encoder = MLPEncoder(80, hidden_dim=16)
        >>> encoded, lengths = encoder(torch.zeros(2, 9, 80), torch.tensor([9, 4]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 9, 16), [9, 4])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 256,
        num_layers: int = 2,
        context: int = 5,
        subsampling: int = 1,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        check_at_least("num_layers", num_layers, 1)
        check_at_least("context", context, 0)
        self.input_dim = input_dim
        self.output_dim = hidden_dim
        self.num_layers = num_layers
        self.window = FrameConv(input_dim, hidden_dim, 2 * context + 1, subsampling)
        self.layers = nn.ModuleList(
            FrameConv(hidden_dim, hidden_dim) for _ in range(num_layers - 1)
        )
        self.activation = MaskedActivation(activation, dropout)

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        encoded = self.window(zero_padding(features, lengths))
        lengths = self.output_lengths(lengths)
        encoded = self.activation(encoded, lengths)
        for number, layer in enumerate(self.layers, start=1):
            if between is not None:
                encoded = between(number, encoded, lengths)
            encoded = self.activation(layer(encoded), lengths)
        if between is not None:
            encoded = between(self.num_layers, encoded, lengths)
        return zero_padding(encoded, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        return self.window.output_lengths(lengths)
