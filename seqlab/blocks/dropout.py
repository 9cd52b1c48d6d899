"""Dropout whose random numbers are cheap on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.kernels import dropout as loops
from seqlab.blocks.kernels.arrays import as_array, runs_compiled
from seqlab.checks import check_probability

_LEVELS = 1 << 32  # of the random bits that decide about an element


class Dropout(nn.Module):
    """Zeroes each element with probability ``p`` and scales the rest by 1 / (1 - p).

    Use it in place of ``torch.nn.Dropout`` in layers that train on a CPU: there torch draws a
    random number an element, one after the other, and keeps the choice for the gradient. Here one
    draw seeds a hash of the element's place, which is many times faster and is repeated instead.

    Args:
        p: Probability of zero, in [0, 1). On a CPU it is rounded to a multiple of 2**-32, and
            the scale follows the rounded value, so the expectation is kept exactly.

    Raises:
        SeqlabError: If ``p`` is outside [0, 1).

    Source: Srivastava et al. 2014, "Dropout", section 4 (in its inverted form).

    Example:
        >>> Dropout(0.5).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        check_probability("dropout", p)
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, with elements dropped in training mode."""
        if not self.training or self.p == 0:
            return values
        if not runs_compiled(values):
            return functional.dropout(values, self.p)
        output: Tensor = _Dropout.apply(values, self.p)
        return output

    def extra_repr(self) -> str:
        """The probability, for printing a model."""
        return f"p={self.p}"


class ReluDropout(nn.Module):
    """ReLU, then dropout, keeping for the gradient no more than the result.

    Use it where both follow each other in a network that trains on a CPU: what is zero in the
    result, by either, has no gradient, and the rest has the gradient 1 / (1 - p).

    Args:
        p: Probability of zero, in [0, 1); rounded as in :class:`Dropout`.
        in_place: Whether the input is overwritten; only for inputs that nothing else reads.

    Raises:
        SeqlabError: If ``p`` is outside [0, 1).
    """

    def __init__(self, p: float = 0.0, in_place: bool = False) -> None:
        super().__init__()
        check_probability("dropout", p)
        self.p = p
        self.in_place = in_place

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, with negative and dropped elements zero."""
        p = self.p if self.training else 0.0
        in_place = self.in_place and not values.is_leaf
        if p == 0 or not values.is_contiguous() or not runs_compiled(values):
            return functional.dropout(functional.relu(values, in_place), p)
        output: Tensor = _ReluDropout.apply(values, p, in_place)
        return output

    def extra_repr(self) -> str:
        """The probability, for printing a model."""
        return f"p={self.p}"


class StochasticDepth(nn.Module):
    """Zeroes the residual branch of whole utterances and scales the others by 1 / (1 - p).

    Use it on each branch of a deep network, in training: an utterance then passes through a
    shallower one. Call it on what is added to the residual stream.

    Args:
        p: Probability that an utterance skips the branch, in [0, 1).

    Raises:
        SeqlabError: If ``p`` is outside [0, 1).

    Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", section 3, with the scale in
    training instead of evaluation.

    Example:
        >>> branch = StochasticDepth(0.5)(torch.ones(100, 3, 4))
        >>> branch.flatten(1).std(1).max().item(), sorted(set(branch.flatten().tolist()))
        (0.0, [0.0, 2.0])
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        check_probability("stochastic_depth", p)
        self.p = p

    def forward(self, branch: Tensor) -> Tensor:
        """Branch (B, ...), with utterances dropped in training mode."""
        if not self.training or self.p == 0:
            return branch
        shape = (branch.shape[0],) + (1,) * (branch.dim() - 1)
        kept = torch.rand(shape, device=branch.device) >= self.p
        return branch * (kept.to(branch.dtype) / (1 - self.p))

    def extra_repr(self) -> str:
        """The probability, for printing a model."""
        return f"p={self.p}"


class ChannelDropout(nn.Module):
    """Zeroes whole channels of an utterance with probability ``p`` and scales the others.

    Use it behind convolutions, whose neighbouring values are too alike for dropout of single ones.

    Args:
        p: Probability of zero, in [0, 1).

    Raises:
        SeqlabError: If ``p`` is outside [0, 1).

    Source: Tompson et al. 2015, "Efficient Object Localization Using Convolutional Networks",
    section 3.2, with the scale in training instead of evaluation.

    Example:
        >>> values = ChannelDropout(0.5)(torch.ones(100, 3, 4))
        >>> values.std(1).max().item(), sorted(set(values.flatten().tolist()))
        (0.0, [0.0, 2.0])
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        check_probability("dropout", p)
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, ..., C), with channels dropped in training mode."""
        if not self.training or self.p == 0:
            return values
        shape = (values.shape[0],) + (1,) * (values.dim() - 2) + (values.shape[-1],)
        kept = torch.rand(shape, device=values.device) >= self.p
        return values * (kept.to(values.dtype) / (1 - self.p))

    def extra_repr(self) -> str:
        """The probability, for printing a model."""
        return f"p={self.p}"


def depth_probabilities(p: float, num_layers: int) -> list[float]:
    """Probability of `StochasticDepth` for each layer, growing linearly to ``p`` at the last one.

    Source: Huang et al. 2016, equation 4.

    >>> depth_probabilities(0.5, 2)
    [0.25, 0.5]
    """
    check_probability("stochastic_depth", p)
    return [p * layer / num_layers for layer in range(1, num_layers + 1)]


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        ctx.choice = _choice(p)
        output = values.clone(memory_format=torch.contiguous_format)
        loops.drop(as_array(output).reshape(-1), *ctx.choice)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        result = grad.clone(memory_format=torch.contiguous_format)
        loops.drop(as_array(result).reshape(-1), *ctx.choice)
        return result, None


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float, in_place: bool) -> Tensor:
        if in_place:
            ctx.mark_dirty(values)
        output = values if in_place else values.clone()
        choice = _choice(p)
        ctx.scale = choice[-1]
        loops.relu_drop(as_array(output).reshape(-1), *choice)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (output,) = ctx.saved_tensors
        result = torch.empty_like(output)
        passed, kept, target = (
            as_array(part).reshape(-1) for part in (grad.contiguous(), output, result)
        )
        loops.relu_drop_gradient(passed, kept, ctx.scale, target)
        return result, None, None


def _choice(p: float) -> tuple[np.uint64, int, float]:
    """A new seed, the 32 bits below which elements are dropped, and the scale of the others."""
    seed = np.uint64(torch.empty((), dtype=torch.int64).random_().item())
    limit = min(round(p * _LEVELS), _LEVELS - 1)
    return seed, limit, _LEVELS / (_LEVELS - limit)
