"""Text normalisation: what counts as the same transcript, decided in one place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from seqlab.errors import DataError

Case = Literal["lower", "upper", "keep"]
UnicodeForm = Literal["NFC", "NFKC"]
Punctuation = Literal["keep", "remove"]
Digits = Literal["keep", "separate"]

_CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "keep": str}
_CHOICES = {
    "case": tuple(_CASES),
    "unicode_form": ("NFC", "NFKC"),
    "punctuation": ("keep", "remove"),
    "digits": ("keep", "separate"),
}
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class TextNormalizer:
    """Bring transcripts into one spelling; every tokenizer holds one.

    Use it before comparing texts or training on them. Applying it twice changes nothing more.
    Runs of white space always become one space, and none is left at the ends.

    Args:
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` composes accents; ``NFKC`` also replaces compatibility forms such as
            full-width letters and ligatures.
        punctuation: ``keep``, or ``remove``: every character of the Unicode categories P and S
            becomes a space, but for those of ``keep_characters`` between two letters or digits.
        keep_characters: punctuation that is part of a word, such as ``'`` in ``don't``.
        digits: ``keep`` them as written, or ``separate`` them by spaces, as when a telephone
            number is read out.

    Raises:
        DataError: an option that does not exist.

    Example:
        >>> TextNormalizer(punctuation="remove")("  Don't  STOP, please! ")
        "don't stop please"
    """

    case: Case = "lower"
    unicode_form: UnicodeForm = "NFC"
    punctuation: Punctuation = "keep"
    keep_characters: str = "'"
    digits: Digits = "keep"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise DataError(f"{name}={getattr(self, name)!r} must be one of {list(choices)}")

    def __call__(self, text: str) -> str:
        """The text in the one spelling."""
        previous = None
        while text != previous:  # a change of case can undo composition, and the other way round
            previous = text
            text = unicodedata.normalize(self.unicode_form, _CASES[self.case](text))
        if self.digits == "separate":  # first: it decides what stands between two letters
            text = _DIGIT.sub(r" \g<0> ", text)
        if self.punctuation == "remove":
            text = self._remove_punctuation(text)
        text = " ".join(text.split())
        return unicodedata.normalize(self.unicode_form, text)

    def _remove_punctuation(self, text: str) -> str:
        padded = f" {text} "
        return "".join(
            " " if self._drops(padded[i - 1], padded[i], padded[i + 1]) else padded[i]
            for i in range(1, len(padded) - 1)
        )

    def _drops(self, before: str, character: str, after: str) -> bool:
        if unicodedata.category(character)[0] not in "PS":
            return False
        inside = before.isalnum() and after.isalnum()
        return not (inside and character in self.keep_characters)
