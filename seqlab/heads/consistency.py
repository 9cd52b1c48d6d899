"""Consistency regularisation: two views of an utterance, masked differently, must agree."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths, valid_mask

__all__ = ["other_seeds", "symmetric_divergence"]

_OTHER = 0x1F83D9ABFB41BD6B  # turns a seed into that of the second view


def other_seeds(seeds: Tensor) -> Tensor:
    """Seeds (B,) of the second views of utterances whose first views have ``seeds`` (B,)."""
    return seeds.bitwise_xor(torch.full_like(seeds, _OTHER))


def symmetric_divergence(first: Tensor, second: Tensor, lengths: Tensor) -> Tensor:
    """How far two views' distributions are apart, summed over frames, in nats (B,).

    For each frame half the sum of the two Kullback-Leibler divergences. In each, the distribution
    that is compared with is a target through which no gradient goes.

    Args:
        first: Log-probabilities (B, T', C).
        second: Those of the other view (B, T', C).
        lengths: Valid frames (B,).

    Raises:
        SeqlabError: The shapes do not fit.

    Source: Yao et al. 2025, "CR-CTC: Consistency regularization on CTC for improved speech
    recognition", equation 4.

    Example:
        >>> even, sure = torch.tensor([[[0.5, 0.5]]]).log(), torch.tensor([[[0.9, 0.1]]]).log()
        >>> round(symmetric_divergence(even, sure, torch.tensor([1])).item(), 4)
        0.4394
    """
    if first.shape != second.shape or first.dim() != 3:
        raise SeqlabError(
            f"log-probabilities of the two views have shapes {tuple(first.shape)} and "
            f"{tuple(second.shape)}, must both be (B, T', C)"
        )
    check_lengths(lengths, first.shape[1], "log_probs")
    targets = (first.detach(), second.detach())
    each = sum(
        (target.exp() * (target - other)).sum(-1)
        for target, other in zip(targets, (second, first), strict=True)
    )
    assert isinstance(each, Tensor)
    return (0.5 * each).masked_fill(~valid_mask(lengths, first.shape[1]), 0).sum(1)
