"""Connectionist temporal classification."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.contracts import Head
from seqlab.heads.targets import check_classes, checked_targets
from seqlab.lengths import valid_mask


class CTCHead(Head):
    """A linear layer, log-softmax and the CTC loss.

    Use it to train a recogniser from transcripts without alignments.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        dropout: Probability in [0, 1) on the encoded frames.
        blank: Index of the blank token, in [0, num_classes).
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens (at least 1), so that long transcripts do not outweigh short ones.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", equations 8 and 16.

    Example:
        >>> head = CTCHead(input_dim=4, num_classes=3)
        >>> head(torch.zeros(1, 5, 4), torch.tensor([5])).shape
        torch.Size([1, 5, 3])
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "frames"

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        dropout: float = 0.0,
        blank: int = 0,
        length_normalized: bool = False,
    ) -> None:
        super().__init__()
        check_classes(input_dim, num_classes, blank)
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.blank = blank
        self.length_normalized = length_normalized
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(input_dim, num_classes)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Natural log-probabilities (B, T', C) of encoded (B, T', D); padding is undefined."""
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        logits: Tensor = self.linear(self.dropout(encoded))
        dtype = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype
        return functional.log_softmax(logits, dim=-1, dtype=dtype)

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Negative log-likelihood of each utterance (B,), in nats.

        A target that needs more frames than there are has the loss infinity, so that the caller
        sees it, and the gradient zero, so that it does not spoil the rest of the batch.

        Args:
            encoded: Encoded frames (B, T', D).
            lengths: Their lengths (B,).
            targets: Tokens (B, U), none of them the blank; what lies beyond
                ``target_lengths`` is ignored.
            target_lengths: Their lengths (B,).

        Returns:
            Losses (B,).

        Raises:
            SeqlabError: If a shape does not fit, or a target is the blank or no class.
        """
        return self.loss_of(self.forward(encoded, lengths), lengths, targets, target_lengths)

    def loss_of(
        self, log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """The same ``loss`` (B,), of log-probabilities (B, T', C) that ``forward`` returned."""
        other = 0 if self.blank else 1  # any token will do where there is none
        targets = checked_targets(targets, target_lengths, self.num_classes, self.blank, other)
        if log_probs.shape[1] == 0:
            log_probs = functional.pad(log_probs, (0, 0, 0, 1))
        feasible = ctc_required_lengths(targets, target_lengths) <= lengths
        losses = functional.ctc_loss(
            log_probs.transpose(0, 1),
            targets,
            lengths.clamp(min=1),
            target_lengths,
            blank=self.blank,
            reduction="none",
            zero_infinity=True,  # for the gradient only: the infinity is put back below
        )
        # An utterance without frames was given one above; without targets it costs nothing.
        losses = losses.masked_fill(lengths == 0, 0).masked_fill(~feasible, torch.inf)
        return losses / target_lengths.clamp(min=1) if self.length_normalized else losses


def ctc_required_lengths(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Encoded frames (B,) that CTC needs for targets (B, U) of target_lengths (B,).

    >>> ctc_required_lengths(torch.tensor([[3, 3, 5], [4, 0, 0]]), torch.tensor([3, 1])).tolist()
    [4, 1]
    """
    inside = valid_mask(target_lengths, targets.shape[1])[:, 1:]
    return target_lengths + ((targets[:, 1:] == targets[:, :-1]) & inside).sum(1)
