"""Compiled loops that write n-grams as lines of an ARPA file.

Numbers get eight significant digits, or nine where a float32 natural logarithm would not come
back bit for bit. The digits come from whole-number arithmetic, eight at a time.
"""

from __future__ import annotations

import math

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.octets import load8, store8

NUMBER_ROOM = 32  # bytes that a number may take, with what is written beyond it

_LN_10 = math.log(10)
_PER_LN = 1 / _LN_10
_POWERS = 10.0 ** np.arange(16)
_DOT, _MINUS, _PLUS, _ZERO, _E, _SPACE, _TAB, _NEWLINE = 46, 45, 43, 48, 101, 32, 9, 10


@compiled
def _digits(number):
    """The eight decimal digits of 0 <= number < 10**8 as text, the first in the lowest byte.

    All digits at once: two halves of four, then pairs, then single ones, each division a
    product with a rounded-up reciprocal (Khuong 2017, "How to print integers really fast").
    """
    top = (number * 109951163) >> 40
    halves = top | ((number - 10000 * top) << 32)
    hundreds = ((halves * 10486) >> 20) & 0x0000007F0000007F
    pairs = hundreds | ((halves - 100 * hundreds) << 16)
    tens = ((pairs * 103) >> 10) & 0x000F000F000F000F
    return (tens | ((pairs - 10 * tens) << 8)) + 0x3030303030303030


@compiled
def _whole(number, least, out, place):
    """Write a whole number below 10**8 with at least ``least`` digits; returns where it ends."""
    if number < 10 and least == 1:
        out[place] = _ZERO + number
        return place + 1
    skip = 8 - least
    while skip > 0 and number >= _POWERS[8 - skip]:
        skip -= 1
    text = _digits(number)
    store8(out, place, text >> (8 * skip))
    return place + 8 - skip


@compiled
def _reads(digits, scale, natural):
    """Whether digits / scale, to base 10, is read as the natural logarithm."""
    return np.float32(digits / scale * _LN_10) == natural


@compiled
def _decimal(size, natural):
    """Whole part, fraction and its places of 1e-4 <= size < 1e7.

    ``natural``, float32 and positive, is what shall be read: from six digits where they give it,
    as they do if it was read from as many; else from eight; nine always do.
    """
    places = 8
    while size * _POWERS[places - 8] < 1:
        places += 1
    whole = int(size)
    scale = _POWERS[places - 1]
    start, eight = whole * int(scale), int((size - whole) * scale + 0.5)
    six = (eight + 50) // 100 * 100
    if abs(six - eight) < 4 and _reads(start + six, scale, natural):
        fraction = 10 * six
    elif _reads(start + eight, scale, natural):
        fraction = 10 * eight
    else:
        fraction = int((size - whole) * _POWERS[places] + 0.5)
    if fraction >= _POWERS[places]:
        return whole + 1, 0, places
    return whole, fraction, places


@compiled
def write_log(natural, out, place):
    """Write a natural logarithm, float32, to base 10; returns where it ends.

    -99 stands for minus infinity; where rounding leads there, the last digit is one more.
    """
    if natural == 0:
        out[place] = _ZERO
        return place + 1
    if natural < 0:
        out[place] = _MINUS
        place += 1
    if natural == -np.inf:
        out[place], out[place + 1] = 57, 57
        return place + 2
    size, exponent = abs(float(natural)) * _PER_LN, 0
    if size < 1e-4 or size >= 1e7:
        exponent = math.floor(math.log10(size))
        size /= 10.0**exponent
    whole, fraction, places = _decimal(size, abs(natural) if exponent == 0 else np.float32(0))
    if whole == 99 and fraction == 0 and exponent == 0 and natural < 0:
        fraction = 1
    place = _whole(whole, 1, out, place)
    if fraction > 0:
        out[place] = _DOT
        place += 1
        top = fraction // 100000000
        if places > 8:
            place = _whole(top, places - 8, out, place)
        store8(out, place, _digits(fraction - 100000000 * top))
        place += 8
        while out[place - 1] == _ZERO:
            place -= 1
    if exponent != 0:
        out[place] = _E
        out[place + 1] = _MINUS if exponent < 0 else _PLUS
        place = _whole(abs(exponent), 1, out, place + 2)
    return place


@compiled
def short_words(starts, store, lengths, texts):
    """Bytes and length of each word with a space behind, for those of at most 15 bytes, else 0.

    The texts (V, 2) hold 16 bytes for each word.
    """
    padded = np.zeros(24, np.uint8)
    for number in range(len(lengths)):
        length = starts[number + 1] - starts[number]
        if length > 15:
            continue
        padded[:] = _SPACE
        for i in range(length):
            padded[i] = store[starts[number] + i]
        lengths[number] = length + 1
        texts[number, 0], texts[number, 1] = load8(padded, 0), load8(padded, 8)


@compiled
def write_lines(numbers, log_prob, log_backoff, starts, store, lengths, texts, begin, out):
    """Write the lines of k-grams ``begin`` and on, as many as there is room for.

    Args:
        numbers: words of the k-grams (N, k), left to right.
        log_prob: natural logarithms (N,); -inf becomes -99, what is above 0 by rounding 0.
        log_backoff: the same (N,), or empty where the lines have none.
        starts: first byte of each word in ``store``.
        store: bytes of the words.
        lengths: as ``short_words`` gives them.
        texts: as ``short_words`` gives them.
        begin: first row to write.
        out: receives the text (uint8).

    Returns:
        Rows that are done, from the first of all, and bytes written.
    """
    place, order = 0, numbers.shape[1]
    room = len(out) - 2 * NUMBER_ROOM - 16 * (order + 1)
    for row in range(begin, len(numbers)):
        long = 0
        for k in range(order):
            number = numbers[row, k]
            if lengths[number] == 0:
                long += starts[number + 1] - starts[number] + 1
        if place + long > room:
            return row, place
        place = write_log(min(log_prob[row], np.float32(0)), out, place)
        out[place] = _TAB
        place += 1
        for k in range(order):
            number = numbers[row, k]
            if lengths[number] > 0:
                store8(out, place, texts[number, 0])
                store8(out, place + 8, texts[number, 1])
                place += lengths[number]
            else:
                for i in range(starts[number], starts[number + 1]):
                    out[place] = store[i]
                    place += 1
                out[place] = _SPACE
                place += 1
        place -= 1
        if len(log_backoff) > 0:
            out[place] = _TAB
            place = write_log(log_backoff[row], out, place + 1)
        out[place] = _NEWLINE
        place += 1
    return len(numbers), place


@compiled
def step_down(first, suffix, rows, numbers, place):
    """First words of the k-grams ``rows`` to numbers[:, place]; rows go one order down."""
    for i in range(len(rows)):
        row = rows[i]
        numbers[i, place] = first[row]
        rows[i] = suffix[row]
