"""The k-grams of one order of a model, in pieces that hash tables are filled from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seqlab.lm.ngram.kernels.index import FLAGS
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.scratch import chunks, release
from seqlab.lm.ngram.tables import Rows

__all__ = ["OrderRows"]

_PIECE = 1 << 20
_RIGHT, _LEFT = np.uint8(1), np.uint8(2)


class OrderRows:
    """The k-grams of one order; memory holds a few bytes for each that has longer ones.

    Args:
        table: the model.
        k: the order, at least 2.
        contexts: slot of each row one order lower (M,), uint32.
    """

    def __init__(self, table: BackoffTable, k: int, contexts: NDArray[np.uint32]) -> None:
        self._table, self._k, self._contexts = table, k, contexts
        self._last = table.ngrams.last_words(k - 1)
        release(*(level.suffix for level in table.ngrams.levels))
        size = table.ngrams.sizes[k - 1]
        self.highest = k == table.order
        # Nothing asks for the slots of the highest order.
        self.slots = np.zeros(0 if self.highest else size, np.uint32)
        self._marks = np.zeros(0 if self.highest else size, np.uint8)
        if not self.highest:
            longer = table.ngrams.levels[k]
            for part in chunks(len(longer)):
                self._marks[longer.context[part]] |= _RIGHT
                self._marks[longer.suffix[part]] |= _LEFT
                release(longer.context, longer.suffix)

    def pieces(self) -> Iterator[tuple[Rows, NDArray[np.uint32]]]:
        """All k-grams, and where to write the slots of each piece; may be read again."""
        level, log_prob = self._table.ngrams.levels[self._k - 1], self._table.log_prob[self._k - 1]
        spare = np.zeros(_PIECE if self.highest else 0, np.uint32)
        for piece in chunks(len(level), _PIECE):
            count = piece.stop - piece.start
            if self.highest:
                marks, backoff = np.zeros(count, np.uint64), np.zeros(count, np.float32)
                slots = spare[:count]
            else:
                marks = self._marks[piece].astype(np.uint64) << FLAGS
                backoff = self._table.log_backoff[self._k - 1][piece]
                slots = self.slots[piece]
            words = self._last[level.suffix[piece]]
            contexts = self._contexts[level.context[piece]]
            yield Rows(contexts, words, log_prob[piece], backoff, marks), slots
            release(level.suffix, level.context, log_prob)
