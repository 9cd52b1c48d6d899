"""The largest magnitude of a recording, compiled."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.frontend.kernel.lanes import SINGLES, load, splat, store, where_less


@compiled
def peak(samples):
    """Largest magnitude of contiguous float32 samples (N,), 0 for none; NaN does not count.

    Unlike torch's, which wakes threads that then stand in the way of the front end's own.
    """
    low = splat(np.float32(0))
    high = low
    whole = len(samples) - len(samples) % SINGLES
    for i in range(0, whole, SINGLES):
        values = load(samples, i)
        low = where_less(values, low, values, low)
        high = where_less(high, values, values, high)
    ends = np.zeros(2 * SINGLES, np.float32)
    store(ends, 0, low)
    store(ends, SINGLES, high)
    greatest = np.float32(0)
    for value in ends:
        greatest = max(greatest, abs(value))
    for i in range(whole, len(samples)):
        if abs(samples[i]) > greatest:
            greatest = abs(samples[i])
    return greatest
