"""Compiled loops of the gradients of depthwise convolutions over frames.

Torch's own take up to forty times as long as the convolution itself where kernels are dilated.
Sequences are (B, T, D) float32, kernels (K, D); tap k of output t reads frame
``t * stride + k * dilation - padding``, zero where there is none. Sums over blocks of frames are
in single precision, those of the blocks in double precision.
"""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled

_BLOCK_FRAMES = 64


@compiled
def input_gradient(grad, kernel, stride, padding, dilation, output):
    """Write the gradient (B, T, D) of the sequence; grad is (B, T', D)."""
    utterances, outputs, width = grad.shape
    taps, frames = kernel.shape[0], output.shape[1]
    for b in range(utterances):
        for t in range(frames):
            out = output[b, t]
            out[:] = 0
            for k in range(taps):
                place = t + padding - k * dilation
                if place < 0 or place % stride or place // stride >= outputs:
                    continue
                above, tap = grad[b, place // stride], kernel[k]
                for d in range(width):
                    out[d] += above[d] * tap[d]


@compiled
def kernel_gradient(grad, sequence, taps, stride, padding, dilation):
    """The gradient (K, D) float64 of the kernel."""
    utterances, outputs, width = grad.shape
    frames = sequence.shape[1]
    total, block = np.zeros((taps, width)), np.empty((taps, width), np.float32)
    for b in range(utterances):
        for first in range(0, outputs, _BLOCK_FRAMES):
            block[:] = 0
            for t in range(first, min(first + _BLOCK_FRAMES, outputs)):
                above = grad[b, t]
                for k in range(taps):
                    place = t * stride + k * dilation - padding
                    if place < 0 or place >= frames:
                        continue
                    row, out = sequence[b, place], block[k]
                    for d in range(width):
                        out[d] += above[d] * row[d]
            total += block
    return total
