"""Compiled loop that parts text into its characters."""

from __future__ import annotations

from seqlab.compiled import compiled

_SPACE, _NEWLINE = 32, 10


@compiled
def _character_length(text, i):
    """Bytes of the UTF-8 character at i (RFC 3629, section 4); 1 where there is none.

    A newline must follow somewhere, so that an incomplete character ends before the text does.
    """
    c = text[i]
    if c < 0xC2 or c > 0xF4:
        return 1
    low, high = 0x80, 0xBF  # of the second byte
    if c == 0xE0:
        low = 0xA0
    elif c == 0xED:
        high = 0x9F
    elif c == 0xF0:
        low = 0x90
    elif c == 0xF4:
        high = 0x8F
    if text[i + 1] < low or text[i + 1] > high:
        return 1
    length = 2 if c < 0xE0 else 3 if c < 0xF0 else 4
    for j in range(2, length):
        if text[i + j] < 0x80 or text[i + j] > 0xBF:
            return 1
    return length


@compiled
def part_characters(text, space, out):
    """Write every character as a word of its own; returns how many bytes were written.

    Args:
        text: bytes (uint8) of whole lines, the last ending with a newline.
        space: bytes that stand for white space between two words; none leave it out.
        out: room for ``max(2, len(space) + 1)`` times the bytes of the text.
    """
    written, pending, inside = 0, False, False
    i = 0
    while i < len(text):
        c = text[i]
        if c <= _SPACE:
            pending = inside
            if c == _NEWLINE:
                out[written] = _NEWLINE
                written += 1
                pending = inside = False
            i += 1
            continue
        if pending and len(space) > 0:
            for j in range(len(space)):
                out[written] = space[j]
                written += 1
            out[written] = _SPACE
            written += 1
        pending, inside = False, True
        if c < 0x80:
            out[written] = c
            written += 1
            i += 1
        else:
            for _ in range(_character_length(text, i)):
                out[written] = text[i]
                written += 1
                i += 1
        out[written] = _SPACE
        written += 1
    return written
