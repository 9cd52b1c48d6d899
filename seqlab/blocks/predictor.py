"""Predictors of a transducer: what a text so far says of its next token, sound aside."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least

PredictorState = tuple[Tensor, ...]  # each (N, ...), one row a hypothesis


class Predictor(nn.Module):
    """What the predictors share; see :class:`StatelessPredictor` and :class:`LSTMPredictor`.

    Args:
        num_classes: Tokens, the blank included.
        dim: Width J of the output, at least 1.
        blank: Class that stands before the first token.
        dropout: Probability in [0, 1) on the embedded tokens.
    """

    def __init__(self, num_classes: int, dim: int, blank: int, dropout: float) -> None:
        super().__init__()
        check_at_least("hidden_dim", dim, 1)
        self.dim = dim
        self.blank = blank
        self.embedding = nn.Embedding(num_classes, dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs (B, U + 1, J) after the first 0, 1, ..., U of ``tokens`` (B, U)."""
        raise NotImplementedError

    def initial_state(self, count: int) -> PredictorState:
        """State of ``count`` hypotheses to which nothing has been fed; feed the blank first."""
        raise NotImplementedError

    def step(self, tokens: Tensor, state: PredictorState) -> tuple[Tensor, PredictorState]:
        """Output (N, J) after ``tokens`` (N,), and the state after them."""
        raise NotImplementedError


class StatelessPredictor(Predictor):
    """Looks at the last few tokens only: an embedding, a convolution and a ReLU.

    Use it as a rule: it is as good as an LSTM, and hypotheses that end alike share their state.

    Args:
        num_classes: Tokens, the blank included.
        dim: Width J of the output, at least 1.
        blank: Class that stands before the first token.
        dropout: Probability in [0, 1) on the embedded tokens.
        context: Tokens it looks at, at least 1.

    Source: Ghodsi et al. 2020, "RNN-Transducer with Stateless Prediction Network", section 2.
    """

    def __init__(
        self, num_classes: int, dim: int, blank: int, dropout: float, context: int
    ) -> None:
        super().__init__(num_classes, dim, blank, dropout)
        check_at_least("context", context, 1)
        self.context = context
        self.convolution = nn.Conv1d(dim, dim, context)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs (B, U + 1, J) after the first 0, 1, ..., U of ``tokens`` (B, U)."""
        return self._outputs(functional.pad(tokens, (self.context, 0), value=self.blank))

    def initial_state(self, count: int) -> PredictorState:
        """State of ``count`` hypotheses to which nothing has been fed: blanks, (N, context)."""
        weight = self.embedding.weight
        return (torch.full((count, self.context), self.blank, device=weight.device),)

    def step(self, tokens: Tensor, state: PredictorState) -> tuple[Tensor, PredictorState]:
        """Output (N, J) after ``tokens`` (N,), and the last tokens (N, context)."""
        last = torch.cat([state[0][:, 1:], tokens[:, None]], dim=1)
        return self._outputs(last)[:, 0], (last,)

    def _outputs(self, tokens: Tensor) -> Tensor:
        embedded = self.dropout(self.embedding(tokens))
        return functional.relu(self.convolution(embedded.transpose(1, 2))).transpose(1, 2)


class LSTMPredictor(Predictor):
    """Looks at the whole text so far: an embedding and LSTM layers.

    Args:
        num_classes: Tokens, the blank included.
        dim: Width J of embedding, layers and output, at least 1.
        blank: Class that stands before the first token.
        dropout: Probability in [0, 1) on the embedded tokens.
        num_layers: At least 1.

    Source: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", section 2.1;
    deviation: the start has the blank's embedding instead of zeros.
    """

    def __init__(
        self, num_classes: int, dim: int, blank: int, dropout: float, num_layers: int
    ) -> None:
        super().__init__(num_classes, dim, blank, dropout)
        check_at_least("num_layers", num_layers, 1)
        self.lstm = nn.LSTM(dim, dim, num_layers, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs (B, U + 1, J) after the first 0, 1, ..., U of ``tokens`` (B, U)."""
        begun = functional.pad(tokens, (1, 0), value=self.blank)
        return self._recur(self.dropout(self.embedding(begun)))[0]

    def initial_state(self, count: int) -> PredictorState:
        """State of ``count`` hypotheses to which nothing has been fed: zeros, (N, layers, J)."""
        zeros = self.embedding.weight.new_zeros(count, self.lstm.num_layers, self.dim)
        return zeros, zeros

    def step(self, tokens: Tensor, state: PredictorState) -> tuple[Tensor, PredictorState]:
        """Output (N, J) after ``tokens`` (N,), and the state (N, layers, J) twice."""
        before = tuple(part.transpose(0, 1).contiguous() for part in state)
        embedded = self.dropout(self.embedding(tokens))[:, None]
        outputs, after = self._recur(embedded, before)
        return outputs[:, 0], tuple(part.transpose(0, 1) for part in after)

    def _recur(
        self, embedded: Tensor, state: PredictorState | None = None
    ) -> tuple[Tensor, PredictorState]:
        """The LSTM; on a CPU in its weights' precision, for few CPUs have a narrower one."""
        on_cpu = embedded.device.type == "cpu"
        with torch.autocast("cpu", enabled=False) if on_cpu else contextlib.nullcontext():
            outputs, after = self.lstm(embedded, state)
        return outputs, after
