"""Compiled loops from bytes of text to word numbers, and the hash table of the words."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled

UNKNOWN, BEGIN, END, GAP = 0, 1, 2, -1  # word numbers; a gap is no word, and n-grams end at it

_OFFSET, _PRIME, _SHIFT = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(29)
_ONE = np.uint64(1)
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
    before = begin - 1
    while before >= 0 and text[before] <= _SPACE and text[before] != _NEWLINE:
        before -= 1
    fresh = before < 0 or text[before] == _NEWLINE  # nothing of this line was written
    while i < end:
        c = text[i]
        if c <= _SPACE and c != _NEWLINE:
            i += 1
            continue
        if count + 3 > len(out):
            break
        if marks and fresh:
            out[count] = BEGIN
            count += 1
        if c == _NEWLINE:
            out[count] = END if marks else GAP
            count += 1
            i += 1
            fresh = True
            continue
        first, value = i, _OFFSET
        while text[i] > _SPACE:
            value = (value ^ np.uint64(text[i])) * _PRIME
            i += 1
        value ^= value >> _SHIFT
        slot, number = find_word(text, first, i, value, table, hashes, starts, store)
        if number == BEGIN or number == END:
            return -1 - first, count, known
        if number < 0 and learn:
            place = starts[known]
            if known >= room or place + i - first > len(store):
                return first, count - (1 if marks and fresh else 0), known
            for j in range(i - first):
                store[place + j] = text[first + j]
            hashes[known] = value
            starts[known + 1] = place + i - first
            table[slot] = known + 1
            number = np.int32(known)
            known += 1
        out[count] = max(number, np.int32(UNKNOWN))
        count += 1
        fresh = False
    return i, count, known
