"""Tokens from a list of one's own: letters of a script, morphs, any pieces of words."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, get_args

from seqlab.checks import check_choice
from seqlab.errors import DataError, ModelError
from seqlab.text.base import Tokenizer, shorten, state_file, unknown_character
from seqlab.text.normalize import Case, Digits, Punctuation, TextNormalizer, UnicodeForm
from seqlab.text.vocabulary import BLANK, Vocabulary

COUNTS_NAME = "unit_counts.json"
Segmentation = Literal["longest", "fewest", "likeliest"]
_ITERATIONS = 8


class ListTokenizer(Tokenizer):
    """One token a unit of a given list; texts are cut into units, and units put together.

    Use it for letters that are written with two signs (Welsh ``ll``), for syllabaries, and for
    pieces found by another tool. Single spaces between words are a token of their own.

    Args:
        units: the pieces in the order of their indices, without white space, as normalised text
            has them.
        segmentation: how a word is cut. ``longest`` takes the longest unit that fits, from the
            left, and steps back where that leads nowhere; ``fewest`` takes as few units as
            possible, the longer ones first; ``likeliest`` has the highest product of the
            probabilities that ``fit`` learns from the texts by expectation maximisation.
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` or ``NFKC``.
        punctuation: ``keep`` or ``remove``.
        digits: ``keep`` or ``separate``.

    Raises:
        DataError: a unit is empty, holds white space, changes when normalised, or stands twice.

    Source: ``likeliest`` is the unigram model of Kudo 2018, "Subword regularization", section 3.2,
    with a given vocabulary; counts are smoothed by 1/100 so that every unit stays possible.

    Example:
        >>> tokenizer = ListTokenizer(units=["l", "ll", "a", "n"]).fit(["llan"])
        >>> [tokenizer.tokens[i] for i in tokenizer.encode("Llan alla")]
        ['ll', 'a', 'n', ' ', 'a', 'll', 'a']
    """

    unit = "unit"

    def __init__(
        self,
        *,
        units: Sequence[str],
        segmentation: Segmentation = "longest",
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
    ) -> None:
        super().__init__(TextNormalizer(case, unicode_form, punctuation, digits=digits))
        check_choice("segmentation", segmentation, get_args(Segmentation))
        for unit in units:
            if unit.split() != [unit] or self.normalize(unit) != unit:
                raise DataError(
                    f"unit {unit!r} must be text without white space as normalised text has it "
                    f"({self.normalize(unit)!r}); correct it"
                )
        self.units, self.segmentation = list(units), segmentation
        self._fixed = Vocabulary([BLANK, " ", *units])
        self._longest = max(map(len, units), default=0)
        self._counts: list[float] = []
        self._costs: dict[str, float] = {}

    def fit(self, texts: Iterable[str]) -> Self:
        """Check that the units can spell ``texts``, and learn how probable each unit is."""
        words = Counter(word for text in texts for word in self.normalize(text).split())
        if not words:
            raise DataError("the training texts hold no words; are there transcripts?")
        self._take([1.0] * len(self.units))
        for word in words:
            self._cut(word, word)
        for _ in range(_ITERATIONS if self.segmentation == "likeliest" else 0):
            self._take(self._expected(words))
        return self

    def encode(self, text: str) -> list[int]:
        """Token indices (U,), one a unit of the normalised text."""
        known = self.vocabulary
        indices: list[int] = []
        for word in self.normalize(text).split():
            indices += [known.index(" ")] if indices else []
            indices += [known.index(unit) for unit in self._cut(text, word)]
        return indices

    def decode(self, tokens: Sequence[int]) -> str:
        """The units put together, with single spaces and none at the ends."""
        return " ".join("".join(self._units(tokens)).split())

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The units."""
        return self._units_or_blanks(tokens)

    def state(self) -> dict[str, bytes]:
        """The vocabulary and the expected count of each unit."""
        text = json.dumps({"counts": self._counts}, indent=0)
        return {**super().state(), COUNTS_NAME: text.encode("ascii") + b"\n"}

    def load_state(self, files: Mapping[str, bytes]) -> Self:
        """Take over what ``state`` gave; ModelError if it is missing, damaged or another kind's."""
        super().load_state(files)
        found = self.vocabulary
        self._vocabulary = None
        content = state_file(files, COUNTS_NAME)
        try:
            counts: Any = json.loads(content)["counts"]
            if not isinstance(counts, list) or len(counts) != len(found) - 2:
                raise TypeError("counts must be a list of one number a unit")
            counts = [float(count) for count in counts]
            if not all(0 < count < math.inf for count in counts):
                raise ValueError("counts must be above 0 and finite")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{COUNTS_NAME} is damaged ({type(error).__name__}: {error}); save the model again"
            ) from None
        if found.tokens != self._fixed.tokens:
            raise ModelError("vocabulary.json has other units than this; of another model?")
        self._take(counts)
        return self

    def _take(self, counts: list[float]) -> None:
        total = math.fsum(counts)
        self._vocabulary, self._counts = self._fixed, counts
        self._costs = {
            unit: math.log(total / n) for unit, n in zip(self.units, counts, strict=True)
        }

    def _cut(self, text: str, word: str) -> list[str]:
        """The units of a word."""
        size = len(word)
        # cost and unit from each place to the end: the first unit decides among equal costs
        best: list[tuple[float, str] | None] = [None] * size + [(0.0, "")]
        for begin in range(size - 1, -1, -1):
            for end in range(min(begin + self._longest, size), begin, -1):  # longer ones first
                after, unit = best[end], word[begin:end]
                if after is None or unit not in self._costs:
                    continue
                cost = after[0] + self._cost(unit)
                found = best[begin]
                if found is None or (cost < found[0] and self.segmentation != "longest"):
                    best[begin] = cost, unit
        units, begin = [], 0
        while begin < size:
            step = best[begin]
            if step is None:
                raise self._no_cut(text, word)
            units.append(step[1])
            begin += len(step[1])
        return units

    def _cost(self, unit: str) -> float:
        return self._costs[unit] if self.segmentation == "likeliest" else 1.0

    def _no_cut(self, text: str, word: str) -> DataError:
        letters = {character for unit in self.units for character in unit}
        for character in word:
            if character not in letters:
                return unknown_character(text, character, sorted(letters))
        return DataError(
            f"text {shorten(text)}: word {word!r} cannot be put together from the "
            f"{len(self.units)} units; add its single letters to them"
        )

    def _expected(self, words: Mapping[str, int]) -> list[float]:
        """How often each unit is used, over all cuts of the words, each as probable as it is."""
        counts = dict.fromkeys(self.units, 0.01)
        for word, count in words.items():
            size = len(word)
            ahead, behind = [0.0] * size + [1.0], [1.0] + [0.0] * size
            spans = [
                (i, k, math.exp(-self._costs[word[i:k]]))
                for i in range(size)
                for k in range(i + 1, min(i + self._longest, size) + 1)
                if word[i:k] in self._costs
            ]
            for i, k, p in spans:
                behind[k] += behind[i] * p
            for i, k, p in reversed(spans):
                ahead[i] += p * ahead[k]
            for i, k, p in spans if ahead[0] > 0 else ():
                counts[word[i:k]] += count * behind[i] * p * ahead[k] / ahead[0]
        return [counts[unit] for unit in self.units]
