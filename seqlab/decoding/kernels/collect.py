"""Forgetting prefixes that nothing follows, and handing over what has become final."""

from __future__ import annotations

from seqlab.decoding.kernels.borrowing import borrowing
from seqlab.decoding.kernels.fusion import gain_bound, inner_bound
from seqlab.decoding.kernels.layout import (
    B_ENTRY,
    BEAMS,
    BEFORE,
    CHILD,
    E_BEFORE,
    E_END,
    E_START,
    ENDING,
    ENTRIES,
    ENTRY_COLUMNS,
    GAIN,
    HOT,
    INNER,
    N_ENTRY,
    NO_ENTRY,
    NODE,
    NODE_COLUMNS,
    NODES,
    P_B,
    PARENT,
    ROOT,
    SIBLING,
    SIDE,
    TOKEN,
    TOTAL,
    V_B,
    V_N,
    VALUE_COLUMNS,
    WORD,
)


@borrowing
def forget(space, fusion, lm_state, hot_state):
    """Go back to before the first frame.

    Args:
        space: what the search remembers; changed.
        fusion: what else counts.
        lm_state: of the language model at the beginning (K - 1,).
        hot_state: of the hotwords at the beginning.
    """
    space.counters[:] = 0
    space.counters[BEAMS], space.counters[NODES] = 1, 1
    nodes, values, beams, scores = space.nodes, space.values, space.beams[0], space.scores[0]
    nodes[0, :], values[0, :], beams[0, :], scores[0, :] = 0, 0.0, -1, 0.0
    for column in (PARENT, TOKEN, CHILD, SIBLING, WORD):
        nodes[0, column] = -1
    nodes[0, HOT] = hot_state
    if not fusion.plain:
        values[0, GAIN] = gain_bound(fusion, ROOT, hot_state)
        values[0, INNER] = inner_bound(fusion, hot_state)
    values[0, ENDING] = 1.0
    for k in range(len(lm_state)):
        space.states[0, k] = lm_state[k]
    beams[0, NODE] = 0
    for column in (P_B, TOTAL, V_B):
        scores[0, column] = 1.0
    space.offset[0] = 0.0


@borrowing
def collect_nodes(space, follows, tokens, words):
    """Keep only prefixes that one followed begins with; the last one common to all is the root.

    Args:
        space: what the search remembers; changed.
        follows: room (N,), int32.
        tokens: receives the tokens that have become common to all prefixes (N,).
        words: receives the word that each ends (N,).

    Returns:
        how many tokens these are.
    """
    nodes, count, followed = space.nodes, space.counters[NODES], space.counters[BEAMS]
    beams = space.beams[space.counters[SIDE]]
    if followed == 0:
        return 0
    follows[:count] = 0
    for i in range(followed):
        follows[beams[i, NODE]] += 1
    for node in range(count - 1, 0, -1):
        follows[nodes[node, PARENT]] += follows[node]
    root, settled = 0, 0
    for node in range(1, count):
        if follows[node] == followed:
            tokens[settled], words[settled] = nodes[node, TOKEN], nodes[node, WORD]
            root, settled = node, settled + 1
    kept = 0
    for node in range(root, count):
        if follows[node] > 0 or node == root:
            _move_node(space, follows, node, kept, node == root)
            follows[node] = kept  # from here on, the new number
            kept += 1
    space.counters[NODES] = kept
    for i in range(followed):
        beams[i, NODE] = follows[beams[i, NODE]]
        beams[i, BEFORE] = nodes[beams[i, NODE], PARENT]
    return settled


@borrowing
def _move_node(space, numbers, node, place, is_root):
    """Give a node another number, and its parent's new one."""
    nodes, values, states = space.nodes, space.values, space.states
    parent = -1 if is_root else numbers[nodes[node, PARENT]]
    for column in range(NODE_COLUMNS):
        nodes[place, column] = nodes[node, column]
    for column in range(VALUE_COLUMNS):
        values[place, column] = values[node, column]
    for column in range(states.shape[1]):
        states[place, column] = states[node, column]
    nodes[place, PARENT], nodes[place, CHILD], nodes[place, SIBLING] = parent, -1, -1
    if parent >= 0:
        nodes[place, SIBLING], nodes[parent, CHILD] = nodes[parent, CHILD], place


@borrowing
def collect_entries(space, follows, times, logs):
    """Keep only entries of alignments that are followed, without those common to all of them.

    Args:
        space: what the search remembers; changed.
        follows: room (M,), int32.
        times: receives first frame and frame after the last of those common to all (M, 2).
        logs: receives the log-probability of each (M,).

    Returns:
        how many these are.
    """
    entries, count, side = space.entries, space.counters[ENTRIES], space.counters[SIDE]
    beams, scores, followed = space.beams[side], space.scores[side], space.counters[BEAMS]
    if followed == 0:
        return 0
    follows[:count] = 0
    paths = 0
    for i in range(followed):
        for column, score in ((N_ENTRY, V_N), (B_ENTRY, V_B)):
            if scores[i, score] == 0:
                beams[i, column] = NO_ENTRY
                continue
            paths += 1
            if beams[i, column] >= 0:
                follows[beams[i, column]] += 1
    for entry in range(count - 1, -1, -1):
        if entries[entry, E_BEFORE] >= 0:
            follows[entries[entry, E_BEFORE]] += follows[entry]
    kept, settled = 0, 0
    for entry in range(count):
        number = follows[entry]
        follows[entry] = NO_ENTRY  # from here on, the new number
        if number == paths:
            times[settled, 0], times[settled, 1] = entries[entry, E_START], entries[entry, E_END]
            logs[settled] = space.logs[entry]
            settled += 1
        elif number > 0:
            for column in range(ENTRY_COLUMNS):
                entries[kept, column] = entries[entry, column]
            if entries[kept, E_BEFORE] >= 0:
                entries[kept, E_BEFORE] = follows[entries[kept, E_BEFORE]]
            space.logs[kept], follows[entry] = space.logs[entry], kept
            kept += 1
    space.counters[ENTRIES] = kept
    for i in range(followed):
        for column in (N_ENTRY, B_ENTRY):
            if beams[i, column] >= 0:
                beams[i, column] = follows[beams[i, column]]
    return settled
