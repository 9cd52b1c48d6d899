"""Compiled loops of dropout over flat arrays of float32 or of bfloat16 bits.

Element i is kept where a hash of i and of a 64-bit seed reaches a limit, so that the gradient can
repeat the choice instead of storing it.
"""

from __future__ import annotations

import numpy as np

from seqlab.blocks.kernels.precision import load, store
from seqlab.compiled import compiled


@compiled
def random_bits(i, seed):
    """The 32 random bits of element i.

    The hash is lowbias32 (Wellons 2018, "Prospecting for Hash Functions") with one half of the
    seed at its start and the other in its middle, so that seeds never give shifted copies.
    """
    bits = np.uint32(np.uint32(i) ^ np.uint32(seed))
    bits ^= np.uint32(bits >> np.uint32(16))
    bits = np.uint32(bits * np.uint32(0x7FEB352D))
    bits ^= np.uint32(bits >> np.uint32(15))
    bits = np.uint32(bits + np.uint32(seed >> np.uint64(32)))
    bits = np.uint32(bits * np.uint32(0x846CA68B))
    return np.uint32(bits ^ np.uint32(bits >> np.uint32(16)))


@compiled
def drop(values, seed, limit, scale):
    """Multiply values by the scale where their bits reach the limit, by zero elsewhere."""
    factor, least = np.float32(scale), np.uint32(limit)
    for i in range(values.shape[0]):
        kept = factor if random_bits(i, seed) >= least else np.float32(0)
        store(values, i, load(values[i]) * kept)


@compiled
def relu_drop(values, seed, limit, scale):
    """The same, by zero also where a value is negative. What is not a number stays so."""
    factor, least = np.float32(scale), np.uint32(limit)
    for i in range(values.shape[0]):
        value = load(values[i])
        kept = factor if (random_bits(i, seed) >= least) & (value > 0) else np.float32(0)
        store(values, i, value * kept)


@compiled
def relu_drop_gradient(grad, result, scale, output):
    """Write grad * scale where the result is not zero, zero elsewhere."""
    factor = np.float32(scale)
    for i in range(grad.shape[0]):
        slope = factor if load(result[i]) != 0 else np.float32(0)
        store(output, i, load(grad[i]) * slope)
