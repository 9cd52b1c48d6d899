"""Which tokens of a frame may lead to a prefix that is followed, and how probable they are."""

from __future__ import annotations

import math

import numpy as np

from seqlab.decoding.kernels.borrowing import inlined
from seqlab.decoding.kernels.layout import BEAMS, GAIN, INNER, INSIDE, NODE, SIDE, TOTAL
from seqlab.decoding.kernels.order import rank_tokens, select_best, sort_tokens

_FEW = 32
_BLOCK = 32
_ROUNDING = 1e-5  # nats; float32 numbers are compared


@inlined
def chance_of(scratch, row, peak, token, t):
    """Probability of a token, as a share of the best one's."""
    if scratch.asked[token] != t:
        scratch.asked[token] = t
        scratch.known[token] = math.exp(row[token] - peak)
    return scratch.known[token]


@inlined
def choose_tokens(space, scratch, limits, fusion, row, peak, t, least):
    """Collect the tokens that may lead to a prefix worth ``least``.

    Those that only go on with a word come first, as most tokens do; the score rises less with them,
    so that fewer of them are worth trying. Both parts are sorted, the most probable first.

    Returns:
        how many come first, and how many there are.
    """
    tokens, most = scratch.tokens, limits.max_tokens
    if fusion.plain:  # the best prefix alone fills the beam with better tokens
        most = min(most, limits.beam + 1)
    reach, within = _reach(space, fusion)
    count, lowest = 0, _lowest(least, reach, peak, peak - limits.token_threshold)
    count = _collect(row, tokens, count, 0, limits.blank, lowest)
    count = _collect(row, tokens, count, limits.blank + 1, len(row), lowest)
    scrambled = count >= most or count > _FEW
    if count > most:
        select_best(row, tokens, count, most)
        count = most
    inside = count
    if not fusion.plain:
        inside, count = _part(scratch, fusion, row, count, _lowest(least, within, peak, lowest))
    if not scrambled:
        rank_tokens(row, tokens, scratch.others, scratch.keys, inside)
        rank_tokens(row, tokens[inside:], scratch.others, scratch.keys, count - inside)
    for i in range(count):
        scratch.chances[i] = chance_of(scratch, row, peak, tokens[i], t)
    if scrambled:
        sort_tokens(scratch.chances, tokens, inside)
        sort_tokens(scratch.chances[inside:], tokens[inside:], count - inside)
    return inside, count


@inlined
def _reach(space, fusion):
    """The most that a token may lead to if it is certain: any token, and one within a word."""
    side, reach, within = space.counters[SIDE], 0.0, 0.0
    beams, scores, values = space.beams[side], space.scores[side], space.values
    if fusion.plain:
        for i in range(space.counters[BEAMS]):
            reach = max(reach, scores[i, TOTAL])
        return reach, reach
    for i in range(space.counters[BEAMS]):
        reach = max(reach, scores[i, TOTAL] * values[beams[i, NODE], GAIN])
        within = max(within, scores[i, TOTAL] * values[beams[i, NODE], INNER])
    return reach, within


@inlined
def _lowest(least, reach, peak, otherwise):
    """The log-probability that a token must have for a prefix worth ``least``."""
    lowest = np.float64(otherwise)
    if least > 0 and 0 < reach < np.inf:
        lowest = max(lowest, peak + math.log(least / reach) - _ROUNDING)
    return np.float32(lowest)


@inlined
def _collect(row, tokens, count, begin, end, lowest):
    """Append tokens of ``lowest`` or more to a list; returns how long it is then."""
    c = begin
    while c < end:
        if end - c >= _BLOCK:  # most blocks of many tokens hold none
            found = 0
            for k in range(_BLOCK):
                found += row[c + k] >= lowest
            if found == 0:
                c += _BLOCK
                continue
        for k in range(c, min(c + _BLOCK, end)):
            tokens[count] = k
            count += row[k] >= lowest
        c += _BLOCK
    return count


@inlined
def _part(scratch, fusion, row, count, lowest):
    """Let tokens that go on with a word come first, without those below ``lowest``."""
    tokens, others, inside, rest = scratch.tokens, scratch.others, 0, 0
    for i in range(count):
        token = tokens[i]
        goes_on = fusion.kinds[token] == INSIDE
        others[rest], tokens[inside] = token, token
        rest += not goes_on
        inside += goes_on and row[token] >= lowest
    for i in range(rest):
        tokens[inside + i] = others[i]
    return inside, inside + rest
