"""The compiled loops of the prefix beam search, ready for the arrays of one decoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.borrowing import ready_for
from seqlab.decoding.kernels.collect import forget
from seqlab.decoding.kernels.finish import FIGURES, PARTS, Room, conclude, score_endings, trace
from seqlab.decoding.kernels.frames import advance
from seqlab.decoding.kernels.layout import BEAMS, ENTRIES, NODES, Fusion, Limits, Scratch
from seqlab.decoding.prefix_beam_fusion import Guidance
from seqlab.decoding.prefix_beam_options import Rows
from seqlab.decoding.prefix_beam_space import Search, room_for, scratch_of

_LARGEST = 1 << 16  # nodes of a search that is kept for the next utterance

Traced = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
"""Tokens, words that they end, times and log-probabilities."""


class Loops:
    """Runs searches; their arrays serve one utterance after the other.

    Args:
        limits: how wide the search is.
        guidance: what it is guided by.
        fusion: the arrays of the guidance, with hotwords if there are any.
        hot_state: of the hotwords at the beginning.
    """

    def __init__(self, limits: Limits, guidance: Guidance, fusion: Fusion, hot_state: int) -> None:
        self.limits, self.guidance, self.fusion = limits, guidance, fusion
        self.hot_state = hot_state
        self._spare: list[tuple[Search, Scratch]] = []  # threads take from it and put back

    def __reduce__(self) -> tuple[Any, ...]:
        return Loops, (self.limits, self.guidance, self.fusion, self.hot_state)

    def begin(self, frames: int) -> Search:
        """A search before its first frame; ``frames`` are expected."""
        search = Search.of(room_for(self.limits.beam, frames), self.limits.beam, self._lm_size)
        return self._restarted(search)

    def take(self, frames: int) -> tuple[Search, Scratch]:
        """A search before its first frame that may have served before, and room for its frames."""
        room = room_for(self.limits.beam, frames)
        while self._spare:
            try:
                search, scratch = self._spare.pop()
            except IndexError:  # another thread was faster
                break
            if room <= len(search.space.nodes) <= _LARGEST:
                return self._restarted(search), scratch
        return self.begin(frames), self.scratch()

    def put_back(self, search: Search, scratch: Scratch) -> None:
        """Let another utterance have a search that is no longer needed."""
        self._spare.append((search, scratch))

    def scratch(self) -> Scratch:
        """Room for the frames of a search."""
        tokens = len(self.guidance.units)
        return scratch_of(self.limits.beam, self.fusion.widest, tokens, self._lm_size)

    def advance(self, search: Search, scratch: Scratch, rows: Rows) -> None:
        """Search all of some frames, making room on the way."""
        at, tables = 0, self.guidance.tables
        while True:
            at = self._advance(search.space, scratch, self.limits, self.fusion, tables, *rows, at)
            if at == len(rows[1]):
                return
            search.make_room()

    def endings(
        self, search: Search, ended: bool
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Prefixes (E,), their last words (E,) and final scores (E, 5); see ``score_endings``."""
        room = int(search.space.counters[BEAMS]) * (self.fusion.widest if ended else 1)
        slots, words, parts = (
            np.empty(room, np.int32),
            np.empty(room, np.int32),
            np.empty((room, PARTS)),
        )
        states, tables = np.empty((2, self._lm_size), np.int64), self.guidance.tables
        count = self._endings(
            search.space, self.fusion, tables, ended, slots, words, parts, states
        )  # fmt: skip
        return slots[:count], words[:count], parts[:count]

    def concluded(self, search: Search, frame_s: float) -> tuple[int, Room]:
        """How many tokens the best answer has, and the answer; see ``conclude``."""
        nodes = len(search.space.nodes)
        if search.room is None or len(search.room.tokens) < nodes:
            search.room = self._room(nodes)
        tables, room = self.guidance.tables, search.room
        return self._conclude(search.space, self.fusion, tables, frame_s, room), room

    def _room(self, nodes: int) -> Room:
        endings = self.limits.beam * self.fusion.widest
        return Room(
            np.empty(endings, np.int32), np.empty(endings, np.int32), np.empty((endings, PARTS)),
            np.empty((2, self._lm_size), np.int64), np.empty(nodes, np.int32),
            np.empty(nodes + 1, np.int32), np.empty((2, nodes)), np.empty(nodes),
            np.empty((nodes, 2), np.int32), np.empty(nodes), np.empty(FIGURES),
        )  # fmt: skip

    def traced(self, search: Search, slot: int) -> Traced:
        """What a prefix is made of from the beginning."""
        space, settled = search.space, search.settled
        nodes, entries = int(space.counters[NODES]), int(space.counters[ENTRIES]) + 1
        tokens, words = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
        times, logs = np.empty((entries, 2), np.int32), np.empty(entries)
        length, timed = self._trace(space, slot, tokens, words, times, logs)
        tokens, words = tokens[:length][::-1], words[:length][::-1]
        times, logs = times[:timed][::-1], logs[:timed][::-1]
        if settled.tokens:
            tokens = np.concatenate([*settled.tokens, tokens])
            words = np.concatenate([*settled.words, words])
        if settled.times:
            times = np.concatenate([*settled.times, times])
            logs = np.concatenate([*settled.logs, logs])
        return tokens, words, times, logs

    def _restarted(self, search: Search) -> Search:
        search.restart()
        self._forget(search.space, self.fusion, self.guidance.lm_start, self.hot_state)
        return search

    @cached_property
    def _lm_size(self) -> int:
        return len(self.guidance.lm_start)

    @cached_property
    def _example(self) -> Search:
        return Search.of(1, 1, self._lm_size)

    @cached_property
    def _forget(self) -> Callable[..., None]:
        return ready_for(
            forget, self._example.space, self.fusion, self.guidance.lm_start, self.hot_state
        )

    @cached_property
    def _advance(self) -> Callable[..., int]:
        rows = np.empty((1, 1), np.float32), np.empty(1, np.float32)
        scratch, tables = self.scratch(), self.guidance.tables
        return ready_for(
            advance, self._example.space, scratch, self.limits, self.fusion, tables, *rows, 0
        )

    @cached_property
    def _endings(self) -> Callable[..., int]:
        numbers, parts = np.empty(1, np.int32), np.empty((1, 5))
        states, tables = np.empty((2, self._lm_size), np.int64), self.guidance.tables
        space = self._example.space
        return ready_for(
            score_endings, space, self.fusion, tables, True, numbers, numbers, parts, states
        )

    @cached_property
    def _conclude(self) -> Callable[..., int]:
        space, tables = self._example.space, self.guidance.tables
        return ready_for(conclude, space, self.fusion, tables, 1.0, self._room(1))

    @cached_property
    def _trace(self) -> Callable[..., tuple[int, int]]:
        numbers, times = np.empty(1, np.int32), np.empty((1, 2), np.int32)
        return ready_for(trace, self._example.space, 0, numbers, numbers, times, np.empty(1))


__all__ = ["Loops", "Traced"]
