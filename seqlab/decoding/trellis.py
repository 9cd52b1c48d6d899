"""The best path of a token sequence through log-probabilities, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.decoding.kernels.viterbi import backward, forward

_ARROW_BYTES = 32 << 20  # of one stretch between two kept columns of scores


@dataclass(frozen=True)
class Graph:
    """What the path may visit, in this order.

    Args:
        labels: class of each token (N,), N at least 1.
        gaps: places (G,), ascending, where anything may be said; place k is before token k, place N
            after the last.
        skips: price (G - 1,) of going from each gap to the next without the tokens between.
        gap_cost: highest price of a frame in a gap, in nats beyond its best class.
    """

    labels: NDArray[np.int64]
    gaps: NDArray[np.int64]
    skips: NDArray[np.float64]
    gap_cost: float = 0.0

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """As the compiled loops take it."""
        hops = np.zeros(len(self.labels))
        hops[1:][self.labels[1:] == self.labels[:-1]] = -np.inf
        return self.labels, hops, self.gaps, self.skips


def chain(labels: NDArray[np.int64]) -> Graph:
    """The graph of plain forced alignment: every token, and nothing but blanks between."""
    return Graph(labels, np.empty(0, np.int64), np.empty(0))


def best_path(
    log_probs: NDArray[np.float32], graph: Graph, blank: int, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """First frame of each token and the frame after its last, -1 where a token is skipped.

    All arrows are kept where they need no more than 32 MB. Otherwise only columns of scores at
    equal distances are, and the arrows between two of them are found again when the path comes
    there: twice the work, and memory that hardly grows with the recording.

    Args:
        log_probs: (T, C), T at least 1; each frame has a finite largest value and no NaN.
        graph: what may be visited.
        blank: index of the blank.
        window: tokens that are looked at in one frame, at least 4.

    Returns:
        The two arrays (N,), or None where no path has a probability above 0.
    """
    search = _Search(log_probs, graph, blank, min(window, len(graph.labels)))
    frames = len(log_probs)
    length = max(1, min(frames, _ARROW_BYTES // (2 * (search.window + 1))))
    firsts = range(0, frames, length)
    kept = []
    for first in firsts[:-1]:
        kept.append(search.scores(first))
        search.advance(first, length, follow=True)
    arrows = search.advance(firsts[-1], length, follow=True, record=True)
    state = search.last_state()
    if state is None:
        return None
    starts, ends = (np.full(len(graph.labels), -1, np.int64) for _ in range(2))
    for first in reversed(firsts):
        if first != firsts[-1]:
            search.restore(first, kept.pop())
            arrows = search.advance(first, length, follow=False, record=True)
        backward((arrows[0], arrows[1]), search.lows, graph.gaps, first, state, starts, ends)
    return starts, ends


class _Search:
    """Scores of all states after some frame, and where the window stood in each."""

    def __init__(
        self, log_probs: NDArray[np.float32], graph: Graph, blank: int, window: int
    ) -> None:
        count = len(graph.labels)
        self.log_probs, self.graph, self.blank, self.window = log_probs, graph, blank, window
        self.best = log_probs.max(axis=1)
        self.arrays = graph.arrays()
        self.lows = np.zeros(len(log_probs), np.int64)
        self.places, self.tokens = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
        self.places[0] = 0.0
        skipped = -np.cumsum(graph.skips)
        for gap, score in zip(graph.gaps[1:], skipped, strict=True) if len(graph.gaps) else ():
            if gap <= window:
                self.places[gap] = score

    def advance(
        self, first: int, length: int, *, follow: bool, record: bool = False
    ) -> NDArray[np.uint8]:
        """Take the next ``length`` frames in, and give their arrows (2, length, window + 1)."""
        part = slice(first, first + length)
        frames = len(self.best[part]) if record else 0
        arrows = np.empty((2, frames, self.window + 1), np.uint8)
        forward(
            self.log_probs[part],
            self.best[part],
            self.blank,
            self.arrays,
            self.graph.gap_cost,
            self.window,
            self.places,
            self.tokens,
            self.lows,
            follow,
            (arrows[0], arrows[1]),
            first,
        )
        return arrows

    def scores(self, first: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A copy of the scores within the window, before frame ``first``."""
        low = self.lows[max(0, first - 1)]
        part = slice(low, low + self.window + 1)
        return self.places[part].copy(), self.tokens[part].copy()

    def restore(self, first: int, kept: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
        """Back to what ``scores`` gave before frame ``first``."""
        low = self.lows[max(0, first - 1)]
        for scores, part in zip((self.places, self.tokens), kept, strict=True):
            scores[:] = -np.inf
            scores[low : low + self.window + 1] = part

    def last_state(self) -> NDArray[np.int64] | None:
        """The best state to end in, as ``backward`` takes it: the last, or a gap before the rest.

        The rest of the tokens is skipped, at its price.
        """
        graph = self.graph
        exits = graph.gaps if len(graph.gaps) else np.array([len(graph.labels)])
        rest = np.append(np.cumsum(graph.skips[::-1])[::-1], 0.0)
        low = self.lows[-1]
        rest[(exits < low) | (exits > low + self.window)] = np.inf  # scores of long ago
        places, tokens = self.places[exits] - rest, self.tokens[exits] - rest
        best = int(np.argmax(np.maximum(places, tokens)))
        if max(places[best], tokens[best]) == -np.inf:
            return None
        k = int(exits[best])
        return np.array([k - 1, 1] if tokens[best] > places[best] else [k, 0], np.int64)
