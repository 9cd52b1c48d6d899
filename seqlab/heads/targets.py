"""Target tokens of a batch, checked before a loss reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths, valid_mask


def checked_targets(
    targets: Tensor, target_lengths: Tensor, num_classes: int, blank: int, padding: int
) -> Tensor:
    """Targets (B, U) with ``padding`` beyond ``target_lengths`` (B,).

    Raises:
        SeqlabError: If a shape does not fit, or a target is the blank or no class.

    >>> checked_targets(torch.tensor([[2, 1], [1, 9]]), torch.tensor([2, 1]), 3, 0, 0).tolist()
    [[2, 1], [1, 0]]
    """
    if targets.dim() != 2 or targets.dtype != torch.int64:
        raise SeqlabError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}, must be int64 (B, U)"
        )
    check_lengths(target_lengths, targets.shape[1], "targets")
    valid = valid_mask(target_lengths, targets.shape[1])
    wrong = valid & ((targets < 0) | (targets >= num_classes) | (targets == blank))
    if wrong.any():
        raise SeqlabError(
            f"target token {int(targets[wrong][0])} must be within 0 and "
            f"{num_classes - 1} and not the blank {blank}; "
            "check that head and tokenizer share one vocabulary"
        )
    return targets.masked_fill(~valid, padding)


def check_classes(input_dim: int, num_classes: int, blank: int) -> None:
    """Raise SeqlabError unless a head for texts can have these sizes."""
    check_at_least("input_dim", input_dim, 1)
    check_at_least("num_classes", num_classes, 2)
    if not 0 <= blank < num_classes:
        raise SeqlabError(f"blank={blank} must be at least 0 and below {num_classes}")
