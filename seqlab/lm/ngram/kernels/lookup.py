"""Compiled loops that read the hash tables of an n-gram model one k-gram after the other."""

from __future__ import annotations

import numpy as np

from seqlab.compiled import compiled
from seqlab.lm.ngram.kernels.records import (
    find,
    home_of,
    key_of,
    log_backoff_of,
    log_prob_of,
    place_of,
    slot_of,
    view_of,
)


@compiled
def find_slots(tables, order, contexts, words, slots):
    """Slots of the k-grams of these contexts' slots and last words (N,); -1 where missing."""
    view = view_of(tables)
    for i in range(len(slots)):
        key = key_of(view, contexts[i], words[i])
        found, place, _ = find(view, order, home_of(view, order, key), key)
        slots[i] = np.int64(slot_of(view, order, place)) if found else -1


@compiled
def read_values(tables, order, slots, values):
    """Log-probability and log back-off weight of the k-grams in some slots (N,), to (2, N)."""
    view = view_of(tables)
    for i in range(len(slots)):
        place = place_of(view, order, slots[i])
        record = view.records[place]
        values[0, i] = log_prob_of(view, order, place, record)
        values[1, i] = log_backoff_of(view, order, place, record)
