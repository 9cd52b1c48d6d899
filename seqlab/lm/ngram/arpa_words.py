"""The words of an ARPA file: entered from its unigrams, looked up in its longer n-grams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.kernels.arpa_parse import ROOM, find_word, insert_words, parse_lines
from seqlab.lm.ngram.words import BEGIN, END, SPECIAL, UNKNOWN, Words

_LONGEST = 2**20  # bytes of a word: lines are no longer


class ArpaWords:
    """Words and their numbers, as ``Words`` has them, while the unigrams are read."""

    def __init__(self) -> None:
        special = [word.encode() for word in SPECIAL]
        self._known = len(special)
        self._given = np.zeros(len(special), np.bool_)
        self._starts = np.zeros(2048, np.int64)
        self._starts[1 : len(special) + 1] = np.cumsum([len(word) for word in special])
        self._store = np.zeros(2**14, np.uint8)
        self._store[: self._starts[len(special)]] = _bytes("".join(SPECIAL))
        self._slots = np.zeros((2048, 2), np.int64)
        insert_words(self._slots, self._starts, self._store, self._known)

    def parse(
        self,
        data: NDArray[np.uint8],
        begin: int,
        end: int,
        highest: bool,
        numbers: NDArray[np.int32],
        log_prob: NDArray[np.float32],
        log_backoff: NDArray[np.float32],
        lines: NDArray[np.int32],
    ) -> tuple[int, int, int, int]:
        """Read lines of k-grams as ``parse_lines`` does; returns its results but the last."""
        learn = numbers.shape[1] == 1
        ended, place, rows, passed, self._known = parse_lines(
            data, begin, end, learn, highest, self._slots, self._starts, self._store,
            self._known, self._given, numbers, log_prob, log_backoff, lines,
        )  # fmt: skip
        return int(ended), int(place), int(rows), int(passed)

    def grow(self) -> None:
        """Make room for as many words again, and for any one of them."""
        self._starts = np.concatenate([self._starts, np.zeros_like(self._starts)])
        more = len(self._store) + (_LONGEST if len(self._store) > _LONGEST else 0)
        self._store = np.concatenate([self._store, np.zeros(more, np.uint8)])
        self._slots = np.zeros((2 * len(self._slots), 2), np.int64)
        insert_words(self._slots, self._starts, self._store, self._known)

    def holds(self, word: str) -> bool:
        """Whether the word has been given."""
        number = self._find(word)
        return number >= 0 and (number >= len(self._given) or bool(self._given[number]))

    def missing(self) -> list[str]:
        """The marks of sentences that have not been given."""
        return [SPECIAL[number] for number in (BEGIN, END) if not self._given[number]]

    def finish(self, grams: list[NDArray[np.int32]]) -> Words:
        """The words; ``<UNK>`` becomes ``<unk>`` where that is missing, in ``grams`` as well."""
        starts = self._starts[: self._known + 1].copy()
        store = self._store[: starts[-1]].copy()
        other = self._find("<UNK>")
        if other >= 0 and not self._given[UNKNOWN]:
            store = np.delete(store, slice(starts[other], starts[other + 1]))
            starts = np.delete(starts, other)
            starts[other:] -= len("<UNK>")
            for numbers in grams:
                unknown = numbers == other
                numbers -= numbers > other
                numbers[unknown] = UNKNOWN
        return Words.from_bytes(store, starts)

    def _find(self, word: str) -> int:
        text = np.concatenate([_bytes(word), np.zeros(ROOM, np.uint8)])
        return int(find_word(text, self._slots, self._starts, self._store))


def _bytes(word: str) -> NDArray[np.uint8]:
    return np.frombuffer(word.encode("utf-8", "surrogateescape"), np.uint8)
