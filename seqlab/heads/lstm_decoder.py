"""An LSTM with attention as a decoder of texts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seqlab.blocks.dropout import Dropout
from seqlab.blocks.frame_attention import DotAttention, LocationAttention
from seqlab.checks import check_at_least, check_choice
from seqlab.heads.attention_head import AttentionHead, log_softmax

ATTENTIONS = ("location", "dot")


@dataclass(frozen=True)
class LSTMState:
    """What N hypotheses of B utterances have behind them.

    Args:
        frames: Encoded frames (B, T', D).
        keys: What attention compares them by, (B, T', A).
        valid: (B, T'), True on real frames.
        hidden: (layers, N, H).
        cell: (layers, N, H).
        context: What attention last gave, (N, D).
        weights: Where it looked, (N, T').
    """

    frames: Tensor
    keys: Tensor
    valid: Tensor
    hidden: Tensor
    cell: Tensor
    context: Tensor
    weights: Tensor


class LSTMDecoderHead(AttentionHead):
    """LSTM layers that look at the encoded frames before each token; trained by cross-entropy.

    Use it where a Transformer decoder has too little data, or recordings are long: location-aware
    attention knows where it looked last, and so moves on. Training takes one step after another.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        hidden_dim: Width of embedding, LSTM layers and attention, at least 1.
        num_layers: LSTM layers, at least 1.
        attention: "location" (content and the last weights) or "dot" (content alone).
        dropout: Probability in [0, 1) on embedding and output.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
        blank: Index of the blank token, in [0, num_classes): it begins and ends a text.
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens, the end included.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Chan et al. 2016, "Listen, Attend and Spell", equations 6 to 8; location-aware
    attention by Chorowski et al. 2015, "Attention-Based Models for Speech Recognition",
    equations 8 and 9, which starts from even weights here.

    Example:
        >>> head = LSTMDecoderHead(4, num_classes=3, hidden_dim=8)
        >>> encoded, lengths = torch.zeros(1, 5, 4), torch.tensor([5])
        >>> head.loss(encoded, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).shape
        torch.Size([1])
    """

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        hidden_dim: int = 256,
        num_layers: int = 1,
        attention: str = "location",
        dropout: float = 0.1,
        label_smoothing: float = 0.1,
        blank: int = 0,
        length_normalized: bool = False,
    ) -> None:
        super().__init__(input_dim, num_classes, label_smoothing, blank, length_normalized)
        check_at_least("hidden_dim", hidden_dim, 1)
        check_at_least("num_layers", num_layers, 1)
        check_choice("attention", attention, ATTENTIONS)
        self.hidden_dim = hidden_dim
        self.embedding = nn.Embedding(num_classes, hidden_dim)
        self.dropout = Dropout(dropout)
        widths = [hidden_dim + input_dim] + [hidden_dim] * (num_layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(width, hidden_dim) for width in widths)
        kind = LocationAttention if attention == "location" else DotAttention
        self.attention = kind(hidden_dim, input_dim, hidden_dim)
        self.linear = nn.Linear(hidden_dim + input_dim, num_classes)

    def log_probs(self, encoded: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, U, C) of what follows each of ``tokens`` (B, U)."""
        state = self.initial_state(encoded, lengths)
        outputs = []
        for embedded in self.dropout(self.embedding(tokens)).unbind(1):
            output, state = self._step(state, embedded)
            outputs.append(output)
        return log_softmax(self.linear(self.dropout(torch.stack(outputs, dim=1))))

    def initial_state(self, encoded: Tensor, lengths: Tensor) -> LSTMState:
        """State of one hypothesis an utterance; feed the blank first."""
        frames, valid = self._memory(encoded, lengths)
        zeros = frames.new_zeros(len(self.cells), len(frames), self.hidden_dim)
        weights = valid / valid.sum(1, keepdim=True).to(frames.dtype)
        keys = self.attention.keys(frames)
        context = frames.new_zeros(len(frames), self.input_dim)
        return LSTMState(frames, keys, valid, zeros, zeros, context, weights)

    def advance(self, state: LSTMState, tokens: Tensor) -> tuple[Tensor, LSTMState]:
        """Log-probabilities (N, C) of what follows ``tokens`` (N,), and the state after them."""
        output, state = self._step(state, self.dropout(self.embedding(tokens)))
        return log_softmax(self.linear(self.dropout(output))), state

    def select(self, state: LSTMState, rows: Tensor) -> LSTMState:
        """State of the hypotheses ``rows`` (N',); as many for each utterance, in their order."""
        return replace(
            state,
            hidden=state.hidden[:, rows],
            cell=state.cell[:, rows],
            context=state.context[rows],
            weights=state.weights[rows],
        )

    def _step(self, state: LSTMState, embedded: Tensor) -> tuple[Tensor, LSTMState]:
        """Output (N, H + D) after one more embedded token (N, H) each, and the new state."""
        value = torch.cat([embedded, state.context], dim=-1)
        hidden, cell = [], []
        for layer, (h, c) in zip(
            self.cells, zip(state.hidden, state.cell, strict=True), strict=True
        ):
            value, kept = layer(value, (h, c))
            hidden.append(value)
            cell.append(kept)
        weights = self.attention(value, state.keys, state.weights, state.valid)
        grouped = weights.view(len(state.frames), -1, weights.shape[-1])
        context = (grouped @ state.frames).flatten(0, 1)
        output = torch.cat([value, context], dim=-1)
        after = replace(
            state,
            hidden=torch.stack(hidden),
            cell=torch.stack(cell),
            context=context,
            weights=weights,
        )
        return output, after
