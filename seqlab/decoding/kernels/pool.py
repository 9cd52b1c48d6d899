"""Which prefixes of the pool are among the best."""

from __future__ import annotations

from seqlab.decoding.kernels.borrowing import borrowing
from seqlab.decoding.kernels.order import nth_best


@borrowing
def cut_of(scratch, count, least, beam):
    """What the last prefix that is followed is worth, and how many of just that worth are.

    Args:
        scratch: room, with the pool.
        count: of prefixes in the pool.
        least: what they must be worth.
        beam: how many are followed at most.

    Returns:
        two numbers; prefixes worth more are all followed, those worth 0 never.
    """
    worth, ranked, enough = scratch.worth, scratch.ranked, 0
    for i in range(count):
        ranked[enough] = worth[i]
        enough += worth[i] >= least
    if enough <= beam:
        return least, beam
    cut, above = nth_best(ranked, enough, beam), 0
    for i in range(beam):
        above += ranked[i] > cut
    return cut, beam - above


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
