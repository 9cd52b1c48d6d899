"""Which letters of a word stand for which of its phones, learned from a lexicon alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least, check_range
from seqlab.errors import DataError
from seqlab.pronunciation.kernels.alignment import best_alignments, expected_counts

LONGEST = 64  # letters or phones of a word that can be aligned
_UNEVEN = 0.1  # first weight of graphones that are not one letter and one phone
_LARGEST = 1 << 26  # pairs of chunks, 8 bytes each


class Graphone(NamedTuple):
    """Letters and the phones that they stand for (Bisani and Ney 2008); phones may be none."""

    letters: str
    phones: tuple[str, ...]


@dataclass(frozen=True)
class Alignment:
    """Words of a lexicon cut into graphones.

    Args:
        words: the graphones of each word; words without an alignment are left out.
        left_out: how many those are: too long, or with more phones than their letters may have.
        log_likelihoods: of all words before each iteration, natural, each divided by the words
            that can be aligned; it never falls.
    """

    words: tuple[tuple[Graphone, ...], ...]
    left_out: int
    log_likelihoods: tuple[float, ...]


def align(
    pairs: Iterable[tuple[str, Sequence[str]]],
    max_letters: int = 2,
    max_phones: int = 2,
    iterations: int = 10,
) -> Alignment:
    """Align letters with phones by expectation maximisation over all cuts into graphones.

    A graphone is one letter and up to ``max_phones`` phones, or up to ``max_letters`` letters and
    at most one phone. Units of both would leave a small lexicon without the short ones that new
    words need, and do not make a large one better. In the final, likeliest alignment a graphone's
    cost counts once for each letter or phone, whichever it has more of: otherwise long ones would
    swallow the short ones, as they need fewer factors.

    Args:
        pairs: words and their phones.
        max_letters: letters of a graphone at most, 1 to 3.
        max_phones: phones of a graphone at most, 1 to 3.
        iterations: of EM, 1 to 100.

    Raises:
        DataError: no word can be aligned, or there are too many different letters.

    Source: Dempster, Laird and Rubin 1977; Jiampojamarn, Kondrak and Sherif 2007, "Applying
    many-to-many alignments and hidden Markov models to letter-to-phoneme conversion", section 3;
    the cost as in Novak, Minematsu and Hirose 2012, "WFST-based grapheme-to-phoneme conversion".

    Example:
        >>> found = align([("phone", ["F", "OW", "N"]), ("pen", ["P", "EH", "N"]),
        ...                ("graph", ["G", "R", "AE", "F"])], max_phones=1)
        >>> [g.letters for g in found.words[2]]
        ['g', 'r', 'a', 'ph']
    """
    for name, value in (("max_letters", max_letters), ("max_phones", max_phones)):
        check_range(name, value, 1, 3, "2 suits most alphabets")
        check_at_least(name, value, 1)
    check_range("iterations", iterations, 1, 100, "10 is usual")
    entries = [(word, tuple(phones)) for word, phones in pairs]
    kept = [e for e in entries if 0 < len(e[0]) <= LONGEST and 0 < len(e[1]) <= LONGEST]
    if not kept:
        raise DataError("there are no words to learn from; give words and their phones")
    letters = _Chunks.of([word for word, _ in kept], max_letters)
    phones = _Chunks.of([found for _, found in kept], max_phones)
    size = letters.total * phones.total
    if size > _LARGEST:
        raise DataError(
            f"{letters.total} runs of letters and {phones.total} of phones make {size} pairs, must "
            f"be at most {_LARGEST}; lower max_letters or max_phones"
        )
    shared = (letters.numbers, letters.starts, phones.numbers_with_empty, phones.starts)
    # to begin with, one letter is one phone where that is possible; EM finds where it is not
    single = (letters.sizes[:, None] == 1) & (phones.sizes == 1)
    weights, history = np.where(single, 1.0, _UNEVEN), []
    for _ in range(iterations):
        counts = np.zeros_like(weights)
        total, aligned = expected_counts(*shared, weights, counts)
        if aligned == 0:
            raise DataError(
                f"none of {len(kept)} words can be aligned; are letters and phones in the right "
                "order, or max_phones too low?"
            )
        history.append(float(total) / aligned)
        weights = counts / counts.sum()
    cuts = np.zeros((letters.starts[-1], 2), np.uint8)
    lengths = np.zeros(len(kept), np.int32)
    with np.errstate(divide="ignore"):
        best_alignments(*shared, _costs(np.log(weights), letters, phones), cuts, lengths)
    words = tuple(_cut(*kept[w], cuts[letters.starts[w] :][:n]) for w, n in enumerate(lengths) if n)
    return Alignment(words, len(entries) - len(words), tuple(history[1:]))


class _Chunks(NamedTuple):
    """The runs of symbols that occur in some sequences, numbered from 1; 0 is the empty one."""

    total: int
    sizes: NDArray[np.int64]  # symbols of each
    numbers: NDArray[np.int32]  # (longest, symbols)
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[str]], longest: int) -> _Chunks:
        known: dict[str, int] = {}
        flat = np.array([known.setdefault(s, len(known)) for q in sequences for s in q], np.int64)
        lengths = np.array([len(sequence) for sequence in sequences])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ends = np.repeat(starts[1:], lengths)  # of the sequence that each symbol is in
        numbers = np.zeros((longest, len(flat)), np.int32)
        codes, sizes = np.zeros(len(flat), np.int64), [np.zeros(1, np.int64)]
        for k in range(longest):
            codes[: len(flat) - k] = codes[: len(flat) - k] * len(known) + flat[k:]
            inside = np.arange(len(flat)) + k < ends
            found, places = np.unique(codes[inside], return_inverse=True)
            numbers[k, inside] = places + sum(map(len, sizes))
            sizes.append(np.full(len(found), k + 1, np.int64))
        every = np.concatenate(sizes)
        return cls(len(every), every, numbers, starts)

    @property
    def numbers_with_empty(self) -> NDArray[np.int32]:
        """As ``numbers``, with a row for the empty chunk before."""
        return np.concatenate([np.zeros((1, self.numbers.shape[1]), np.int32), self.numbers])


def _costs(scores: NDArray[np.float64], letters: _Chunks, phones: _Chunks) -> NDArray[np.float64]:
    costs: NDArray[np.float64] = scores * np.maximum(letters.sizes[:, None], phones.sizes).clip(1)
    return costs


def _cut(word: str, phones: tuple[str, ...], cuts: NDArray[np.uint8]) -> tuple[Graphone, ...]:
    ends = np.cumsum(cuts.astype(np.int64), axis=0).tolist()
    begins = [[0, 0], *ends]
    return tuple(
        Graphone(word[i:k], phones[j:m]) for (i, j), (k, m) in zip(begins, ends, strict=False)
    )
