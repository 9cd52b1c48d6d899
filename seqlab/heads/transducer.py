"""Transducers: CTC's frames, with an eye on the text so far."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.predictor import LSTMPredictor, Predictor, PredictorState, StatelessPredictor
from seqlab.contracts import Head
from seqlab.heads.attention_head import log_softmax
from seqlab.heads.targets import check_classes, checked_targets
from seqlab.heads.transducer_loss import transducer_loss
from seqlab.lengths import zero_padding

_JOINT_ELEMENTS = 2**23  # of the joiner's output that are held at a time


@dataclass(frozen=True)
class TransducerState:
    """Where N hypotheses of B utterances are.

    Args:
        frames: Encoded frames as the joiner takes them, (B, T', J).
        frame: Index (N,) of the frame each hypothesis is at; -1 before the first.
        predicted: What the predictor said last, as the joiner takes it, (N, J).
        predictor: The predictor's own state.
    """

    frames: Tensor
    frame: Tensor
    predicted: Tensor
    predictor: PredictorState


class Transducer(Head):
    """What all transducers share: the joiner, the loss, and one step of a search.

    The joiner's output has the shape (B, T', U + 1, C): for 16 utterances of 10 s at 25 frames a
    second with 50 tokens out of 500 it takes 400 MB, and as much again for its gradient. The loss
    keeps 32 MB of it at a time, and computes the rest once more for the gradient.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        predictor: Its width J is the joiner's.
        dropout: Probability in [0, 1) on the joiner's hidden layer.
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens (at least 1).
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "tokens"
    frame_synchronous: ClassVar[bool] = True

    @abc.abstractmethod
    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        predictor: Callable[[], Predictor],
        dropout: float,
        blank: int,
        length_normalized: bool,
    ) -> None:
        super().__init__()
        check_classes(input_dim, num_classes, blank)
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.blank = blank
        self.length_normalized = length_normalized
        self.predictor = predictor()
        self.encoded_layer = nn.Linear(input_dim, self.predictor.dim)
        self.predicted_layer = nn.Linear(self.predictor.dim, self.predictor.dim, bias=False)
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(self.predictor.dim, num_classes)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Encoded (B, T', D) as it came: what a decoder searches through."""
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        return encoded

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Negative log-likelihood of each utterance (B,), in nats.

        Args:
            encoded: Encoded frames (B, T', D).
            lengths: Their lengths (B,). Without a frame the loss of a text is infinite.
            targets: Tokens (B, U), none of them the blank; what lies beyond
                ``target_lengths`` is ignored.
            target_lengths: Their lengths (B,).

        Raises:
            SeqlabError: If a shape does not fit, or a target is the blank or no class.
        """
        targets = checked_targets(targets, target_lengths, self.num_classes, self.blank, self.blank)
        frames = self._frames(encoded, lengths)
        predicted = self.predicted_layer(self.predictor(targets))
        blank, label = self._along(frames, predicted, targets)
        losses = transducer_loss(blank, label, lengths, target_lengths)
        return losses / target_lengths.clamp(min=1) if self.length_normalized else losses

    def score(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Log-probability (B,) of each text; arguments as in ``loss``."""
        losses = self.loss(encoded, lengths, targets, target_lengths)
        return -losses * target_lengths.clamp(min=1) if self.length_normalized else -losses

    def initial_state(self, encoded: Tensor, lengths: Tensor) -> TransducerState:
        """State of one hypothesis an utterance, before its first frame; feed the blank first."""
        frames = self._frames(encoded, lengths)
        count = len(frames)
        blanks = torch.full((count,), self.blank, device=frames.device)
        predicted, state = self.predictor.step(blanks, self.predictor.initial_state(count))
        return TransducerState(frames, blanks * 0 - 1, self.predicted_layer(predicted), state)

    def advance(self, state: TransducerState, tokens: Tensor) -> tuple[Tensor, TransducerState]:
        """Log-probabilities (N, C) of what follows ``tokens`` (N,), and the state after them.

        A blank moves a hypothesis to its next frame. Beyond the last frame of the batch the
        result is undefined.
        """
        moved = tokens == self.blank
        predicted, kept = self.predictor.step(tokens, state.predictor)
        predicted = torch.where(moved[:, None], state.predicted, self.predicted_layer(predicted))
        kept = tuple(
            torch.where(moved.view(-1, *[1] * (new.dim() - 1)), old, new)
            for old, new in zip(state.predictor, kept, strict=True)
        )
        frame = state.frame + moved
        each = len(tokens) // max(1, len(state.frames))
        rows = torch.arange(len(tokens), device=tokens.device) // max(1, each)
        here = state.frames[rows, frame.clamp(0, state.frames.shape[1] - 1)]
        log_probs = log_softmax(self._joint(here, predicted))
        return log_probs, TransducerState(state.frames, frame, predicted, kept)

    def select(self, state: TransducerState, rows: Tensor) -> TransducerState:
        """State of the hypotheses ``rows`` (N',); as many for each utterance, in their order."""
        return replace(
            state,
            frame=state.frame[rows],
            predicted=state.predicted[rows],
            predictor=tuple(part[rows] for part in state.predictor),
        )

    def _frames(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Encoded frames (B, T', J) as the joiner takes them, at least one."""
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        encoded = zero_padding(encoded, lengths)
        if encoded.shape[1] == 0:
            encoded = functional.pad(encoded, (0, 0, 0, 1))
        frames: Tensor = self.encoded_layer(encoded)
        return frames

    def _joint(self, frames: Tensor, predicted: Tensor) -> Tensor:
        """Logits (..., C) of frames (..., J) and predictions (..., J)."""
        logits: Tensor = self.linear(self.dropout(torch.tanh(frames + predicted)))
        return logits

    def _along(self, frames: Tensor, predicted: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of blank (B, T', U + 1) and of the next target (B, T', U)."""
        a_frame = max(1, predicted.shape[0] * predicted.shape[1] * self.num_classes)
        pieces = torch.split(frames, max(1, _JOINT_ELEMENTS // a_frame), dim=1)
        again = len(pieces) > 1 and torch.is_grad_enabled()
        found = [
            checkpoint(self._piece, piece, predicted, targets, use_reentrant=False)
            if again
            else self._piece(piece, predicted, targets)
            for piece in pieces
        ]
        blanks, labels = zip(*found, strict=True)
        return torch.cat(blanks, dim=1), torch.cat(labels, dim=1)

    def _piece(self, frames: Tensor, predicted: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._joint(frames[:, :, None], predicted[:, None])
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        total = logits.logsumexp(-1)
        index = targets[:, None, :, None].expand(-1, logits.shape[1], -1, -1)
        label = logits[:, :, :-1].gather(-1, index).squeeze(-1)
        return logits[..., self.blank] - total, label - total[:, :, :-1]


class TransducerHead(Transducer):
    """A transducer (RNN-T) whose predictor looks at the last few tokens only.

    Use it for streaming, and where texts are long: like CTC it walks through the frames, but
    each token knows those before it. It needs no more frames than one, however long the text.
    A search goes through it with :class:`~seqlab.decoding.transducer_beam.TransducerBeamDecoder`.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        hidden_dim: Width J of predictor and joiner, at least 1.
        context: Last tokens that the predictor looks at, at least 1.
        dropout: Probability in [0, 1) on embedded tokens and the joiner's hidden layer.
        blank: Index of the blank token, in [0, num_classes).
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens (at least 1).

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", section 2; the
    joiner of Graves et al. 2013, "Speech Recognition with Deep Recurrent Neural Networks",
    equations 16 to 18; the predictor of Ghodsi et al. 2020.

    Example:
        >>> head = TransducerHead(4, num_classes=3, hidden_dim=8)
        >>> encoded, lengths = torch.zeros(1, 5, 4), torch.tensor([5])
        >>> head.loss(encoded, lengths, torch.tensor([[1, 2]]), torch.tensor([2])).shape
        torch.Size([1])
    """

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        hidden_dim: int = 256,
        context: int = 2,
        dropout: float = 0.1,
        blank: int = 0,
        length_normalized: bool = False,
    ) -> None:
        def predictor() -> StatelessPredictor:
            return StatelessPredictor(num_classes, hidden_dim, blank, dropout, context)

        super().__init__(input_dim, num_classes, predictor, dropout, blank, length_normalized)


class LSTMTransducerHead(Transducer):
    """A transducer (RNN-T) whose predictor is an LSTM over all tokens so far.

    Use it where there is much text to learn from; otherwise :class:`TransducerHead` is as good,
    smaller, and faster.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        hidden_dim: Width J of predictor and joiner, at least 1.
        num_layers: LSTM layers, at least 1.
        dropout: Probability in [0, 1) on embedded tokens and the joiner's hidden layer.
        blank: Index of the blank token, in [0, num_classes).
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens (at least 1).

    Raises:
        SeqlabError: If an argument is out of range.

    Source: as :class:`TransducerHead`, the predictor that of Graves 2012, section 2.1.

    Example:
        >>> LSTMTransducerHead(4, num_classes=3, hidden_dim=8).predictor.dim
        8
    """

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        hidden_dim: int = 256,
        num_layers: int = 1,
        dropout: float = 0.1,
        blank: int = 0,
        length_normalized: bool = False,
    ) -> None:
        def predictor() -> LSTMPredictor:
            return LSTMPredictor(num_classes, hidden_dim, blank, dropout, num_layers)

        super().__init__(input_dim, num_classes, predictor, dropout, blank, length_normalized)
