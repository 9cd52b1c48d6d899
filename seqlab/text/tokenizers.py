"""Text to tokens and back: characters, words, and labels for classification.

A tokenizer is settings (constructor arguments) plus what ``fit`` learned (``state``). The state
is plain bytes by file name, JSON or a sentencepiece model; nothing in it can run code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

from seqlab.errors import DataError
from seqlab.text.base import Tokenizer, shorten, unknown_character
from seqlab.text.normalize import Case, Digits, Punctuation, TextNormalizer, UnicodeForm
from seqlab.text.vocabulary import BLANK, UNKNOWN, Vocabulary

__all__ = [
    "CharacterTokenizer",
    "LabelTokenizer",
    "Tokenizer",
    "WordTokenizer",
]


class CharacterTokenizer(Tokenizer):
    """One token a character, the space included; the plain choice for CTC on small corpora.

    Args:
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` or ``NFKC``.
        punctuation: ``keep`` or ``remove``.
        digits: ``keep`` or ``separate``.
        characters: a fixed inventory; None learns it from the training texts.

    Example:
        >>> tokenizer = CharacterTokenizer().fit(["Go on", "stop"])
        >>> tokenizer.encode("no"), tokenizer.decode([3, 4])
        ([3, 4], 'no')
    """

    unit = "character"

    def __init__(
        self,
        *,
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
        characters: str | None = None,
    ) -> None:
        super().__init__(TextNormalizer(case, unicode_form, punctuation, digits=digits))
        self.characters = characters
        if characters is not None:
            self._vocabulary = Vocabulary([BLANK, *characters])

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the characters of ``texts``, or check them against the fixed inventory."""
        if self.characters is not None:
            for text in texts:
                self.encode(text)
            return self
        found = sorted({character for text in texts for character in self.normalize(text)})
        if not found:
            raise DataError("the training texts hold no characters; are there transcripts?")
        self._vocabulary = Vocabulary([BLANK, *found])
        return self

    def encode(self, text: str) -> list[int]:
        """Token indices (U,), one a character of the normalised text."""
        normalized = self.normalize(text)
        known = self.vocabulary
        indices = [known.get(character) for character in normalized]
        if None in indices:
            raise unknown_character(text, normalized[indices.index(None)], known)
        return [i for i in indices if i is not None]

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters put together, with single spaces and none at the ends."""
        return " ".join("".join(self._units(tokens)).split())

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The characters."""
        return self._units_or_blanks(tokens)


class WordTokenizer(Tokenizer):
    """One token a word; for small closed vocabularies such as digit strings.

    Args:
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` or ``NFKC``.
        punctuation: ``keep`` or ``remove``.
        digits: ``keep`` or ``separate``.
        min_count: words rarer than this in training are unknown; 1 or more, above 1 only with
            ``unknown``.
        unknown: give unknown words the token ``<unk>`` instead of refusing them.

    Example:
        >>> tokenizer = WordTokenizer().fit(["one two", "two three"])
        >>> tokenizer.encode("three one"), tokenizer.decode([3, 1])
        ([2, 1], 'two one')
    """

    unit = "word"

    def __init__(
        self,
        *,
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
        min_count: int = 1,
        unknown: bool = False,
    ) -> None:
        super().__init__(TextNormalizer(case, unicode_form, punctuation, digits=digits))
        if min_count < 1 or (min_count > 1 and not unknown):
            raise DataError(
                f"min_count={min_count} must be at least 1, and above 1 needs unknown=True, "
                "because rare words need a token"
            )
        self.min_count = min_count
        self.unknown = unknown

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the words of ``texts``, in alphabetical order."""
        counts = Counter(word for text in texts for word in self.normalize(text).split())
        if not counts:
            raise DataError("the training texts hold no words; are there transcripts?")
        words = sorted(word for word, count in counts.items() if count >= self.min_count)
        self._vocabulary = Vocabulary([BLANK, *([UNKNOWN] if self.unknown else []), *words])
        return self

    def encode(self, text: str) -> list[int]:
        """Token indices (U,), one a word of the normalised text."""
        words = self.normalize(text).split()
        if self.unknown:
            unknown = self.vocabulary.index(UNKNOWN)
            return [unknown if (i := self.vocabulary.get(w)) is None else i for w in words]
        try:
            return [self.vocabulary.index(word) for word in words]
        except DataError as error:
            raise DataError(f"text {shorten(text)}: word {error}") from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The words, separated by single spaces."""
        return " ".join(self._units(tokens))


class LabelTokenizer(Tokenizer):
    """One token a text: the classes of a classifier. There is no blank.

    Args:
        labels: the classes in the order wanted; None learns them from the training texts, sorted.

    Example:
        >>> tokenizer = LabelTokenizer().fit(["yes", "no", "yes"])
        >>> tokenizer.encode("yes"), tokenizer.decode([0]), len(tokenizer)
        ([1], 'no', 2)
    """

    unit = "label"
    blank = None

    def __init__(self, *, labels: list[str] | None = None) -> None:
        super().__init__(TextNormalizer(case="keep"))
        self.labels = labels
        if labels is not None:
            self._vocabulary = Vocabulary([self.normalize(label) for label in labels])

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the labels, or check them against those given."""
        found = {self.normalize(text) for text in texts}
        if self.labels is None:
            self._vocabulary = Vocabulary(sorted(found))
            return self
        for label in sorted(found):
            self.encode(label)
        return self

    def encode(self, text: str) -> list[int]:
        """The label's index, in a list of one."""
        try:
            return [self.vocabulary.index(self.normalize(text))]
        except DataError as error:
            raise DataError(f"label {error}") from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The label of the one index in ``tokens``."""
        if len(tokens) != 1:
            raise DataError(f"{len(tokens)} tokens are no label; pass exactly 1 class index")
        return self.vocabulary[int(tokens[0])]
