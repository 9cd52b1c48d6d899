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
    ENTRIES,
    FACTOR,
    FRAME,
    GAIN,
    N_ENTRY,
    N_LOG,
    N_START,
    NO_ENTRY,
    NO_WORD,
    NODE,
    NODES,
    P_B,
    P_N,
    PARENT,
    SIDE,
    SLOT,
    TOKEN,
    TOTAL,
    V_B,
    V_N,
)
from seqlab.decoding.kernels.order import select_best, sort_tokens

_ROUNDING = 1e-5  # nats; float32 numbers are compared


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
    for t in range(begin, len(log_probs)):
        if counters[NODES] + room > len(space.nodes) or counters[ENTRIES] + room > len(
            space.entries
        ):
            return t
        row, peak = log_probs[t], np.float64(peaks[t])  # differences are those of doubles
        best, least = _stay(space, scratch, limits, row, peak)
        count = _extend(space, scratch, limits, fusion, tables, row, peak, best, least)
        follow(space, scratch, limits, fusion, tables, row, peak, count)
        counters[FRAME] += 1
    return len(log_probs)


@inlined
def _stay(space, scratch, limits, row, peak):
    """What prefixes have that keep their text; returns the best and the least of them."""
    nodes, values, side = space.nodes, space.values, space.counters[SIDE]
    beams, scores, frame = space.beams[side], space.scores[side], space.counters[FRAME]
    stays, stay_scores = scratch.stays, scratch.stay_scores
    first, then, pool, worth = scratch.first, scratch.then, scratch.pool, scratch.worth
    silence = math.exp(row[limits.blank] - peak)
    best, least = 0.0, np.inf
    for i in range(space.counters[BEAMS]):
        first[i] = -1
    for i in range(space.counters[BEAMS]):
        node = beams[i, NODE]
        token, parent = nodes[node, TOKEN], nodes[node, PARENT]
        ends, viterbi, summed = 0.0, 0.0, 0.0
        start, entry = beams[i, N_START], beams[i, N_ENTRY]
        if token >= 0:
            chance = math.exp(row[token] - peak)
            ends, viterbi = scores[i, P_N] * chance, scores[i, V_N] * chance
            summed = scores[i, N_LOG] + row[token]
            slot = nodes[parent, SLOT] if parent >= 0 else -1
            if slot >= 0:  # the parent steps to it
                then[i], first[slot] = first[slot], i
                chance *= values[node, FACTOR]
                other = scores[slot, V_B]
                if nodes[parent, TOKEN] == token:
                    ends += scores[slot, P_B] * chance
                else:
                    ends += scores[slot, TOTAL] * chance
                    other = max(other, scores[slot, V_N])
                if other * chance > viterbi:
                    viterbi, summed, start = other * chance, row[token], frame
                    entry = NO_ENTRY - 1 - slot
        quiet = scores[i, TOTAL] * silence
        stays[i, NODE], stays[i, N_START], stays[i, N_ENTRY] = node, start, entry
        if scores[i, V_B] >= scores[i, V_N]:
            stay_scores[i, V_B], stay_scores[i, B_LOG] = scores[i, V_B] * silence, scores[i, B_LOG]
            stays[i, B_START], stays[i, B_END] = beams[i, B_START], beams[i, B_END]
            stays[i, B_ENTRY] = beams[i, B_ENTRY]
        else:
            stay_scores[i, V_B], stay_scores[i, B_LOG] = scores[i, V_N] * silence, scores[i, N_LOG]
            stays[i, B_START], stays[i, B_END] = beams[i, N_START], frame
            stays[i, B_ENTRY] = beams[i, N_ENTRY]
        stay_scores[i, P_N], stay_scores[i, P_B] = ends, quiet
        stay_scores[i, V_N], stay_scores[i, N_LOG] = viterbi, summed
        stay_scores[i, TOTAL] = ends + quiet
        pool[i, 0], worth[i], scratch.order[i] = i, ends + quiet, i
        best, least = max(best, ends + quiet), min(least, ends + quiet)
    return best, least


@inlined
def _choose_tokens(space, scratch, limits, fusion, row, peak, least):
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
    for i in range(count):
        chances[i] = math.exp(row[tokens[i]] - peak)
    sort_tokens(chances, tokens, count)
    return count


@inlined
def _extend(space, scratch, limits, fusion, tables, row, peak, best, least):
    """Enter new prefixes into the pool that may be among the best; returns its size."""
    followed, side = space.counters[BEAMS], space.counters[SIDE]
    beams, scores, nodes, values = space.beams[side], space.scores[side], space.nodes, space.values
    tokens, chances, worth, order = scratch.tokens, scratch.chances, scratch.worth, scratch.order
    first, then, pool = scratch.first, scratch.then, scratch.pool
    ratio = math.exp(-limits.threshold)
    if followed < limits.beam:
        least = 0.0
    least, count = max(least, best * ratio), followed
    for i in range(followed, len(order)):
        order[i] = i
    tried = _choose_tokens(space, scratch, limits, fusion, row, peak, least)
    for i in range(followed):
        total, node = scores[i, TOTAL], beams[i, NODE]
        last, gain = nodes[node, TOKEN], 1.0 if fusion.plain else values[node, GAIN]
        for j in range(tried):
            token = tokens[j]
            if total * chances[j] * gain < least:
                break
            chance = (scores[i, P_B] if token == last else total) * chances[j]
            if chance * gain < least or chance == 0:
                continue
            if count + fusion.widest > len(order):
                least = max(least, select_best(worth, order, count, limits.beam))
                count = limits.beam
            if not fusion.plain:
                made = propose(space, scratch, fusion, tables, i, token, chance, least, count)
                for k in range(count, made):
                    best = max(best, worth[order[k]])
                least, count = max(least, best * ratio), made
                continue
            child = first[i]
            while child >= 0 and nodes[beams[child, NODE], TOKEN] != token:
                child = then[child]
            if child < 0:
                place = order[count]
                pool[place, 0], pool[place, 1] = -1, i
                pool[place, 2], pool[place, 3] = token, NO_WORD
                worth[place] = chance
                best, count = max(best, chance), count + 1
            least = max(least, best * ratio)
    return count
