"""Sorting and selecting without memory of their own."""

from __future__ import annotations

from seqlab.decoding.kernels.borrowing import borrowing


@borrowing
def select_best(worth, order, count, wanted):
    """Move the ``wanted`` best of ``order[:count]`` to its beginning (Hoare 1961, "Find").

    Args:
        worth: of each item.
        order: items; those of equal worth may change places, always in the same way.
        count: of items.
        wanted: how many are to be kept, below ``count``.

    Returns:
        the worth of the least of those kept.
    """
    low, high = 0, count - 1
    while low < high:
        pivot, a, b = worth[order[(low + high) >> 1]], low, high
        while a <= b:
            while worth[order[a]] > pivot:
                a += 1
            while worth[order[b]] < pivot:
                b -= 1
            if a <= b:
                order[a], order[b] = order[b], order[a]
                a += 1
                b -= 1
        if wanted - 1 <= b:
            high = b
        elif wanted - 1 >= a:
            low = a
        else:
            break
    return worth[order[wanted - 1]]


@borrowing
def rank_tokens(row, tokens, room, keys, count):
    """Sort tokens, the most probable first; equal ones keep their order. For dozens of them.

    Counts for each one those before it: there are no decisions that nothing predicts, which take
    longer than comparing each with each.

    Args:
        row: log-probabilities of all tokens.
        tokens: to sort.
        room: for as many tokens.
        keys: room for as many numbers.
        count: of tokens.
    """
    for i in range(count):
        keys[i] = row[tokens[i]]
    for i in range(count):
        key, place = keys[i], 0
        for j in range(i):
            place += keys[j] >= key
        for j in range(i + 1, count):
            place += keys[j] > key
        room[place] = tokens[i]
    for i in range(count):
        tokens[i] = room[i]


@borrowing
def sort_tokens(chances, tokens, count):
    """Sort tokens and their probabilities, the most probable first; equal ones by number."""
    gap = 1
    while gap < count // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            token, value = tokens[i], chances[i]
            j = i
            while j >= gap and (
                chances[j - gap] < value or (chances[j - gap] == value and tokens[j - gap] > token)
            ):
                tokens[j], chances[j] = tokens[j - gap], chances[j - gap]
                j -= gap
            tokens[j], chances[j] = token, value
        gap //= 3
