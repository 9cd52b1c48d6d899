"""The loss of a transducer: the sum over all ways through frames and tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def transducer_loss(
    blank: Tensor, label: Tensor, lengths: Tensor, target_lengths: Tensor
) -> Tensor:
    """Negative log-likelihood (B,) of texts, from the log-probabilities along their own ways.

    Use it where a joiner's output (B, T, U + 1, C) is reduced piece by piece to what matters: at
    each frame and after each token, the blank and the one token that comes next.

    An utterance without frames has the loss 0 if it has no tokens either, else infinity; its
    gradient is zero. Sums are made in double precision.

    Args:
        blank: Log-probability of the blank at frame t after u tokens (B, T, U + 1), T at least 1.
        label: Log-probability of token u + 1 at frame t after u tokens (B, T, U).
        lengths: Frames (B,).
        target_lengths: Tokens (B,).

    Source: Graves 2012, "Sequence Transduction with Recurrent Neural Networks", equations 16 to
    20. Within a frame the recursion over tokens is a running log-sum-exp.

    >>> half = torch.tensor(0.5).log()
    >>> blank, label = half.expand(1, 2, 2), half.expand(1, 2, 1)
    >>> (-transducer_loss(blank, label, torch.tensor([2]), torch.tensor([1]))).exp()
    tensor([0.2500])
    """
    losses: Tensor = _Lattice.apply(blank, label, lengths.clamp(min=1), target_lengths)
    nothing = losses.new_zeros(()).where(target_lengths == 0, torch.inf)
    return losses.where(lengths > 0, nothing)


class _Lattice(torch.autograd.Function):
    """``transducer_loss`` of utterances that have frames, with its gradient in closed form."""

    @staticmethod
    def forward(
        ctx: Any, blank: Tensor, label: Tensor, lengths: Tensor, target_lengths: Tensor
    ) -> Tensor:
        dtype, blank, label = blank.dtype, blank.double(), label.double()
        offsets = functional.pad(label.cumsum(-1), (1, 0))  # of a way along one frame's tokens
        alpha = torch.empty_like(blank)
        alpha[:, 0] = offsets[:, 0]
        for frame in range(1, blank.shape[1]):
            arrived = alpha[:, frame - 1] + blank[:, frame - 1] - offsets[:, frame]
            alpha[:, frame] = arrived.logcumsumexp(-1) + offsets[:, frame]
        rows = torch.arange(len(blank), device=blank.device)
        last = (rows, lengths - 1, target_lengths)
        total = alpha[last] + blank[last]
        ctx.save_for_backward(blank, label, offsets, alpha, total, lengths, target_lengths)
        ctx.dtype = dtype
        return -total.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        blank, label, offsets, alpha, total, lengths, target_lengths = ctx.saved_tensors
        rows = torch.arange(len(blank), device=blank.device)
        left = torch.empty_like(blank)  # log-probability of what follows a blank, itself included
        beta = torch.full_like(blank, -torch.inf)
        after = beta[:, 0]
        ends = torch.full_like(after, -torch.inf)
        ends[rows, target_lengths] = 0
        for frame in range(blank.shape[1] - 1, -1, -1):
            follows = torch.where((lengths - 1 == frame)[:, None], ends, after)
            left[:, frame] = follows + blank[:, frame]
            running = (left[:, frame] + offsets[:, frame]).flip(-1).logcumsumexp(-1).flip(-1)
            after = beta[:, frame] = running - offsets[:, frame]
        scale = -grad.double()[:, None, None]
        alpha = alpha - total[:, None, None]
        for_blank = (alpha + left).exp() * scale
        for_label = (alpha[:, :, :-1] + label + beta[:, :, 1:]).exp() * scale
        return for_blank.to(ctx.dtype), for_label.to(ctx.dtype), None, None
