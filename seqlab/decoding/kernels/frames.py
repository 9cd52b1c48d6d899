"""The frames of the prefix beam search.

Source: Graves and Jaitly 2014, "Towards End-to-End Speech Recognition with Recurrent Neural
Networks", algorithm 1, and Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech
Recognition using Bi-Directional Recurrent DNNs". Other than there, a frame first finishes all
prefixes that keep their text. What a prefix gains from its parent is known then, too, so that new
prefixes are final as soon as they are made, and those that cannot be among the best are not made.
"""

from __future__ import annotations

import math

import numpy as np

from seqlab.decoding.kernels.borrowing import borrowing, inlined
from seqlab.decoding.kernels.commit import follow
from seqlab.decoding.kernels.fusion import propose
from seqlab.decoding.kernels.layout import (
    B_END,
    B_ENTRY,
    B_LOG,
    B_START,
    BEAMS,
    BEFORE,
    ENTRIES,
    FACTOR,
    FRAME,
    GAIN,
    LAST,
    N_ENTRY,
    N_LOG,
    N_START,
    NO_ENTRY,
    NO_WORD,
    NODE,
    NODES,
    P_B,
    P_N,
    SIDE,
    SLOT,
    TOTAL,
    V_B,
    V_N,
)
from seqlab.decoding.kernels.order import rank_tokens, select_best, sort_tokens
from seqlab.decoding.kernels.pool import cut_of, squeeze

_FEW = 32
_ROUNDING = 1e-5  # nats; float32 numbers are compared


@borrowing
def find_peaks(log_probs, lengths, peaks):
    """The largest number of each frame, NaN where one is NaN.

    Args:
        log_probs: (B, T', C), float32.
        lengths: valid frames (B,).
        peaks: receives them (B, T'); what stands behind the valid frames is not touched.
    """
    for b in range(len(log_probs)):
        for t in range(lengths[b]):
            row = log_probs[b, t]
            peak = row[0]
            for c in range(1, len(row)):
                if row[c] > peak or row[c] != row[c]:
                    peak = row[c]
            peaks[b, t] = peak


@borrowing
def advance(space, scratch, limits, fusion, tables, log_probs, peaks, begin):
    """Search frames ``begin`` and following.

    Args:
        space: what the search remembers; changed.
        scratch: room.
        limits: width of the search.
        fusion: what else counts.
        tables: of the language model.
        log_probs: (T', C), float32.
        peaks: the largest of each frame (T',), finite.
        begin: first frame.

    Returns:
        the frame that could not be searched for want of room in ``space``, T' if there is none.
    """
    counters, room = space.counters, limits.beam
    scratch.asked[:] = -1
    for t in range(begin, len(log_probs)):
        if counters[NODES] + room > len(space.nodes) or counters[ENTRIES] + room > len(
            space.entries
        ):
            return t
        row, peak = log_probs[t], np.float64(peaks[t])  # differences are those of doubles
        best, least = _stay(space, scratch, limits, row, peak, t)
        least, count = _extend(space, scratch, limits, fusion, tables, row, peak, t, best, least)
        follow(space, scratch, limits, fusion, tables, row, peak, least, count)
        counters[FRAME] += 1
    return len(log_probs)


@inlined
def _chance(scratch, row, peak, token, t):
    """Probability of a token, as a share of the best one's."""
    if scratch.asked[token] != t:
        scratch.asked[token] = t
        scratch.known[token] = math.exp(row[token] - peak)
    return scratch.known[token]


@inlined
def _stay(space, scratch, limits, row, peak, t):
    """What prefixes have that keep their text; returns the best and the least of them."""
    side, followed = space.counters[SIDE], space.counters[BEAMS]
    beams, scores = space.beams[side], space.scores[side]
    next_beams, next_scores = space.beams[1 - side], space.scores[1 - side]
    silence, best, least = math.exp(row[limits.blank] - peak), 0.0, np.inf
    for i in range(followed):
        scratch.first[i] = -1
    for i in range(followed):
        ends = _last_token(space, scratch, row, peak, t, i)
        quiet = scores[i, TOTAL] * silence
        for column in (NODE, LAST, BEFORE):
            next_beams[i, column] = beams[i, column]
        if scores[i, V_B] >= scores[i, V_N]:
            next_scores[i, V_B], next_scores[i, B_LOG] = scores[i, V_B] * silence, scores[i, B_LOG]
            next_beams[i, B_START], next_beams[i, B_END] = beams[i, B_START], beams[i, B_END]
            next_beams[i, B_ENTRY] = beams[i, B_ENTRY]
        else:
            next_scores[i, V_B], next_scores[i, B_LOG] = scores[i, V_N] * silence, scores[i, N_LOG]
            next_beams[i, B_START] = beams[i, N_START]
            next_beams[i, B_END] = space.counters[FRAME]
            next_beams[i, B_ENTRY] = beams[i, N_ENTRY]
        next_scores[i, P_N], next_scores[i, P_B] = ends, quiet
        next_scores[i, TOTAL] = scratch.worth[i] = ends + quiet
        best, least = max(best, ends + quiet), min(least, ends + quiet)
    return best, least


@inlined
def _last_token(space, scratch, row, peak, t, i):
    """What a prefix has that ends in its last token in this frame; returns its probability."""
    side = space.counters[SIDE]
    beams, scores = space.beams[side], space.scores[side]
    token, parent = beams[i, LAST], beams[i, BEFORE]
    ends, viterbi, summed = 0.0, 0.0, 0.0
    start, entry = beams[i, N_START], beams[i, N_ENTRY]
    if token >= 0:
        chance = _chance(scratch, row, peak, token, t)
        ends, viterbi = scores[i, P_N] * chance, scores[i, V_N] * chance
        summed = scores[i, N_LOG] + row[token]
        slot = space.nodes[parent, SLOT] if parent >= 0 else -1
        if slot >= 0:  # the parent steps to it
            scratch.then[i], scratch.first[slot] = scratch.first[slot], i
            chance *= space.values[beams[i, NODE], FACTOR]
            other = scores[slot, V_B]
            if beams[slot, LAST] == token:
                ends += scores[slot, P_B] * chance
            else:
                ends += scores[slot, TOTAL] * chance
                other = max(other, scores[slot, V_N])
            if other * chance > viterbi:
                viterbi, summed, start = other * chance, row[token], space.counters[FRAME]
                entry = NO_ENTRY - 1 - slot
    next_beams, next_scores = space.beams[1 - side], space.scores[1 - side]
    next_beams[i, N_START], next_beams[i, N_ENTRY] = start, entry
    next_scores[i, V_N], next_scores[i, N_LOG] = viterbi, summed
    return ends


@inlined
def _choose_tokens(space, scratch, limits, fusion, row, peak, t, least):
    """Collect the tokens that may lead to a prefix worth ``least``, best first; how many."""
    beams, scores = space.beams[space.counters[SIDE]], space.scores[space.counters[SIDE]]
    tokens, chances, values = scratch.tokens, scratch.chances, space.values
    reach, count, most = 0.0, 0, limits.max_tokens
    for i in range(space.counters[BEAMS]):
        gain = 1.0 if fusion.plain else values[beams[i, NODE], GAIN]
        reach = max(reach, scores[i, TOTAL] * gain)
    if fusion.plain:  # the best prefix alone fills the beam with better tokens
        most = min(most, limits.beam + 1)
    lowest = peak - limits.token_threshold
    if least > 0 and 0 < reach < np.inf:
        lowest = max(lowest, peak + math.log(least / reach) - _ROUNDING)
    lowest = np.float32(lowest)
    for c in range(len(row)):
        tokens[count] = c
        count += row[c] >= lowest and c != limits.blank
    if count > most:
        select_best(row, tokens, count, most)
        count = most
    elif count <= _FEW:
        rank_tokens(row, tokens, scratch.keys, count)
    for i in range(count):
        chances[i] = _chance(scratch, row, peak, tokens[i], t)
    if count == most or count > _FEW:
        sort_tokens(chances, tokens, count)
    return count


@inlined
def _extend(space, scratch, limits, fusion, tables, row, peak, t, best, least):
    """Enter new prefixes into the pool that may be among the best.

    Returns the worth that a prefix must have to be followed, as far as it is known, and the size
    of the pool.
    """
    followed, side = space.counters[BEAMS], space.counters[SIDE]
    beams, scores, values = space.beams[side], space.scores[side], space.values
    tokens, chances, worth = scratch.tokens, scratch.chances, scratch.worth
    ratio = math.exp(-limits.threshold)
    if followed < limits.beam:
        least = 0.0
    least, count = max(least, best * ratio), followed
    tried = _choose_tokens(space, scratch, limits, fusion, row, peak, t, least)
    for i in range(followed):
        total, last = scores[i, TOTAL], beams[i, LAST]
        gain = 1.0 if fusion.plain else values[beams[i, NODE], GAIN]
        for j in range(tried):
            token = tokens[j]
            if total * chances[j] * gain < least:
                break
            chance = (scores[i, P_B] if token == last else total) * chances[j]
            if chance * gain < least or chance == 0:
                continue
            if count + fusion.widest > len(worth):
                cut, ties = cut_of(scratch.worth, scratch.cuts, count, least, limits.beam)
                least = max(least, cut)
                count = squeeze(scratch, followed, count, cut, ties)
            made = count
            if fusion.plain:
                made = _enter_plain(space, scratch, i, token, chance, count)
            else:
                made = propose(space, scratch, fusion, tables, i, token, chance, least, count)
            for k in range(count, made):
                best = max(best, worth[k])
            least, count = max(least, best * ratio), made
    return least, count


@inlined
def _enter_plain(space, scratch, slot, token, chance, count):
    """Enter a prefix into the pool if it is not followed already; returns the size of the pool."""
    beams, child = space.beams[space.counters[SIDE]], scratch.first[slot]
    while child >= 0 and beams[child, LAST] != token:
        child = scratch.then[child]
    if child < 0:
        scratch.pool[count, 0], scratch.pool[count, 1] = slot, token
        scratch.pool[count, 2], scratch.worth[count] = NO_WORD, chance
        count += 1
    return count
