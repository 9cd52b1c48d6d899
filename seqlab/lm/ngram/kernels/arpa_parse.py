"""Compiled loops that read the lines of n-grams in an ARPA file."""

from __future__ import annotations

import math

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.octets import load8, trailing_zeros

ROOM = 16  # bytes that must follow a text, as eight are looked at together

# how parse_lines ended: at the end of the text, before a line \...\, before a line that is
# damaged, before a line whose words or numbers have no room
FINISHED, SECTION, DAMAGED, NO_ROOM = 0, 1, 2, 3

LOG_ZERO = -99.0  # stands for minus infinity
LARGEST_PROB = 0.01  # log-probabilities above 0 up to here come from rounding
LARGEST_BACKOFF = 99.0  # above, a number is no weight of an n-gram that anybody has estimated
SMALLEST = -1e30

_LN_10 = math.log(10)
_POWERS = 10.0 ** np.arange(23)  # those float64 has exactly
_TENS = 10 ** np.arange(9)
_MANTISSA = 10**17
_DOT, _MINUS, _PLUS, _ZERO, _NINE, _HASH = 46, 45, 43, 48, 57, 35
_SPACE, _NEWLINE, _BACKSLASH, _TAB, _RETURN = 32, 10, 92, 9, 13
_E, _I, _N, _F, _LOWER = 101, 105, 110, 102, 32

_HIGH_BITS = np.int64(-0x7F7F7F7F7F7F7F80)  # the highest bit of each of eight bytes
_BLANKS = 0x2121212121212121  # 33, the least byte of a word, eight times
_ZEROS, _NINES = 0x3030303030303030, 0x7676767676767676
_LONG, _BELOW = np.int64(1 << 56), np.int64((1 << 56) - 1)
_MIX = np.int64(-0x61C8864680B583EB)  # 2**64 over the golden ratio (Knuth 1973, 6.4)


@compiled
def _decimal(mantissa, exponent):
    """The number mantissa * 10**exponent; correctly rounded if both parts are small."""
    if exponent == 0:
        return float(mantissa)
    if -23 < exponent < 0:
        return mantissa / _POWERS[-exponent]
    if 0 < exponent < 23:
        return mantissa * _POWERS[exponent]
    return mantissa * 10.0**exponent


@compiled
def _infinity(text, i, mark):
    """Where the number at i ends if it is inf (1.#INF of Windows, mark behind the dot), else -1."""
    if mark:
        i += 1
    if text[i] | _LOWER != _I or text[i + 1] | _LOWER != _N or text[i + 2] | _LOWER != _F:
        return -1
    while text[i] > _SPACE:
        i += 1
    return i


@compiled
def _digits(octets):
    """How many of eight bytes, from the lowest on, are digits, and the number they make."""
    values = octets ^ _ZEROS
    others = (values | (values + _NINES)) & _HIGH_BITS
    count = 8 if others == 0 else trailing_zeros(others) >> 3
    if count == 0:
        return 0, 0
    values <<= 64 - 8 * count  # zeros before the first digit
    values = (values * 10 + (values >> 8)) & 0x00FF00FF00FF00FF  # numbers of two digits
    values = (values * 100 + (values >> 16)) & 0x0000FFFF0000FFFF
    return count, (values * 10000 + (values >> 32)) & 0xFFFFFFFF


@compiled
def parse_number(text, i):
    """The number at i and where it ends; NaN where none stands there."""
    negative = text[i] == _MINUS
    if negative or text[i] == _PLUS:
        i += 1
    first, mantissa, exponent, dots = i, 0, 0, 0
    while True:
        if dots == 1 and mantissa < 1000000000:
            count, digits = _digits(load8(text, i))
            mantissa = mantissa * _TENS[count] + digits
            exponent -= count
            i += count
        c = text[i]
        if _ZERO <= c <= _NINE:
            if mantissa < _MANTISSA:
                mantissa = 10 * mantissa + (c - _ZERO)
                exponent -= dots
            else:
                exponent += 1 - dots
        elif c == _DOT and dots == 0:
            dots = 1
        else:
            break
        i += 1
    if i - first - dots == 0 or text[i] == _HASH:
        i = _infinity(text, i, text[i] == _HASH)
        return (np.nan if i < 0 else -np.inf if negative else np.inf), max(i, first)
    if text[i] | _LOWER == _E:
        i += 1
        below, power = text[i] == _MINUS, 0
        if below or text[i] == _PLUS:
            i += 1
        first = i
        while _ZERO <= text[i] <= _NINE:
            power = min(10 * power + (text[i] - _ZERO), 9999)
            i += 1
        if i == first:
            return np.nan, i
        exponent += -power if below else power
    value = _decimal(mantissa, exponent)
    return (-value if negative else value), i


@compiled
def _skip(text, i):
    """Past spaces, tabs and carriage returns."""
    while text[i] == _SPACE or text[i] == _TAB or text[i] == _RETURN:
        i += 1
    return i


@compiled
def _key(text, i):
    """Key of the word at i, and where it ends.

    A word of at most eight bytes is its own key, as no byte of it is 0 or 1. Others are hashed;
    the highest byte of their keys is 1.
    """
    first, key = i, np.int64(0)
    while True:
        octets = load8(text, i)
        blanks = (octets - _BLANKS) & ~octets & _HIGH_BITS  # the lowest bit is right, others less
        if blanks != 0:
            break
        key = octets if i == first else (key ^ (key >> 31) ^ octets) * _MIX
        i += 8
    count = trailing_zeros(blanks) >> 3
    octets &= (np.int64(1) << (8 * count)) - 1
    if i == first:
        return octets, i + count
    if i + count == first + 8:
        return key, i
    key = (key ^ (key >> 31) ^ octets) * _MIX
    return ((key ^ (key >> 29)) & _BELOW) | _LONG, i + count


@compiled
def _same(text, begin, end, store, place, size):
    if end - begin != size:
        return False
    for i in range(size):
        if text[begin + i] != store[place + i]:
            return False
    return True


@compiled
def _find(key, text, begin, end, slots, starts, store):
    """Slot and number of the word text[begin:end]; -1 where it is not known.

    Slots (S, 2) hold the key and the number + 1 of a word.
    """
    slot = ((key * _MIX) >> 32) & (len(slots) - 1)
    while True:
        number = slots[slot, 1] - 1
        if number < 0:
            return slot, number
        if slots[slot, 0] == key and (
            (key >> 56) != 1
            or _same(text, begin, end, store, starts[number], starts[number + 1] - starts[number])
        ):
            return slot, number
        slot = (slot + 1) & (len(slots) - 1)


@compiled
def find_word(text, slots, starts, store):
    """Number of the word at the beginning of ``text``, which has room behind, or -1."""
    key, end = _key(text, 0)
    return _find(key, text, 0, end, slots, starts, store)[1]


@compiled
def insert_words(slots, starts, store, known):
    """Enter all words, which differ, into empty slots; the store has room behind."""
    word = np.zeros(0, np.uint8)
    for number in range(known):
        size = starts[number + 1] - starts[number]
        if len(word) < size + 16:
            word = np.zeros(2 * size + 16, np.uint8)
        word[:size] = store[starts[number] : starts[number + 1]]
        word[size] = 0
        key = _key(word, 0)[0]
        slot = ((key * _MIX) >> 32) & (len(slots) - 1)
        while slots[slot, 1] != 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot, 0], slots[slot, 1] = key, number + 1


@compiled
def _natural(value):
    return -np.inf if value == LOG_ZERO else value * _LN_10


@compiled
def parse_lines(
    text, begin, end, learn, highest, slots, starts, store, known, given, numbers,
    log_prob, log_backoff, lines,
):  # fmt: skip
    """Read the k-grams that stand in text[begin:end], one a line.

    A line is read whole or not at all.

    Args:
        text: bytes (uint8); text[end - 1] is a newline, and ``ROOM`` bytes follow.
        begin: start of a line.
        end: where to stop.
        learn: whether the lines are unigrams, whose words are entered.
        highest: whether no longer n-grams follow, so that a back-off weight must be 0.
        slots: hash table (S, 2) of key and number + 1, S a power of two.
        starts: first byte of each word in ``store``, and one entry more.
        store: bytes of all words.
        known: how many words there are.
        given: whether each of the first words has been given (bool); others cannot be entered
            twice.
        numbers: receives the words of each k-gram (R, k).
        log_prob: receives the natural logarithms (R,).
        log_backoff: receives the natural logarithms (R,).
        lines: receives the line of each k-gram (R,), from 0 for the line at ``begin``.

    Returns:
        How it ended, where in the text, k-grams read, lines passed, words known.
    """
    order, row, line, i = numbers.shape[1], 0, 0, begin
    while i < end:
        fresh, start = known, i
        i = _skip(text, i)
        if text[i] == _NEWLINE:
            i += 1
            line += 1
            continue
        if text[i] == _BACKSLASH:
            return SECTION, start, row, line, known
        if row == len(numbers):
            return NO_ROOM, start, row, line, known
        value, i = parse_number(text, i)
        if not SMALLEST < value <= LARGEST_PROB and value != -np.inf:
            return DAMAGED, start, row, line, known
        log_prob[row] = _natural(value)
        for k in range(order):
            after = _skip(text, i)
            if after == i or text[after] <= _SPACE:
                return DAMAGED, start, row, line, known
            key, i = _key(text, after)
            slot, number = _find(key, text, after, i, slots, starts, store)
            if learn:
                if number >= 0 and (number >= len(given) or given[number]):
                    return DAMAGED, start, row, line, known
                if number < 0:
                    if 2 * known >= len(slots) or starts[known] + i - after > len(store):
                        return NO_ROOM, start, row, line, known
                    number, fresh = known, known + 1
                    for place in range(after, i):
                        store[starts[known] + place - after] = text[place]
                    starts[fresh] = starts[known] + i - after
                    slots[slot, 0], slots[slot, 1] = key, fresh
            elif number < 0:
                return DAMAGED, start, row, line, known
            numbers[row, k] = number
        log_backoff[row] = 0
        after = _skip(text, i)
        if text[after] != _NEWLINE:
            value, i = parse_number(text, after)
            good = SMALLEST < value <= LARGEST_BACKOFF or value == -np.inf
            if not good or (highest and value != 0) or text[i] > _SPACE:
                return DAMAGED, start, row, line, known
            log_backoff[row] = _natural(value)
            after = _skip(text, i)
            if text[after] != _NEWLINE:
                return DAMAGED, start, row, line, known
        if learn:
            known = fresh
            if numbers[row, 0] < len(given):
                given[numbers[row, 0]] = True
        lines[row] = line
        i = after + 1
        row += 1
        line += 1
    return FINISHED, i, row, line, known
