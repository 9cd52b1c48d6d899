"""The arrays of one prefix beam search: made, copied, and enlarged when they are full."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.collect import collect_entries, collect_nodes
from seqlab.decoding.kernels.finish import Room
from seqlab.decoding.kernels.layout import (
    BEAM_COLUMNS,
    COUNTERS,
    ENTRIES,
    ENTRY_COLUMNS,
    NODE_COLUMNS,
    NODES,
    SCORE_COLUMNS,
    VALUE_COLUMNS,
    Scratch,
    Space,
)

_SMALLEST, _LARGEST = 1024, 1 << 15  # nodes at first; more are made when they are needed


@dataclass(frozen=True)
class Settled:
    """What is final of an utterance, in pieces in the order of time.

    Args:
        tokens: common to all prefixes.
        words: numbers of the words that each token ended.
        times: first frame and frame after the last of tokens (M, 2); perhaps of fewer than there
            are, or of more.
        logs: sum of log-probabilities of each over these frames.
    """

    tokens: tuple[NDArray[np.int32], ...] = ()
    words: tuple[NDArray[np.int32], ...] = ()
    times: tuple[NDArray[np.int32], ...] = ()
    logs: tuple[NDArray[np.float64], ...] = ()


_NOTHING = Settled()


@dataclass
class Search:
    """The state of one search, which kernels change in place.

    Args:
        space: arrays of the kernels.
        settled: what is final.
        room: for its answer, once there has been one.
    """

    space: Space
    settled: Settled = _NOTHING
    room: Room | None = None

    @classmethod
    def of(cls, room: int, beam: int, lm_size: int) -> Search:
        """Arrays without content for ``room`` nodes, ``beam`` prefixes, and states (lm_size,)."""
        return cls(_arrays(room, room, beam, lm_size))

    def restart(self) -> None:
        """Forget what is final; ``kernels.collect.forget`` does the rest."""
        self.settled = _NOTHING

    def copy(self) -> Search:
        """The same state in arrays of its own."""
        space = self.space
        nodes, entries = int(space.counters[NODES]), int(space.counters[ENTRIES])
        moved = self._moved(len(space.nodes), len(space.entries), nodes, entries)
        return Search(moved, self.settled)

    def collect(self) -> None:
        """Forget what nothing follows, and take note of what has become final."""
        space, settled = self.space, self.settled
        nodes, entries = int(space.counters[NODES]), int(space.counters[ENTRIES])
        room = np.empty(max(nodes, entries), np.int32)
        tokens, words = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
        times, logs = np.empty((entries, 2), np.int32), np.empty(entries)
        found = collect_nodes(space, room, tokens, words)
        timed = collect_entries(space, room, times, logs)
        if found:
            settled = replace(
                settled,
                tokens=(*settled.tokens, tokens[:found].copy()),
                words=(*settled.words, words[:found].copy()),
            )
        if timed:
            settled = replace(
                settled,
                times=(*settled.times, times[:timed].copy()),
                logs=(*settled.logs, logs[:timed].copy()),
            )
        self.settled = settled

    def make_room(self) -> None:
        """Collect, and enlarge the arrays if more than half of them are still in use."""
        self.collect()
        space = self.space
        nodes, entries = int(space.counters[NODES]), int(space.counters[ENTRIES])
        room = [len(space.nodes), len(space.entries)]
        for which, used in enumerate((nodes, entries)):
            if 2 * used > room[which]:
                room[which] *= 2
        if room != [len(space.nodes), len(space.entries)]:
            self.space = self._moved(room[0], room[1], nodes, entries)

    def _moved(self, node_room: int, entry_room: int, nodes: int, entries: int) -> Space:
        """The arrays in others of another size."""
        old = self.space
        new = _arrays(node_room, entry_room, old.beams.shape[1], old.states.shape[1])
        for name in ("nodes", "values", "states"):
            getattr(new, name)[:nodes] = getattr(old, name)[:nodes]
        for name in ("entries", "logs"):
            getattr(new, name)[:entries] = getattr(old, name)[:entries]
        for name in ("beams", "scores", "counters", "offset"):
            getattr(new, name)[:] = getattr(old, name)
        return new


def room_for(beam: int, frames: int) -> int:
    """Nodes to make room for at first, when so many frames are expected."""
    return max(_SMALLEST, 4 * beam, min(beam * (frames + 2), _LARGEST))


def _arrays(nodes: int, entries: int, beam: int, lm_size: int) -> Space:
    return Space(
        np.empty((nodes, NODE_COLUMNS), np.int32), np.empty((nodes, VALUE_COLUMNS)),
        np.empty((nodes, lm_size), np.int64), np.empty((entries, ENTRY_COLUMNS), np.int32),
        np.empty(entries), np.empty((2, beam, BEAM_COLUMNS), np.int32),
        np.empty((2, beam, SCORE_COLUMNS)), np.empty(COUNTERS, np.int64), np.empty(1),
    )  # fmt: skip


def scratch_of(beam: int, widest: int, tokens: int, lm_size: int) -> Scratch:
    """Room for the frames of a search; it needs no copy and serves any number of them."""
    pool = 3 * beam + widest + 64
    return Scratch(
        np.empty((pool, 5), np.int32), np.empty(pool), np.empty((pool, 4)), np.empty(2),
        np.empty(tokens + 1, np.int32), np.empty(tokens + 1, np.int32),
        np.empty(tokens, np.float32), np.empty(tokens), np.empty(tokens),
        np.full(tokens, -1, np.int32), np.empty(beam, np.int32), np.empty(beam, np.int32),
        np.empty(beam, np.uint64), np.empty(lm_size, np.int64),
    )  # fmt: skip


__all__ = ["Search", "Settled", "room_for", "scratch_of"]
