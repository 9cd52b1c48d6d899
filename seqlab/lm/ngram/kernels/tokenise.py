"""Compiled loops from bytes of text to word numbers, and the hash table of the words."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.prefetch import prefetch

UNKNOWN, BEGIN, END, GAP = 0, 1, 2, -1  # word numbers; a gap is no word, and n-grams end at it

_OFFSET, _PRIME, _SHIFT = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(29)
_ONE = np.uint64(1)
_BLOCK = 64  # words that are asked for together
_NEAR = 20_000  # words whose table lies near enough
_SPACE, _NEWLINE = 32, 10  # space and all control characters part words; a newline ends a line


@compiled
def hash_bytes(text, begin, end):
    """FNV-1a (Fowler, Noll, Vo) of text[begin:end], its high bits folded into the low ones."""
    value = _OFFSET
    for i in range(begin, end):
        value = (value ^ np.uint64(text[i])) * _PRIME
    return value ^ (value >> _SHIFT)


@compiled
def _same(text, begin, end, store, place):
    for i in range(end - begin):
        if text[begin + i] != store[place + i]:
            return False
    return True


@compiled
def find_word(text, begin, end, value, table, hashes, starts, store):
    """Slot and number of the word text[begin:end] of hash ``value``; -1 where it is not known."""
    mask = np.uint64(len(table) - 1)
    slot = value & mask
    while True:
        number = table[slot] - 1
        if number < 0:
            return slot, np.int32(-1)
        length = starts[number + 1] - starts[number]
        if (
            hashes[number] == value
            and length == end - begin
            and _same(text, begin, end, store, starts[number])
        ):
            return slot, np.int32(number)
        slot = (slot + _ONE) & mask


@compiled
def look_up(text, table, hashes, starts, store):
    """Number of the word ``text``, or -1 where it is not known."""
    value = hash_bytes(text, 0, len(text))
    return find_word(text, 0, len(text), value, table, hashes, starts, store)[1]


@compiled
def enter(text, table, hashes, starts, store, known):
    """Enter the word ``text`` as number ``known``; returns False where it was known before."""
    value = hash_bytes(text, 0, len(text))
    slot, number = find_word(text, 0, len(text), value, table, hashes, starts, store)
    if number >= 0:
        return False
    place = starts[known]
    for i in range(len(text)):
        store[place + i] = text[i]
    hashes[known] = value
    starts[known + 1] = place + len(text)
    table[slot] = known + 1
    return True


@compiled
def hash_words(starts, store, hashes):
    """Hash of every word to ``hashes``."""
    for number in range(len(hashes)):
        hashes[number] = hash_bytes(store, starts[number], starts[number + 1])


@compiled
def insert_words(table, hashes, first, last):
    """Enter the words ``first`` to ``last`` - 1, all different, into the hash table."""
    mask = np.uint64(len(table) - 1)
    for number in range(first, last):
        slot = hashes[number] & mask
        while table[slot] != 0:
            slot = (slot + _ONE) & mask
        table[slot] = number + 1


@compiled
def _scan(text, i, firsts, lasts, values):
    """Find the next words, and ends of lines as words without bytes.

    Returns:
        How many were found, and where to go on.
    """
    count, end = 0, len(text)
    while i < end and count < len(firsts):
        c = text[i]
        if c <= _SPACE:
            if c == _NEWLINE:
                firsts[count] = i
                lasts[count] = i
                count += 1
            i += 1
            continue
        firsts[count] = i
        value = _OFFSET
        while text[i] > _SPACE:
            value = (value ^ np.uint64(text[i])) * _PRIME
            i += 1
        lasts[count] = i
        values[count] = value ^ (value >> _SHIFT)
        count += 1
    return count, i


@compiled
def _ask_for(values, count, table, hashes, starts, store):
    """Ask the memory for what finding these words will read, all words at a time."""
    mask = np.uint64(len(table) - 1)
    for j in range(count):
        prefetch(table, values[j] & mask)
    for j in range(count):
        number = np.int64(table[values[j] & mask]) - 1
        prefetch(hashes, max(number, 0))
        prefetch(starts, max(number, 0))
    for j in range(count):
        number = np.int64(table[values[j] & mask]) - 1
        prefetch(store, starts[max(number, 0)])


@compiled
def _starts_line(text, i):
    """Whether nothing but blanks stands between text[i] and the beginning of its line."""
    i -= 1
    while i >= 0 and text[i] <= _SPACE and text[i] != _NEWLINE:
        i -= 1
    return i < 0 or text[i] == _NEWLINE


@compiled
def tokenise(text, begin, learn, marks, table, hashes, starts, store, known, out):
    """Numbers of the words of text[begin:], line by line.

    Args:
        text: bytes (uint8) that end with a newline.
        begin: where to start.
        learn: whether unknown words are entered; otherwise they become ``UNKNOWN``.
        marks: whether lines get BEGIN and END; otherwise a GAP ends them.
        table: hash table of number + 1, its length a power of two.
        hashes: of each word (uint64).
        starts: first byte of each word in ``store``, and one entry more.
        store: bytes of all words.
        known: how many words there are.
        out: receives the numbers (int32).

    Returns:
        Where it stopped (the end, or because a room was full), numbers written, words known.
        -1 - i in the first place says that a sentence mark stands in the text at i.
    """
    count, i, end = 0, begin, len(text)
    room = min(len(hashes), len(table) // 2)
    firsts, lasts = np.zeros(_BLOCK, np.int64), np.zeros(_BLOCK, np.int64)
    values = np.zeros(_BLOCK, np.uint64)
    fresh = _starts_line(text, begin)  # nothing of this line was written
    far = known > _NEAR
    while i < end:
        words, i = _scan(text, i, firsts, lasts, values)
        if far:
            _ask_for(values, words, table, hashes, starts, store)
        for j in range(words):
            first, last = firsts[j], lasts[j]
            if count + 3 > len(out):
                return first, count, known
            begun = count
            if marks and fresh:
                out[count] = BEGIN
                count += 1
            if first == last:
                out[count] = END if marks else GAP
                count += 1
                fresh = True
                continue
            slot, number = find_word(text, first, last, values[j], table, hashes, starts, store)
            if number == BEGIN or number == END:
                return -1 - first, count, known
            if number < 0 and learn:
                place = starts[known]
                if known >= room or place + last - first > len(store):
                    return first, begun, known
                for at in range(last - first):
                    store[place + at] = text[first + at]
                hashes[known] = values[j]
                starts[known + 1] = place + last - first
                table[slot] = known + 1
                number = np.int32(known)
                known += 1
            out[count] = max(number, np.int32(UNKNOWN))
            count += 1
            fresh = False
    return i, count, known
