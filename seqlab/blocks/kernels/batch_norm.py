"""Compiled loops of batch normalisation: two sweeps forward, two back.

Sequences are (B, R, D) of float32 or of bfloat16 bits, of which utterance b has its first
``rows[b]`` rows, int64. Sums run over blocks of rows in single precision, whose results are added
in double precision.
"""

from __future__ import annotations

import numpy as np

from seqlab.blocks.kernels.precision import load, store
from seqlab.compiled import compiled

_BLOCK_ROWS = 64


@compiled
def moments(sequence, rows):
    """Shift (D,) float32 near the mean, and sums of x - shift and of its square (D,) float64."""
    utterances, _, width = sequence.shape
    shift = np.zeros(width, np.float32)
    for b in range(utterances):
        if rows[b]:
            for d in range(width):
                shift[d] = load(sequence[b, 0, d])
            break
    total, squares = np.zeros(width), np.zeros(width)
    block_total, block_squares = np.empty(width, np.float32), np.empty(width, np.float32)
    for b in range(utterances):
        for first in range(0, rows[b], _BLOCK_ROWS):
            block_total[:] = 0
            block_squares[:] = 0
            for r in range(first, min(first + _BLOCK_ROWS, rows[b])):
                row = sequence[b, r]
                for d in range(width):
                    value = load(row[d]) - shift[d]
                    block_total[d] += value
                    block_squares[d] += value * value
            for d in range(width):
                total[d] += block_total[d]
                squares[d] += block_squares[d]
    return shift, total, squares


@compiled
def normalize(sequence, rows, factors, output):
    """Write (x - mean) * scale + bias, the factors (3, D) float32, and zeros behind the rows."""
    utterances, _, width = sequence.shape
    mean, scale, bias = factors[0], factors[1], factors[2]
    for b in range(utterances):
        for r in range(rows[b]):
            row, out = sequence[b, r], output[b, r]
            for d in range(width):
                store(out, d, (load(row[d]) - mean[d]) * scale[d] + bias[d])
        output[b, rows[b] :] = 0


@compiled
def gradient_sums(grad, sequence, rows, mean):
    """Sums of grad, and of grad * (x - mean): (2, D) float64."""
    utterances, _, width = sequence.shape
    sums, block = np.zeros((2, width)), np.empty((2, width), np.float32)
    for b in range(utterances):
        for first in range(0, rows[b], _BLOCK_ROWS):
            block[:] = 0
            plain, weighted = block[0], block[1]
            for r in range(first, min(first + _BLOCK_ROWS, rows[b])):
                row, out = sequence[b, r], grad[b, r]
                for d in range(width):
                    value = load(out[d])
                    plain[d] += value
                    weighted[d] += value * (load(row[d]) - mean[d])
            for d in range(width):
                sums[0, d] += plain[d]
                sums[1, d] += weighted[d]
    return sums


@compiled
def input_gradient(grad, sequence, rows, mean, factors, output):
    """Write grad * scale - (x - mean) * slope - constant, and zeros behind the rows.

    The factors (3, D) float32 are scale, slope and constant.
    """
    utterances, _, width = sequence.shape
    scale, slope, constant = factors[0], factors[1], factors[2]
    for b in range(utterances):
        for r in range(rows[b]):
            row, above, out = sequence[b, r], grad[b, r], output[b, r]
            for d in range(width):
                value = load(above[d]) * scale[d] - (load(row[d]) - mean[d]) * slope[d]
                store(out, d, value - constant[d])
        output[b, rows[b] :] = 0
