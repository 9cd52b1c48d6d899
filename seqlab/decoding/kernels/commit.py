"""The end of a frame: the best of the pool become the prefixes that are followed."""

from __future__ import annotations

import math

from seqlab.decoding.kernels.borrowing import inlined
from seqlab.decoding.kernels.fusion import gain_bound, lm_item, units
from seqlab.decoding.kernels.layout import (
    B_END,
    B_ENTRY,
    B_LOG,
    B_START,
    BEAM_COLUMNS,
    BEAMS,
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
from seqlab.decoding.kernels.order import select_best, sort_best
from seqlab.lm.ngram.kernels.query import step
from seqlab.lm.ngram.kernels.tokenise import UNKNOWN

_CHECK_DELAY = 8  # frames
_SMALL = 1e-50  # far from the smallest numbers, which are slow and less exact


@inlined
def follow(space, scratch, limits, fusion, tables, row, peak, count):
    """Follow the best of the pool's ``count`` prefixes from here on."""
    counters, nodes, order, worth = space.counters, space.nodes, scratch.order, scratch.worth
    side, pool = counters[SIDE], scratch.pool
    old, beams, scores = space.beams[side], space.beams[1 - side], space.scores[1 - side]
    count = _best_of_pool(worth, order, count, limits)
    for k in range(count):
        place = order[k]
        i = pool[place, 0]
        if i < 0:
            _begin(space, scratch, fusion, tables, row, peak, place, k)
            continue
        for column in range(BEAM_COLUMNS):
            beams[k, column] = scratch.stays[i, column]
        for column in range(SCORE_COLUMNS):
            scores[k, column] = scratch.stay_scores[i, column]
        if beams[k, N_ENTRY] < NO_ENTRY:
            slot = NO_ENTRY - 1 - beams[k, N_ENTRY]
            beams[k, N_ENTRY] = _link(space, slot, nodes[beams[k, NODE], TOKEN])
    for i in range(counters[BEAMS]):
        nodes[old[i, NODE], SLOT] = -1
    counters[SIDE], counters[BEAMS] = 1 - side, count
    if limits.delay > 0 and counters[FRAME] % _CHECK_DELAY == 0:
        _settle(space, limits.delay)
    for k in range(counters[BEAMS]):
        nodes[beams[k, NODE], SLOT] = k
    if count > 0:
        space.offset[0] += peak + _rescale(scores, counters[BEAMS])


@inlined
def _best_of_pool(worth, order, count, limits):
    """Put the best of the pool to the beginning of ``order``, sorted; how many there are."""
    if count > limits.beam:
        select_best(worth, order, count, limits.beam)
        count = limits.beam
    sort_best(worth, order, count)
    least = worth[order[0]] * math.exp(-limits.threshold) if count > 0 else 0.0
    while count > 0 and (worth[order[count - 1]] < least or worth[order[count - 1]] == 0):
        count -= 1
    return count


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
    last = space.nodes[beams[slot, NODE], TOKEN]
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
    side, slot, token = space.counters[SIDE], scratch.pool[place, 1], scratch.pool[place, 2]
    beams, scores, old = space.beams[1 - side], space.scores[1 - side], space.scores[side]
    parent = space.beams[side, slot, NODE]
    extra = 0.0 if fusion.plain else scratch.parts[place, 0]
    viterbi = old[slot, V_B]
    if space.nodes[parent, TOKEN] != token:
        viterbi = max(viterbi, old[slot, V_N])
    beams[k, NODE] = _child(space, scratch, fusion, tables, place, parent)
    beams[k, N_START], beams[k, N_ENTRY] = space.counters[FRAME], _link(space, slot, token)
    beams[k, B_START], beams[k, B_END], beams[k, B_ENTRY] = 0, 0, NO_ENTRY
    scores[k, P_N], scores[k, P_B], scores[k, TOTAL] = (
        scratch.worth[place],
        0.0,
        scratch.worth[place],
    )
    scores[k, V_N], scores[k, V_B] = viterbi * math.exp(row[token] - peak + extra), 0.0
    scores[k, N_LOG], scores[k, B_LOG] = row[token], 0.0


@inlined
def _child(space, scratch, fusion, tables, place, parent):
    """The node of a prefix of the pool; it is made where there is none."""
    nodes, values, pool = space.nodes, space.values, scratch.pool
    token, word = pool[place, 2], pool[place, 3]
    child = nodes[parent, CHILD]
    while child >= 0:
        if nodes[child, TOKEN] == token and nodes[child, WORD] == word:
            return child
        child = nodes[child, SIBLING]
    node = space.counters[NODES]
    space.counters[NODES] = node + 1
    nodes[node, PARENT], nodes[node, TOKEN], nodes[node, WORD] = parent, token, word
    nodes[node, CHILD], nodes[node, SIBLING], nodes[parent, CHILD] = -1, nodes[parent, CHILD], node
    nodes[node, BORN], nodes[node, SLOT] = space.counters[FRAME], -1
    if fusion.plain:
        values[node, FACTOR] = 1.0
        return node
    parts = scratch.parts
    nodes[node, TRIE], nodes[node, HOT] = pool[place, 4], scratch.pool_hot[place]
    values[node, FACTOR] = math.exp(parts[place, 0])
    values[node, EXTRA] = values[parent, EXTRA] + parts[place, 0]
    values[node, LM] = values[parent, LM] + parts[place, 1]
    values[node, BOOST] = values[parent, BOOST] + parts[place, 2]
    values[node, ENDING] = 1.0
    values[node, GAIN] = gain_bound(fusion, nodes[node, TRIE], nodes[node, HOT])
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
        if node != final:
            continue
        for column in range(BEAM_COLUMNS):
            beams[count, column] = beams[i, column]
        for column in range(SCORE_COLUMNS):
            scores[count, column] = scores[i, column]
        count += 1
    counters[BEAMS] = count
