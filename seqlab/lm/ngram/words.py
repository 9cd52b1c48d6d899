"""The words of an n-gram model: text to word numbers and back, as fast as bytes can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError
from seqlab.lm.ngram.kernels.tokenise import (
    BEGIN,
    END,
    GAP,
    UNKNOWN,
    enter,
    hash_words,
    insert_words,
    look_up,
    tokenise,
)

__all__ = ["BEGIN", "END", "GAP", "SPECIAL", "UNKNOWN", "Words"]

SPECIAL = ("<unk>", "<s>", "</s>")  # the words of the numbers UNKNOWN, BEGIN and END
_LARGEST = 2**31 - 2


class Words:
    """Words and their numbers: 0 is ``<unk>``, 1 ``<s>``, 2 ``</s>``, the rest follow.

    Args:
        words: further words, without white space, all different.

    Raises:
        DataError: a word is empty, holds white space, or stands twice.

    Example:
        >>> words = Words(["one", "two"])
        >>> words.numbers("two three one")
        array([4, 0, 3], dtype=int32)
        >>> words[4], len(words)
        ('two', 5)
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._known = 0
        self._table = np.zeros(64, np.int32)
        self._hashes = np.zeros(32, np.uint64)
        self._starts = np.zeros(33, np.int64)
        self._store = np.zeros(1024, np.uint8)
        for word in (*SPECIAL, *words):
            self.add(word)

    @classmethod
    def from_bytes(
        cls,
        store: NDArray[np.uint8],
        starts: NDArray[np.int64],
        hashes: NDArray[np.uint64] | None = None,
        table: NDArray[np.int32] | None = None,
    ) -> Words:
        """Words that lie one after the other in ``store``, word i from ``starts[i]`` on.

        The arrays are not copied and may be read-only. The caller has checked that the first
        three words are ``SPECIAL`` and that ``starts`` rises within ``store``. ``hashes`` and
        ``table`` are those of the same words; without them they are computed.
        """
        words = cls()
        words._known = len(starts) - 1
        words._store, words._starts = store, starts
        if hashes is not None and table is not None:
            words._hashes, words._table = hashes, table
            return words
        words._hashes = np.empty(words._known, np.uint64)
        hash_words(starts, store, words._hashes)
        words._grow_table(words._known)
        return words

    def __len__(self) -> int:
        return self._known

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(self._known))

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.find(word) >= 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Words):
            return NotImplemented
        return bool(
            self._known == other._known
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.store, other.store)
        )

    __hash__ = None  # type: ignore[assignment]  # words may be added

    def __getitem__(self, number: int) -> str:
        """The word of a number; DataError unless 0 <= number < len."""
        if not 0 <= number < self._known:
            raise DataError(f"word number {number} must be within 0 and {self._known - 1}")
        word = self._store[self._starts[number] : self._starts[number + 1]].tobytes()
        return word.decode("utf-8", "surrogateescape")

    @property
    def store(self) -> NDArray[np.uint8]:
        """Bytes of all words, one after the other."""
        return self._store[: self._starts[self._known]]

    @property
    def starts(self) -> NDArray[np.int64]:
        """First byte of each word in ``store``, and the end of the last (V + 1,)."""
        return self._starts[: self._known + 1]

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Hash of each word (V,)."""
        return self._hashes[: self._known]

    @property
    def table(self) -> NDArray[np.int32]:
        """Hash table of the words: number + 1, or 0; its length is a power of two."""
        return self._table

    def find(self, word: str) -> int:
        """Number of a word, or -1 where it is not known."""
        text = np.frombuffer(word.encode("utf-8", "surrogateescape"), np.uint8)
        return int(look_up(text, self._table, self._hashes, self._starts, self._store))

    def add(self, word: str) -> int:
        """Enter a word that is not known yet and return its number.

        Raises:
            DataError: it is known, empty, or holds white space.
        """
        if word.split() != [word] or any(c <= " " for c in word):
            raise DataError(f"{word!r} must be a word without white space; split it or remove it")
        text = np.frombuffer(word.encode("utf-8", "surrogateescape"), np.uint8)
        self._reserve(self._known + 1, int(self._starts[self._known]) + len(text))
        if not enter(text, self._table, self._hashes, self._starts, self._store, self._known):
            raise DataError(f"word {word!r} stands twice in the vocabulary; remove one")
        self._known += 1
        return self._known - 1

    def numbers(
        self, text: str | bytes | NDArray[np.uint8], learn: bool = False, marks: bool = False
    ) -> NDArray[np.int32]:
        """Numbers of the words of ``text``; white space parts them.

        Args:
            text: one or more lines; bytes are taken as they are.
            learn: whether words that are not known are entered; otherwise they are ``UNKNOWN``.
            marks: whether each line begins with BEGIN and ends with END. Without, a text of one
                line gives its words alone, and one of several lines a GAP after each but the last.

        Raises:
            DataError: the text holds ``<s>`` or ``</s>``, or more words than can be numbered.
        """
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        data = np.frombuffer(text, np.uint8) if isinstance(text, bytes) else text
        if len(data) == 0 or data[-1] != ord("\n"):
            data = np.concatenate([data, np.frombuffer(b"\n", np.uint8)])
        pieces, begin = [], 0
        while begin < len(data):
            out = np.empty(min(len(data) - begin, 2**22) // 2 + 1024, np.int32)
            begin, count = self._tokenise(data, begin, learn, marks, out)
            pieces.append(out[:count])
        numbers = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        return numbers if marks else numbers[:-1]

    def _tokenise(
        self, data: NDArray[np.uint8], begin: int, learn: bool, marks: bool, out: NDArray[np.int32]
    ) -> tuple[int, int]:
        """Fill ``out`` from data[begin:]; returns where it stopped and how many were written."""
        stop, count, self._known = tokenise(
            data, begin, learn, marks, self._table, self._hashes, self._starts, self._store,
            self._known, out,
        )  # fmt: skip
        if stop < 0:
            line = int(np.count_nonzero(data[: -1 - stop] == ord("\n"))) + 1
            raise DataError(
                f"line {line} holds the sentence mark <s> or </s>, which is added to each line; "
                "remove it from the text"
            )
        if stop < len(data) and learn:  # perhaps for want of room
            self._reserve(self._known + 1, int(self._starts[self._known]) + _length(data, stop))
        return int(stop), int(count)

    def _reserve(self, words: int, size: int) -> None:
        """Make room for ``words`` words of ``size`` bytes in all."""
        if words > _LARGEST:
            raise DataError(f"a vocabulary of {words} words must have at most {_LARGEST}")
        if words > len(self._hashes) or len(self._starts) <= words:
            more = 2 * words
            self._hashes = np.concatenate([self._hashes, np.zeros(more, np.uint64)])
            self._starts = np.concatenate([self._starts, np.zeros(more + 1, np.int64)])
        if size > len(self._store):
            self._store = np.concatenate([self._store, np.zeros(size, np.uint8)])
        if 2 * words > len(self._table):
            self._grow_table(2 * words)

    def _grow_table(self, words: int) -> None:
        self._table = np.zeros(1 << (4 * max(words, 16) - 1).bit_length(), np.int32)
        insert_words(self._table, self._hashes, 0, self._known)


def _length(data: NDArray[np.uint8], begin: int) -> int:
    """Bytes of the word at data[begin:]; the last byte of ``data`` ends it at the latest."""
    size = 64
    while not (ends := data[begin : begin + size] <= ord(" ")).any():
        size *= 8
    return int(np.argmax(ends))
