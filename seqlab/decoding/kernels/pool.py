"""Which prefixes of the pool are among the best."""

from __future__ import annotations

import numpy as np

from seqlab.decoding.kernels.borrowing import borrowing, inlined


@inlined
def _as_good(bits, count, least):
    """How many of the first ``count`` numbers are ``least`` or more."""
    found = 0
    for i in range(count):
        found += bits[i] >= least
    return found


@borrowing
def cut_of(worth, cuts, count, least, beam):
    """What the last prefix that is followed is worth, and how many of just that worth are.

    Halves the range of the worth until the beam is above: counting needs no decisions, which take
    long where nothing predicts them. Doubles above zero are in the order of their bits.

    Args:
        worth: of the prefixes in the pool (P,), none below zero.
        cuts: room for two numbers.
        count: of prefixes in the pool, 1 or more.
        least: what they must be worth.
        beam: how many are followed at most.

    Returns:
        two numbers; prefixes worth more are all followed, those worth 0 never.
    """
    if count <= beam:
        return least, beam
    bits, limits = worth.view(np.int64), cuts.view(np.int64)
    cuts[0], cuts[1] = least, worth[0]
    for i in range(count):
        cuts[1] = max(cuts[1], worth[i])
    low, high = limits[0], limits[1] + 1
    if _as_good(bits, count, low) <= beam:
        return least, beam
    above = 0
    while high - low > 1:
        middle = low + ((high - low) >> 1)
        found = _as_good(bits, count, middle)
        if found > beam:
            low = middle
        else:
            high, above = middle, found
            if found == beam:
                low = middle
                above = 0
                break
    limits[0] = low
    return cuts[0], beam - above


@borrowing
def squeeze(scratch, followed, count, cut, ties):
    """Give up what is not among the best of a full pool; returns how large it is then."""
    worth, pool, parts = scratch.worth, scratch.pool, scratch.parts
    kept = followed
    for i in range(count):
        stays = worth[i] > cut
        if worth[i] == cut and ties > 0:
            stays, ties = True, ties - 1
        if i < followed:
            if not stays:
                worth[i] = 0.0
        elif stays:
            worth[kept] = worth[i]
            for column in range(pool.shape[1]):
                pool[kept, column] = pool[i, column]
            for column in range(parts.shape[1]):
                parts[kept, column] = parts[i, column]
            kept += 1
    return kept
