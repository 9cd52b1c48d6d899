"""What all attention decoders share: the start and end of a text, and the loss."""

from __future__ import annotations

import abc
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from seqlab.blocks.checks import check_sequence
from seqlab.checks import check_probability
from seqlab.contracts import Head
from seqlab.heads.targets import check_classes, checked_targets
from seqlab.lengths import valid_mask, zero_padding

_IGNORED = -100  # targets that cross_entropy leaves out


class AttentionHead(Head):
    """Says one token at a time, each after those before it, until it ends the text.

    The head has one class for each token and no more: the class of the blank, which no text
    holds, begins a text as input and ends it as output. So one tokenizer serves CTC, attention
    decoders and transducers.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
        blank: Index of the blank token, in [0, num_classes): the start and the end.
        length_normalized: Whether each utterance's loss is divided by its number of target
            tokens, the end included.

    Source: Chan et al. 2016, "Listen, Attend and Spell", equations 1 and 2; label smoothing by
    Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "tokens"

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        label_smoothing: float,
        blank: int,
        length_normalized: bool,
    ) -> None:
        super().__init__()
        check_classes(input_dim, num_classes, blank)
        check_probability("label_smoothing", label_smoothing)
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.blank = blank
        self.length_normalized = length_normalized

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Encoded (B, T', D) as it came: what a decoder searches through."""
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        return encoded

    @abc.abstractmethod
    def log_probs(self, encoded: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Log-probabilities (B, U, C) of what follows each of ``tokens`` (B, U).

        Args:
            encoded: (B, T', D).
            lengths: (B,).
            tokens: Classes; of a text its blank, then its tokens.
        """

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Cross-entropy of each utterance (B,), summed over its tokens and its end, in nats.

        Args:
            encoded: Encoded frames (B, T', D).
            lengths: Their lengths (B,).
            targets: Tokens (B, U), none of them the blank; what lies beyond
                ``target_lengths`` is ignored.
            target_lengths: Their lengths (B,).

        Raises:
            SeqlabError: If a shape does not fit, or a target is the blank or no class.
        """
        sums = self._cross_entropy(encoded, lengths, targets, target_lengths, self.label_smoothing)
        return sums / (target_lengths + 1) if self.length_normalized else sums

    def score(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Log-probability (B,) of each text, its end included; arguments as in ``loss``."""
        return -self._cross_entropy(encoded, lengths, targets, target_lengths, 0.0)

    def _cross_entropy(
        self,
        encoded: Tensor,
        lengths: Tensor,
        targets: Tensor,
        target_lengths: Tensor,
        label_smoothing: float,
    ) -> Tensor:
        targets = checked_targets(targets, target_lengths, self.num_classes, self.blank, self.blank)
        ended = functional.pad(targets, (0, 1), value=self.blank)
        begun = functional.pad(targets, (1, 0), value=self.blank)
        inside = valid_mask(target_lengths + 1, ended.shape[1])
        losses = functional.cross_entropy(
            self.log_probs(encoded, lengths, begun).transpose(1, 2),
            ended.masked_fill(~inside, _IGNORED),
            ignore_index=_IGNORED,
            reduction="none",
            label_smoothing=label_smoothing,
        )
        return losses.sum(1)

    def _memory(self, encoded: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded frames (B, T', D), at least one, zero in the padding, and their mask (B, T').

        An utterance without frames has one of zeros, for attention needs something to look at.
        """
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        memory = zero_padding(encoded, lengths)
        if memory.shape[1] == 0:
            memory = functional.pad(memory, (0, 0, 0, 1))
        return memory, valid_mask(lengths.clamp(min=1), memory.shape[1])


def log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities over the last axis, in float32 at least."""
    dtype = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype
    return functional.log_softmax(logits, dim=-1, dtype=dtype)
