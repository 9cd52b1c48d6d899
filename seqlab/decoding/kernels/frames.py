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
from seqlab.decoding.kernels.chances import chance_of
from seqlab.decoding.kernels.commit import follow
from seqlab.decoding.kernels.extend import extend
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
    LAST,
    N_ENTRY,
    N_LOG,
    N_START,
    NO_ENTRY,
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

_NONE, _ONE = np.uint64(0), np.uint64(1)


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
        least, count = extend(space, scratch, limits, fusion, tables, row, peak, t, best, least)
        follow(space, scratch, limits, fusion, tables, row, peak, least, count)
        counters[FRAME] += 1
    return len(log_probs)


@inlined
def _stay(space, scratch, limits, row, peak, t):
    """What prefixes have that keep their text; returns the best and the least of them."""
    side, followed = space.counters[SIDE], space.counters[BEAMS]
    beams, scores = space.beams[side], space.scores[side]
    next_beams, next_scores = space.beams[1 - side], space.scores[1 - side]
    silence, best, least = math.exp(row[limits.blank] - peak), 0.0, np.inf
    frame = np.int32(space.counters[FRAME])
    for i in range(followed):
        scratch.first[i], scratch.seen[i] = -1, _NONE
    for i in range(followed):
        ends = _last_token(space, scratch, row, peak, t, i)
        quiet = scores[i, TOTAL] * silence
        next_beams[i, NODE], next_beams[i, LAST] = beams[i, NODE], beams[i, LAST]
        next_beams[i, BEFORE] = beams[i, BEFORE]
        v_b, v_n = scores[i, V_B], scores[i, V_N]
        b_log, n_log, b_end = scores[i, B_LOG], scores[i, N_LOG], beams[i, B_END]
        b_start, n_start = beams[i, B_START], beams[i, N_START]
        b_entry, n_entry = beams[i, B_ENTRY], beams[i, N_ENTRY]
        silent = v_b >= v_n  # all is read before: no decision is needed then
        next_scores[i, V_B] = (v_b if silent else v_n) * silence
        next_scores[i, B_LOG] = b_log if silent else n_log
        next_beams[i, B_START] = b_start if silent else n_start
        next_beams[i, B_END] = b_end if silent else frame
        next_beams[i, B_ENTRY] = b_entry if silent else n_entry
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
        chance = chance_of(scratch, row, peak, token, t)
        ends, viterbi = scores[i, P_N] * chance, scores[i, V_N] * chance
        summed = scores[i, N_LOG] + row[token]
        slot = space.nodes[parent, SLOT] if parent >= 0 else -1
        if slot >= 0:  # the parent steps to it
            scratch.then[i], scratch.first[slot] = scratch.first[slot], i
            scratch.seen[slot] |= _ONE << np.uint64(token & 63)
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
