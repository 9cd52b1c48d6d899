"""The new prefixes of a frame: those that may be among the best enter the pool."""

from __future__ import annotations

import math

import numpy as np

from seqlab.decoding.kernels.borrowing import inlined
from seqlab.decoding.kernels.chances import choose_tokens
from seqlab.decoding.kernels.fusion import is_followed, ones, propose, walk
from seqlab.decoding.kernels.layout import (
    BEAMS,
    DEAD,
    FIRST,
    GAIN,
    HOT,
    INNER,
    LAST,
    NO_WORD,
    NODE,
    P_B,
    SIDE,
    TOKEN_LM,
    TOTAL,
    TRIE,
)
from seqlab.decoding.kernels.pool import cut_of, squeeze

_ONE = np.uint64(1)


@inlined
def extend(space, scratch, limits, fusion, tables, row, peak, t, best, least):
    """Enter new prefixes into the pool that may be among the best.

    Returns the worth that a prefix must have to be followed, as far as it is known, and the size
    of the pool.
    """
    followed, side = space.counters[BEAMS], space.counters[SIDE]
    beams, scores = space.beams[side], space.scores[side]
    tokens, chances, worth = scratch.tokens, scratch.chances, scratch.worth
    ratio = math.exp(-limits.threshold)
    if followed < limits.beam:
        least = 0.0
    least, count = max(least, best * ratio), followed
    inside, tried = choose_tokens(space, scratch, limits, fusion, row, peak, t, least)
    simple = not fusion.hot and fusion.lm != TOKEN_LM  # within a word only the trie counts then
    for i in range(followed if tried > 0 else 0):
        total, last, node = scores[i, TOTAL], beams[i, LAST], beams[i, NODE]
        j, gain, end = 0, 1.0 if fusion.plain else space.values[node, INNER], inside
        while j < tried:
            if j == end or total * chances[j] * gain < least:
                if end == tried:
                    break
                j, gain, end = inside, space.values[node, GAIN], tried
                continue
            token = tokens[j]
            chance = (scores[i, P_B] if token == last else total) * chances[j]
            j += 1
            if chance * gain < least or chance == 0:
                continue
            if count + fusion.widest > len(worth):
                least, count = _make_room(scratch, limits, followed, count, least)
            made = count
            if fusion.plain:
                made = _enter_plain(space, scratch, i, token, chance, count)
            elif simple and end == inside:
                made = _go_on(space, scratch, fusion, i, token, chance, least, count)
            else:
                made = propose(space, scratch, fusion, tables, i, token, chance, least, count)
            for k in range(count, made):
                best = max(best, worth[k])
            least, count = max(least, best * ratio), made
    return least, count


@inlined
def _make_room(scratch, limits, followed, count, least):
    """Give up what is not among the best of a full pool; returns what others must be worth."""
    cut, ties = cut_of(scratch.worth, scratch.cuts, count, least, limits.beam)
    return max(least, cut), squeeze(scratch, followed, count, cut, ties)


@inlined
def _enter_plain(space, scratch, slot, token, chance, count):
    """Enter a prefix into the pool if it is not followed already; returns the size of the pool."""
    if not is_followed(space, scratch, slot, token, NO_WORD):
        scratch.pool[count, 0], scratch.pool[count, 1] = slot, token
        scratch.pool[count, 2], scratch.worth[count] = NO_WORD, chance
        count += 1
    return count


@inlined
def _go_on(space, scratch, fusion, slot, token, chance, least, count):
    """As ``propose``, for a token within a word where neither tokens nor hotwords are scored."""
    node = space.beams[space.counters[SIDE], slot, NODE]
    trie = space.nodes[node, TRIE]
    bit, after, factor = fusion.bits[token], DEAD, 1.0
    if bit != 0:
        below = fusion.masks[trie]
        if below & bit != 0:
            after = fusion.edges_at[trie] + ones(below & (bit - _ONE)) + FIRST
    else:
        after = walk(fusion, trie, token)
    if after == DEAD and not fusion.open:
        return count
    extra = fusion.ahead[after] - fusion.ahead[trie]
    if bit != 0 and after != DEAD:
        factor = fusion.leaps[after]
    elif extra != 0:
        factor = math.exp(extra)
    worth = chance * factor
    if worth >= least and worth > 0 and not is_followed(space, scratch, slot, token, NO_WORD):
        pool, parts = scratch.pool, scratch.parts
        pool[count, 0], pool[count, 1], pool[count, 2] = slot, token, NO_WORD
        pool[count, 3], pool[count, 4] = after, space.nodes[node, HOT]
        scratch.worth[count] = worth
        parts[count, 0], parts[count, 1], parts[count, 2], parts[count, 3] = extra, 0.0, 0.0, factor
        count += 1
    return count


__all__ = ["extend"]
