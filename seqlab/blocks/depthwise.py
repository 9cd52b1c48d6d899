"""Depthwise convolutions over frames, whose gradients are compiled loops on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqlab.blocks.kernels import depthwise as kernels
from seqlab.blocks.kernels.arrays import as_array, runs_compiled

Convolve = Callable[[Tensor, Tensor], Tensor]


def is_slow_backward(sequence: Tensor, kernel: Tensor) -> bool:
    """Whether a gradient is wanted that `with_fast_gradient` computes faster than torch."""
    wanted = torch.is_grad_enabled() and (sequence.requires_grad or kernel.requires_grad)
    if not wanted or torch.is_autocast_enabled("cpu"):
        return False
    return sequence.dtype == kernel.dtype == torch.float32 and runs_compiled(sequence, kernel)


def with_fast_gradient(
    convolve: Convolve, sequence: Tensor, kernel: Tensor, stride: int, padding: int, dilation: int
) -> Tensor:
    """``convolve(sequence, kernel)``, and the gradients of both by compiled loops.

    Args:
        convolve: A depthwise convolution over frames without bias, to (B, T', D).
        sequence: (B, T, D), single precision, on a CPU.
        kernel: (D, 1, K).
        stride: Frames between outputs.
        padding: Zeros before the first frame.
        dilation: Frames between taps.
    """
    return _Depthwise.apply(sequence, kernel, convolve, stride, padding, dilation)  # type: ignore[no-any-return]


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sequence: Tensor,
        kernel: Tensor,
        convolve: Convolve,
        stride: int,
        padding: int,
        dilation: int,
    ) -> Tensor:
        ctx.save_for_backward(sequence, kernel)
        ctx.shape = stride, padding, dilation
        return convolve(sequence, kernel)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        sequence, kernel = ctx.saved_tensors
        stride, padding, dilation = ctx.shape
        above = as_array(grad.contiguous())
        from_sequence = from_kernel = None
        if ctx.needs_input_grad[0]:
            from_sequence = sequence.new_empty(sequence.shape)
            taps = as_array(kernel[:, 0].t().contiguous())
            kernels.input_gradient(above, taps, stride, padding, dilation, as_array(from_sequence))
        if ctx.needs_input_grad[1]:
            rows = as_array(sequence.contiguous())
            count = kernel.shape[2]
            sums = kernels.kernel_gradient(above, rows, count, stride, padding, dilation)
            from_kernel = torch.from_numpy(sums).to(kernel.dtype).t().unsqueeze(1)
        return from_sequence, from_kernel, None, None, None, None
