"""Words as a tree of symbols, in which the search walks from token to token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.layout import FIRST

Ints = NDArray[np.int32]
Symbols = Sequence[int] | Ints


@dataclass(frozen=True)
class Trie:
    """Sequences of symbols that share their beginnings; nodes are numbered level by level.

    Node 0 is the root and node 1 the place beyond the tree, which has no edges; edge k leads to
    node k + 2, so that the children of a node stand together.

    Args:
        edges_at: where the edges of a node begin (N + 1,).
        edges: symbols of the edges (N - 2,), rising within a node.
        ends_at: where the sequences that end at a node begin (N + 1,).
        ends: their numbers (S,).

    Example:
        >>> trie = Trie.of([[1, 2], [1], [3]])
        >>> trie.edges.tolist(), trie.ends.tolist()
        ([1, 3, 2], [1, 2, 0])
    """

    edges_at: Ints
    edges: Ints
    ends_at: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.edges_at) - 1

    @classmethod
    def of(cls, sequences: Sequence[Symbols]) -> Trie:
        """The tree of sequences, none of them empty; the same one may stand several times."""
        lengths = np.array([len(sequence) for sequence in sequences], np.int64)
        flat = np.concatenate([np.zeros(0, np.int64), *(np.asarray(s) for s in sequences)])
        return cls.of_flat(flat.astype(np.int64), lengths)

    @classmethod
    def of_flat(cls, flat: NDArray[np.int64], lengths: NDArray[np.int64]) -> Trie:
        """The tree of sequences that stand one after the other in ``flat``."""
        starts = np.cumsum(lengths) - lengths
        base = int(flat.max(initial=0)) + 1
        at = np.zeros(len(lengths), np.int64)  # node that each sequence has reached
        parents, symbols = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        nodes = FIRST
        for depth in range(int(lengths.max(initial=0))):
            active = np.flatnonzero(lengths > depth)
            keys = at[active] * base + flat[starts[active] + depth]
            different, which = np.unique(keys, return_inverse=True)
            at[active] = nodes + which.reshape(-1)
            parents.append(different // base)
            symbols.append(different % base)
            nodes += len(different)
        order = np.argsort(at, kind="stable")
        return cls(
            np.searchsorted(np.concatenate(parents), np.arange(nodes + 1)).astype(np.int32),
            np.concatenate(symbols).astype(np.int32),
            np.searchsorted(at[order], np.arange(nodes + 1)).astype(np.int32),
            order.astype(np.int32),
        )

    def parents(self) -> NDArray[np.int64]:
        """Parent of each node from the third on (N - 2,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.edges_at))

    def best_below(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each node the largest value of sequences that go through it or end there (N,).

        Args:
            values: of each sequence (S,).

        Returns:
            -inf where no sequence goes through.
        """
        best = np.full(len(self), -np.inf)
        ending = np.repeat(np.arange(len(self)), np.diff(self.ends_at))
        np.maximum.at(best, ending, values[self.ends])
        parents = self.parents()
        for first, last in reversed(self._levels(parents)):
            np.maximum.at(best, parents[first - FIRST : last - FIRST], best[first:last])
        return best

    def _levels(self, parents: NDArray[np.int64]) -> list[tuple[int, int]]:
        """First node and one past the last of each level below the root."""
        levels: list[tuple[int, int]] = []
        first = FIRST
        while first < len(self):
            before = levels[-1] if levels else (0, 1)
            last = FIRST + int(np.searchsorted(parents, before[1]))
            levels.append((first, last))
            first = last
        return levels
