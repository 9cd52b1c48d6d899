"""Pooling of a sequence into one vector, over valid frames only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.checks import check_at_least, check_choice
from seqlab.lengths import valid_mask, zero_padding

POOLINGS = ("attention", "max", "mean", "multihead")


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
        self.output_dim = input_dim
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


class MultiHeadAttentionPooling(nn.Module):
    """Several means of frames, each weighted by what it asks for, then two linear layers.

    Use it behind a bidirectional recurrent network, whose frame in the middle has seen the whole
    utterance: from it each head draws its own query, and weighs the frames by a softmax over
    their products with it.

    Args:
        input_dim: Width D of a frame, at least 1.
        num_heads: Heads, at least 1.
        hidden_dim: Units of the first linear layer, before a ReLU, at least 1.
        output_dim: Width of the result, at least 1.

    Raises:
        SeqlabError: If a size is out of range.

    Source: Rybakov et al. 2020, "Streaming keyword spotting on mobile devices", section 3.6
    (MHAtt-RNN). Deviations: the products are divided by the root of D, so that frames of any
    scale leave the softmax a gradient; the middle is that of the valid frames.

    Example:
        >>> pool = MultiHeadAttentionPooling(8)
        >>> pool(torch.zeros(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self, input_dim: int, num_heads: int = 4, hidden_dim: int = 64, output_dim: int = 32
    ) -> None:
        super().__init__()
        for name, value in (
            ("input_dim", input_dim),
            ("num_heads", num_heads),
            ("hidden_dim", hidden_dim),
            ("output_dim", output_dim),
        ):
            check_at_least(name, value, 1)
        self.num_heads = num_heads
        self.output_dim = output_dim
        self.query = nn.Linear(input_dim, num_heads * input_dim)
        self.project = nn.Sequential(
            nn.Linear(num_heads * input_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, output_dim),
        )

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Sequence (B, T, D), lengths (B,) -> (B, output_dim); without frames 0."""
        batch_size, frames, dim = sequence.shape
        if frames == 0:
            return sequence.new_zeros(batch_size, self.output_dim)
        sequence = zero_padding(sequence, lengths)
        middle = (lengths // 2).reshape(-1, 1, 1).expand(-1, 1, dim)
        query = self.query(sequence.gather(1, middle)).reshape(batch_size, self.num_heads, dim)
        scores = query @ sequence.transpose(1, 2) * dim**-0.5
        valid = valid_mask(lengths, frames).unsqueeze(1)
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        means = (torch.softmax(scores, -1) @ sequence).flatten(1)
        pooled: Tensor = self.project(means)
        return pooled.masked_fill((lengths == 0).unsqueeze(-1), 0)


class _Pooling(nn.Module):
    def __init__(self, name: str, input_dim: int) -> None:
        super().__init__()
        self.name = name
        self.output_dim = input_dim

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        pool = masked_mean if self.name == "mean" else masked_max
        return pool(sequence, lengths)


Pooling = AttentionPooling | MultiHeadAttentionPooling | _Pooling


def pooling(name: str, input_dim: int) -> Pooling:
    """A pooling module by name: sequence (B, T, D), lengths (B,) -> (B, output_dim).

    Args:
        name: "mean", "max", "attention" or "multihead"; the last one gives 32 values, the others
            as many as a frame has.
        input_dim: Width D of a frame.

    Raises:
        SeqlabError: If the name is not known; a close spelling is suggested.
    """
    check_choice("pooling", name, POOLINGS)
    if name == "attention":
        return AttentionPooling(input_dim)
    if name == "multihead":
        return MultiHeadAttentionPooling(input_dim)
    return _Pooling(name, input_dim)
