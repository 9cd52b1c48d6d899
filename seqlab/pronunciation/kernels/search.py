"""Compiled beam search for the likeliest graphones of a spelling."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.query import step
from seqlab.lm.ngram.words import END


@compiled
def search(tables, start, chunks, starts, words, beam, used, totals):
    """The likeliest sequences of graphones whose letters are those of a word.

    Args:
        tables: of the n-gram model.
        start: its state at the beginning (order - 1,), int64.
        chunks: number of the chunk of k + 1 letters at each letter (N, K), -1 where no graphone
            has these letters; int32.
        starts: first graphone of each chunk, and the end (chunks + 1,), int64.
        words: number of each graphone in the n-gram model, int32.
        beam: hypotheses kept at each letter.
        used: receives the graphones of each hypothesis from the first on (beam, N), int32; -1
            after the last.
        totals: receives ln p of each (beam,), float64.

    Returns:
        How many were found.
    """
    count, longest = chunks.shape
    sizes = np.zeros(count + 1, np.int64)
    scores = np.empty((count + 1, beam))
    states = np.empty((count + 1, beam, len(start)), np.int64)
    back = np.empty((count + 1, beam, 3), np.int32)  # letter, hypothesis, graphone
    state = np.empty(len(start), np.int64)
    sizes[0], scores[0, 0], states[0, 0] = 1, 0.0, start
    for i in range(count):
        order = np.argsort(-scores[i, : sizes[i]], kind="mergesort")
        for k in range(min(longest, count - i)):
            chunk, end = chunks[i, k], i + k + 1
            if chunk < 0:
                continue
            for h in order:
                if sizes[end] == beam and scores[i, h] <= scores[end, 0]:
                    break  # ln p is at most 0: none of the rest can do better
                for g in range(starts[chunk], starts[chunk + 1]):
                    score = scores[i, h] + step(tables, states[i, h], words[g], state)
                    if sizes[end] < beam:
                        slot = sizes[end]
                        sizes[end] += 1
                        _rise(scores[end], states[end], back[end], slot, score, state, i, h, g)
                    elif score > scores[end, 0]:
                        _sink(scores[end], states[end], back[end], beam, score, state, i, h, g)
    for h in range(sizes[count]):
        totals[h] = scores[count, h] + step(tables, states[count, h], END, state)
        place, slot, length = count, h, 0
        while place > 0:
            place, slot, length = back[place, slot, 0], back[place, slot, 1], length + 1
        for rest in range(length, count):
            used[h, rest] = -1
        place, slot = count, h
        while place > 0:
            length -= 1
            used[h, length] = back[place, slot, 2]
            place, slot = back[place, slot, 0], back[place, slot, 1]
    return sizes[count]


@compiled
def _put(scores, states, back, slot, score, state, i, h, g):
    scores[slot] = score
    states[slot] = state
    back[slot, 0], back[slot, 1], back[slot, 2] = i, h, g


@compiled
def _move(scores, states, back, source, slot):
    scores[slot] = scores[source]
    states[slot] = states[source]
    back[slot] = back[source]


@compiled
def _rise(scores, states, back, slot, score, state, i, h, g):
    """Enter a hypothesis at the end of the heap, whose first is the worst."""
    while slot > 0 and scores[(slot - 1) // 2] > score:
        _move(scores, states, back, (slot - 1) // 2, slot)
        slot = (slot - 1) // 2
    _put(scores, states, back, slot, score, state, i, h, g)


@compiled
def _sink(scores, states, back, size, score, state, i, h, g):
    """Enter a hypothesis in place of the worst one."""
    slot = 0
    while 2 * slot + 1 < size:
        child = 2 * slot + 1
        if child + 1 < size and scores[child + 1] < scores[child]:
            child += 1
        if scores[child] >= score:
            break
        _move(scores, states, back, child, slot)
        slot = child
    _put(scores, states, back, slot, score, state, i, h, g)
