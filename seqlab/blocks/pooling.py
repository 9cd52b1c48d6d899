"""Pooling of a sequence into one vector, over valid frames only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.checks import check_choice
from seqlab.lengths import valid_mask, zero_padding

POOLINGS = ("attention", "max", "mean")


def masked_mean(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the valid frames of sequence (B, T, D), lengths (B,) -> (B, D); none give 0.

    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2]))
    tensor([[2.]])
    """
    total = zero_padding(sequence, lengths).sum(1)
    return total / lengths.clamp(min=1).unsqueeze(-1).to(sequence.dtype)


def masked_max(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Maximum over the valid frames of sequence (B, T, D), lengths (B,) -> (B, D); none give 0.

    >>> masked_max(torch.tensor([[[-1.0], [-3.0], [9.0]]]), torch.tensor([2]))
    tensor([[-1.]])
    """
    if sequence.shape[1] == 0:
        return sequence.sum(1)
    valid = valid_mask(lengths, sequence.shape[1]).unsqueeze(-1)
    maximum = sequence.masked_fill(~valid, -torch.inf).amax(1)
    return maximum.masked_fill((lengths == 0).unsqueeze(-1), 0)


class AttentionPooling(nn.Module):
    """Mean of frames weighted by a learned softmax over the valid ones.

    Use it when a keyword fills only part of the recording.

    Args:
        input_dim: Width D of a frame, at least 1.

    Source: Lin et al. 2017, "A Structured Self-Attentive Sentence Embedding", section 2.1, with
    one head and the hidden width D.
    """

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(input_dim, input_dim), nn.Tanh(), nn.Linear(input_dim, 1, bias=False)
        )

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Sequence (B, T, D), lengths (B,) -> (B, D); utterances without frames give 0."""
        sequence = zero_padding(sequence, lengths)
        if sequence.shape[1] == 0:
            return sequence.sum(1)
        valid = valid_mask(lengths, sequence.shape[1]).unsqueeze(-1)
        scores = self.score(sequence)
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        return (torch.softmax(scores, 1) * sequence).sum(1)


class _Pooling(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        pool = masked_mean if self.name == "mean" else masked_max
        return pool(sequence, lengths)


def pooling(name: str, input_dim: int) -> nn.Module:
    """A pooling module by name: sequence (B, T, D), lengths (B,) -> (B, D).

    Args:
        name: "mean", "max" or "attention".
        input_dim: Width D of a frame.

    Raises:
        SeqlabError: If the name is not known; a close spelling is suggested.
    """
    check_choice("pooling", name, POOLINGS)
    return AttentionPooling(input_dim) if name == "attention" else _Pooling(name)
