"""The likeliest words for a run of units, such as phones, that no boundaries part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from seqlab.text.vocabulary import UNKNOWN

Units = tuple[str, ...]
_UNMATCHED = 8.0  # nats that a unit of no word costs beyond the rarest word


class Segmenter:
    """Cuts units into words of the highest unigram probability (Viterbi over all cuts).

    A unit that is in no word costs more than any word, so as few as possible are left; those next
    to each other become one ``<unk>``.

    Args:
        weights: units of each word, with its weight (on any positive scale) and the word.

    Example:
        >>> words = {("S", "IY"): (3.0, "see"), ("IY", "T"): (1.0, "eat"), ("IY",): (0.1, "e")}
        >>> Segmenter(words)(["S", "IY", "IY", "T", "Z", "Z"])
        [('see', 0, 2), ('eat', 2, 4), ('<unk>', 4, 6)]
    """

    def __init__(self, weights: Mapping[Units, tuple[float, str]]) -> None:
        total = math.fsum(weight for weight, _ in weights.values())
        self._scores = {
            units: (math.log(weight / total), word) for units, (weight, word) in weights.items()
        }
        self._longest = max(map(len, weights), default=0)
        rarest = min((score for score, _ in self._scores.values()), default=0.0)
        self._penalty = rarest - _UNMATCHED

    def __call__(self, units: Sequence[str], whole: bool = False) -> list[tuple[str, int, int]]:
        """The words of ``units`` (U,), each with its first unit and the one after its last.

        The time grows with U times the longest word.

        Args:
            units: the units.
            whole: whether a word that has all of these units is taken before any cut.
        """
        if whole and (found := self._scores.get(tuple(units))):
            return [(found[1], 0, len(units))]
        best = [0.0, *[-math.inf] * len(units)]
        back = [(0, "")] * (len(units) + 1)
        for end in range(1, len(units) + 1):
            best[end], back[end] = best[end - 1] + self._penalty, (end - 1, UNKNOWN)
            for begin in range(max(0, end - self._longest), end):
                found = self._scores.get(tuple(units[begin:end]))
                if found is not None and best[begin] + found[0] > best[end]:
                    best[end], back[end] = best[begin] + found[0], (begin, found[1])
        words: list[tuple[str, int, int]] = []
        end = len(units)
        while end > 0:
            begin, word = back[end]
            if word == UNKNOWN and words and words[-1][0] == UNKNOWN:
                end = words.pop()[2]
            words.append((word, begin, end))
            end = begin
        return words[::-1]
