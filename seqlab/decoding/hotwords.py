"""Hotwords: phrases that the search is to prefer, such as names that the model has not heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_range
from seqlab.decoding.kernels.layout import BOUNDARY
from seqlab.decoding.lexicon_trie import Ints, Trie
from seqlab.errors import SeqlabError

Phrases = Mapping[str, float] | Iterable[str]
DEFAULT_BOOST = 5.0
_LARGEST = 500.0  # nats
_LONGEST = 32  # symbols of a token


@dataclass(frozen=True)
class Hotwords:
    """Phrases and their boosts, as an automaton that reads text with the search.

    A phrase counts where it stands as whole words. While it is being spelled the search has credit
    in proportion to the part that is there; the credit is taken back if the phrase is not
    completed, and in the end each place where a phrase stands adds its boost exactly once.

    Args:
        edges_at: where the edges of a state begin (N + 1,); edge k leads to state k + 1.
        edges: symbols of the edges, rising within a state.
        fail: the state of the longest other match (N,).
        credit: boosts under way in a state (N,), nats, not negative.
        done: boosts that are complete with a state (N,), nats.
        reach: what a token may add at most after a state (N,), nats.
        start: the state at the beginning of an utterance.

    Source: Aho and Corasick 1975, "Efficient String Matching", for the automaton.

    Example:
        >>> def spell(phrase):
        ...     return [[ord(letter) for letter in word] for word in phrase.split()]
        >>> Hotwords.of({"ab a": 3.0}, spell).credit.round(2).tolist()
        [0.0, 0.0, 0.6, 1.2, 1.8, 2.4, 0.0]
    """

    edges_at: Ints
    edges: Ints
    fail: Ints
    credit: NDArray[np.float64]
    done: NDArray[np.float64]
    reach: NDArray[np.float64]
    start: int

    @classmethod
    def of(
        cls,
        phrases: Phrases,
        spell: Callable[[str], Sequence[Sequence[int]]],
        boost: float = DEFAULT_BOOST,
        symbols: int = _LONGEST,
    ) -> Hotwords:
        """The automaton of some phrases.

        Args:
            phrases: texts of one or more words, or a mapping of such to their boosts in nats.
            spell: gives the symbols, from 1 on, of each word of a phrase; it raises SeqlabError
                where it cannot.
            boost: of texts without their own.
            symbols: of a token, ends of words counted, at most.

        Raises:
            SeqlabError: a phrase is no text, empty or not to be spelled, or its boost not finite.
        """
        if isinstance(phrases, str):
            raise SeqlabError(f"hotwords={phrases!r} must be a list of phrases or a mapping")
        boosts = dict(phrases) if isinstance(phrases, Mapping) else dict.fromkeys(phrases, boost)
        spelled: dict[tuple[int, ...], float] = {}
        for phrase, value in boosts.items():
            if not isinstance(phrase, str):
                raise SeqlabError(f"hotword {phrase!r} must be a text of one or more words")
            name = f"the boost of hotword {phrase!r}"
            check_range(name, value, -_LARGEST, _LARGEST, "3 to 10 nats is usual")
            spelling = [BOUNDARY]
            for word in spell(phrase):
                spelling += [*word, BOUNDARY]
            if len(spelling) == 1:
                raise SeqlabError(f"hotword {phrase!r} holds no word; remove it")
            spelled[tuple(spelling)] = float(value)
        return cls._build(list(spelled), np.array(list(spelled.values())), symbols)

    @classmethod
    def nothing(cls) -> Hotwords:
        """No phrases."""
        none, zero = np.zeros(2, np.int32), np.zeros(1)
        return cls(none, none[:0], none[:1], zero, zero, zero, 0)

    @classmethod
    def _build(
        cls, spelled: list[tuple[int, ...]], boosts: NDArray[np.float64], symbols: int
    ) -> Hotwords:
        trie = Trie.of(spelled)  # its node n + 1 is state n; the root is state 0
        count = len(trie) - 1
        edges_at = np.concatenate([trie.edges_at[:1], trie.edges_at[2:]])
        parents = np.maximum(trie.parents() - 1, 0)
        depth, done, fail = np.zeros(count), np.zeros(count), np.zeros(count, np.int32)
        share = np.zeros(count)  # the most that one symbol of the phrases through a state is worth
        for number, phrase in enumerate(spelled):
            state = 0
            for symbol in phrase[:-1]:
                state = _edge(edges_at, trie.edges, state, symbol) + 1
                share[state] = max(share[state], boosts[number] / (len(phrase) - 1))
            done[_edge(edges_at, trie.edges, state, phrase[-1]) + 1] += boosts[number]
        for state in range(1, count):
            parent, symbol = int(parents[state - 1]), int(trie.edges[state - 1])
            depth[state] = depth[parent] + 1
            if parent:
                fail[state] = _next(edges_at, trie.edges, fail, int(fail[parent]), symbol)
            done[state] += done[fail[state]]
        credit = share * np.maximum(depth - 1, 0)
        for state in range(1, count):
            credit[state] = max(credit[state], credit[fail[state]])
        reach = _reach(edges_at, fail, credit, done, symbols)
        start = _edge(edges_at, trie.edges, 0, BOUNDARY) + 1
        return cls(edges_at, trie.edges, fail, credit, done, reach, max(start, 0))


def _edge(edges_at: Ints, edges: Ints, state: int, symbol: int) -> int:
    """Number of the edge of a state that carries a symbol, or -1."""
    first, last = int(edges_at[state]), int(edges_at[state + 1])
    place = first + int(np.searchsorted(edges[first:last], symbol))
    return place if place < last and edges[place] == symbol else -1


def _next(edges_at: Ints, edges: Ints, fail: Ints, state: int, symbol: int) -> int:
    """State after a symbol."""
    while True:
        edge = _edge(edges_at, edges, state, symbol)
        if edge >= 0 or state == 0:
            return edge + 1
        state = int(fail[state])


def _reach(
    edges_at: Ints,
    fail: Ints,
    credit: NDArray[np.float64],
    done: NDArray[np.float64],
    symbols: int,
) -> NDArray[np.float64]:
    """What up to ``symbols`` symbols may add at most after each state."""
    count = len(fail)
    reach = np.zeros(count)
    for _ in range(min(symbols, count)):
        longer = np.zeros(count)
        for state in range(count):
            below = range(int(edges_at[state]) + 1, int(edges_at[state + 1]) + 1)
            most = max(
                (credit[s] - credit[state] + max(done[s], 0.0) + reach[s] for s in below),
                default=0.0,
            )
            longer[state] = max(0.0, most)
            if state:
                other = longer[fail[state]] + credit[fail[state]] - credit[state]
                longer[state] = max(longer[state], other)
        if np.array_equal(longer, reach):
            break
        reach = longer
    return reach
