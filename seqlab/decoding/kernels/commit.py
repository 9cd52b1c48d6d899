"""The end of a frame: the best of the pool become the prefixes that are followed."""

from __future__ import annotations

import math

from seqlab.decoding.kernels.borrowing import inlined
from seqlab.decoding.kernels.fusion import gain_bound, inner_bound, lm_item, units
from seqlab.decoding.kernels.layout import (
    B_END,
    B_ENTRY,
    B_LOG,
    B_START,
    BEAM_COLUMNS,
    BEAMS,
    BEFORE,
    BOOST,
    BORN,
    CHILD,
    E_BEFORE,
    E_END,
    E_START,
    ENDING,
    ENTRIES,
    EXTRA,
    FACTOR,
    FRAME,
    GAIN,
    HOT,
    INNER,
    LAST,
    LM,
    N_ENTRY,
    N_LOG,
    N_START,
    NO_ENTRY,
    NODE,
    NODES,
    P_B,
    P_N,
    PARENT,
    SCORE_COLUMNS,
    SIBLING,
    SIDE,
    SLOT,
    TOKEN,
    TOTAL,
    TRIE,
    UNKNOWNS,
    V_B,
    V_N,
    WORD,
    WORDS,
)
from seqlab.decoding.kernels.pool import cut_of
from seqlab.lm.ngram.kernels.query import step
from seqlab.lm.ngram.kernels.tokenise import UNKNOWN

_CHECK_DELAY = 8  # frames
_SMALL = 1e-50  # far from the smallest numbers, which are slow and less exact


@inlined
def follow(space, scratch, limits, fusion, tables, row, peak, least, count):
    """Follow the best of the pool's ``count`` prefixes from here on."""
    counters, worth = space.counters, scratch.worth
    side, followed, holes = counters[SIDE], counters[BEAMS], scratch.first
    beams, scores = space.beams[1 - side], space.scores[1 - side]
    cut, ties = cut_of(scratch.worth, scratch.cuts, count, least, limits.beam)
    end, free, filled, best, top = followed, 0, 0, 0.0, 0
    for k in range(followed):
        if worth[k] < cut or worth[k] == 0 or (worth[k] == cut and ties == 0):
            space.nodes[beams[k, NODE], SLOT] = -1
            holes[free] = k
            free += 1
            continue
        ties -= worth[k] == cut
        if beams[k, N_ENTRY] < NO_ENTRY:
            beams[k, N_ENTRY] = _link(space, NO_ENTRY - 1 - beams[k, N_ENTRY], beams[k, LAST])
        if worth[k] > best:
            best, top = worth[k], k
    for place in range(followed, count):
        if worth[place] < cut or (worth[place] == cut and ties == 0):
            continue
        ties -= worth[place] == cut
        if filled < free:
            k, filled = holes[filled], filled + 1
        else:
            k, end = end, end + 1
        _begin(space, scratch, fusion, tables, row, peak, place, k)
        if worth[place] > best:
            best, top = worth[place], k
    while filled < free:
        free, end = free - 1, end - 1
        if holes[free] < end:
            _move(space, beams, scores, end, holes[free])
            if top == end:
                top = holes[free]
    counters[SIDE], counters[BEAMS] = 1 - side, end
    if top > 0:
        _swap(space, beams, scores, top)
    if limits.delay > 0 and counters[FRAME] % _CHECK_DELAY == 0:
        _settle(space, limits.delay)
    if end > 0:
        space.offset[0] += peak + _rescale(scores, counters[BEAMS])


@inlined
def _rescale(scores, count):
    """Divide the probabilities by the best one if that is small; returns its logarithm.

    Those of single alignments have a scale of their own: they are only compared with each other,
    and their share in the sums falls without end as the utterance goes on.
    """
    best, path = scores[0, TOTAL], max(scores[0, V_N], scores[0, V_B])
    if best < _SMALL:
        for k in range(count):
            scores[k, P_N] /= best
            scores[k, P_B] /= best
            scores[k, TOTAL] /= best
    if path < _SMALL and path > 0:
        for k in range(count):
            scores[k, V_N] /= path
            scores[k, V_B] /= path
    return math.log(best) if best < _SMALL else 0.0


@inlined
def _link(space, slot, token):
    """An entry for the last token of a prefix in the best alignment that ``token`` goes on from."""
    side, entry = space.counters[SIDE], space.counters[ENTRIES]
    beams, scores, entries = space.beams[side], space.scores[side], space.entries
    last = beams[slot, LAST]
    if last < 0:
        return NO_ENTRY
    if last == token or scores[slot, V_B] >= scores[slot, V_N]:
        entries[entry, E_START], entries[entry, E_END] = beams[slot, B_START], beams[slot, B_END]
        entries[entry, E_BEFORE] = beams[slot, B_ENTRY]
        space.logs[entry] = scores[slot, B_LOG]
    else:
        entries[entry, E_START] = beams[slot, N_START]
        entries[entry, E_END] = space.counters[FRAME]
        entries[entry, E_BEFORE] = beams[slot, N_ENTRY]
        space.logs[entry] = scores[slot, N_LOG]
    space.counters[ENTRIES] = entry + 1
    return entry


@inlined
def _begin(space, scratch, fusion, tables, row, peak, place, k):
    """Follow a prefix of the pool that was not followed before, as the k-th."""
    side, slot, token = space.counters[SIDE], scratch.pool[place, 0], scratch.pool[place, 1]
    beams, scores, old = space.beams[1 - side], space.scores[1 - side], space.scores[side]
    parent = space.beams[side, slot, NODE]
    viterbi = old[slot, V_B]
    if space.beams[side, slot, LAST] != token:
        viterbi = max(viterbi, old[slot, V_N])
    viterbi *= scratch.known[token]  # it has been asked for in this frame
    if not fusion.plain:
        viterbi *= scratch.parts[place, 3]
    node = _child(space, scratch, fusion, tables, place, parent)
    space.nodes[node, SLOT] = k
    beams[k, NODE], beams[k, LAST], beams[k, BEFORE] = node, token, parent
    beams[k, N_START], beams[k, N_ENTRY] = space.counters[FRAME], _link(space, slot, token)
    beams[k, B_START], beams[k, B_END], beams[k, B_ENTRY] = 0, 0, NO_ENTRY
    scores[k, P_N], scores[k, P_B] = scratch.worth[place], 0.0
    scores[k, TOTAL] = scratch.worth[place]
    scores[k, V_N], scores[k, V_B] = viterbi, 0.0
    scores[k, N_LOG], scores[k, B_LOG] = row[token], 0.0


@inlined
def _child(space, scratch, fusion, tables, place, parent):
    """The node of a prefix of the pool; it is made where there is none."""
    nodes, values, pool = space.nodes, space.values, scratch.pool
    token, word = pool[place, 1], pool[place, 2]
    child = nodes[parent, CHILD]
    while child >= 0:
        if nodes[child, TOKEN] == token and nodes[child, WORD] == word:
            return child
        child = nodes[child, SIBLING]
    node = space.counters[NODES]
    space.counters[NODES] = node + 1
    nodes[node, PARENT], nodes[node, TOKEN], nodes[node, WORD] = parent, token, word
    nodes[node, CHILD], nodes[node, SIBLING], nodes[parent, CHILD] = -1, nodes[parent, CHILD], node
    nodes[node, BORN] = space.counters[FRAME]
    if fusion.plain:
        values[node, FACTOR] = 1.0
        return node
    parts = scratch.parts
    nodes[node, TRIE], nodes[node, HOT] = pool[place, 3], pool[place, 4]
    values[node, FACTOR] = parts[place, 3]
    values[node, EXTRA] = values[parent, EXTRA] + parts[place, 0]
    values[node, LM] = values[parent, LM] + parts[place, 1]
    values[node, BOOST] = values[parent, BOOST] + parts[place, 2]
    values[node, ENDING] = 1.0
    values[node, GAIN] = gain_bound(fusion, nodes[node, TRIE], nodes[node, HOT])
    values[node, INNER] = inner_bound(fusion, nodes[node, HOT])
    item = lm_item(fusion, token, word)
    nodes[node, WORDS] = nodes[parent, WORDS] + units(fusion, word)
    nodes[node, UNKNOWNS] = nodes[parent, UNKNOWNS] + (1 if item == UNKNOWN else 0)
    if item >= 0:
        step(tables, space.states[parent], item, space.states[node])
    else:
        for k in range(space.states.shape[1]):
            space.states[node, k] = space.states[parent, k]
    return node


@inlined
def _move(space, beams, scores, k, place):
    """Let the k-th prefix take another place."""
    for column in range(BEAM_COLUMNS):
        beams[place, column] = beams[k, column]
    for column in range(SCORE_COLUMNS):
        scores[place, column] = scores[k, column]
    space.nodes[beams[place, NODE], SLOT] = place


@inlined
def _swap(space, beams, scores, k):
    """Let the first and the k-th prefix change places."""
    for column in range(BEAM_COLUMNS):
        beams[0, column], beams[k, column] = beams[k, column], beams[0, column]
    for column in range(SCORE_COLUMNS):
        scores[0, column], scores[k, column] = scores[k, column], scores[0, column]
    space.nodes[beams[0, NODE], SLOT], space.nodes[beams[k, NODE], SLOT] = 0, k


@inlined
def _settle(space, delay):
    """Give up prefixes that differ from the best one in tokens older than ``delay`` frames."""
    counters, nodes = space.counters, space.nodes
    beams, scores = space.beams[counters[SIDE]], space.scores[counters[SIDE]]
    if counters[BEAMS] == 0:
        return
    final, count = beams[0, NODE], 0
    while nodes[final, PARENT] >= 0 and nodes[final, BORN] > counters[FRAME] - delay:
        final = nodes[final, PARENT]
    for i in range(counters[BEAMS]):
        node = beams[i, NODE]
        while node > final:
            node = nodes[node, PARENT]
        if node == final:
            _move(space, beams, scores, i, count)
            count += 1
        else:
            nodes[beams[i, NODE], SLOT] = -1
    counters[BEAMS] = count
