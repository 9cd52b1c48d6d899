"""Finding the context of every k-gram: the k-gram without its last word."""

from __future__ import annotations

from seqlab.compiled import compiled


@compiled
def child_starts(suffix, starts):
    """First row of the k-grams of each suffix, and one entry more, from their suffix rows."""
    starts[:] = 0
    for s in suffix:
        starts[s + 1] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]


@compiled
def _first_at_least(values, begin, end, wanted):
    """First place of the rising values[begin:end] that is not below ``wanted``."""
    step = 1
    while begin + step < end and values[begin + step] < wanted:
        begin += step
        step *= 2
    end = min(end, begin + step + 1)
    while begin < end:
        middle = (begin + end) // 2
        if values[middle] < wanted:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def link_contexts(first, suffix, lower_first, lower_context, lower_starts, context):
    """Context rows of the k-grams of one order.

    The context of w1 w2 ... wk continues the context of its suffix w2 ... wk to the left by w1.
    The k-grams of one suffix stand together by rising w1, and so do the possible contexts.

    Args:
        first: first word of each k-gram (N,).
        suffix: its suffix, a row of the next lower order (N,).
        lower_first: first words at the lower order (M,).
        lower_context: contexts at the lower order (M,).
        lower_starts: from ``child_starts`` of the suffixes at the lower order.
        context: receives the rows (N,).

    Returns:
        The first k-gram whose context is missing, or -1.
    """
    before, place, end = -1, 0, 0
    for g in range(len(first)):
        s = suffix[g]
        if s != before:
            before = s
            c = lower_context[s]
            place, end = lower_starts[c], lower_starts[c + 1]
        place = _first_at_least(lower_first, place, end, first[g])
        if place == end or lower_first[place] != first[g]:
            return g
        context[g] = place
    return -1
