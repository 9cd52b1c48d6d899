"""Compiled loops that check a file: its checksum, and the table of its words."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled

_ONE, _TWO, _THREE, _FOUR, _FIVE = (
    np.uint64(0x9E3779B185EBCA87),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0x165667B19E3779F9),
    np.uint64(0x85EBCA77C2B2AE63),
    np.uint64(0x27D4EB2F165667C5),
)


@compiled
def _rotated(value, bits):
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@compiled
def _round(lane, number):
    return _rotated(lane + number * _TWO, 31) * _ONE


@compiled
def checksum(data, total, lanes):
    """XXH64 (Collet, "xxHash fast digest algorithm", 2014) of whole 64-bit numbers, seed 0.

    Args:
        data: the numbers (N,), uint64; N is a multiple of 4 unless they are the last.
        total: how many came before.
        lanes: the four accumulators (4,), uint64, of what came before; updated.

    Returns:
        The checksum of all numbers, if these are the last.
    """
    if total == 0:
        lanes[0], lanes[1], lanes[2], lanes[3] = _ONE + _TWO, _TWO, np.uint64(0), -_ONE
    one, two, three, four = lanes[0], lanes[1], lanes[2], lanes[3]
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        one, two = _round(one, data[i]), _round(two, data[i + 1])
        three, four = _round(three, data[i + 2]), _round(four, data[i + 3])
    lanes[0], lanes[1], lanes[2], lanes[3] = one, two, three, four
    total += len(data)
    value = _FIVE
    if total >= 4:
        value = _rotated(one, 1) + _rotated(two, 7) + _rotated(three, 12) + _rotated(four, 18)
        for lane in (one, two, three, four):
            value = (value ^ _round(np.uint64(0), lane)) * _ONE + _FOUR
    value += np.uint64(8) * np.uint64(total)
    for i in range(whole, len(data)):
        value = _rotated(value ^ _round(np.uint64(0), data[i]), 27) * _ONE + _FOUR
    value = (value ^ (value >> np.uint64(33))) * _TWO
    value = (value ^ (value >> np.uint64(29))) * _THREE
    return value ^ (value >> np.uint64(32))


@compiled
def words_are_sound(starts, size, table, longest):
    """Whether looking words up reads only what is there, and ends.

    Args:
        starts: first byte of each word, and the end of the last (V + 1,), int64.
        size: bytes of all words.
        table: hash table of number + 1, or 0 (int32).
        longest: places in a row that may be taken.
    """
    if starts[0] != 0 or starts[-1] != size:
        return False
    for i in range(len(starts) - 1):
        if starts[i] >= starts[i + 1]:
            return False
    words, run, free = len(starts) - 1, 0, False
    for i in range(len(table)):
        if table[i] < 0 or table[i] > words:
            return False
        run = run + 1 if table[i] != 0 else 0
        free = free or table[i] == 0
        if run > longest:
            return False
    return free
