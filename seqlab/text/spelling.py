"""Pronunciations of what no lexicon holds: digits, symbols and abbreviations, sign by sign."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from seqlab.text.lexicon import Lexicon, Phones

ENGLISH_NAMES: Mapping[str, str] = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six",
    "7": "seven", "8": "eight", "9": "nine", "&": "and", "%": "percent", "@": "at", "+": "plus",
    "=": "equals", "$": "dollar", "£": "pound", "€": "euro", "/": "slash", "#": "number",
    "'": "", "\u2019": "", "-": "", ".": "", ",": "", "_": "",
}  # fmt: skip
_RUNS = re.compile(r"[^\W\d_]+|.", re.DOTALL)


class SpellOut:
    """Says a word in pieces: runs of letters, and other signs by their names.

    A run of letters is said as the lexicon has it; else as ``letters`` says it, a
    ``JointSequenceModel`` for example; else both are asked without its accents; else each letter
    is named. A letter's name is the lexicon's word for it with a full stop (``b.`` in cmudict), or
    the letter as a word.

    Args:
        lexicon: says the pieces and the names.
        letters: gives the phones of a run of letters, or None.
        names: word of the lexicon for each sign; "" for signs that are not said.

    Example:
        >>> lexicon = Lexicon({"m.": ["EH M"], "p.": ["P IY"], "three": ["TH R IY"]})
        >>> SpellOut(lexicon)("mp3")
        ('EH', 'M', 'P', 'IY', 'TH', 'R', 'IY')
        >>> SpellOut(lexicon)("mp4") is None
        True
    """

    def __init__(
        self,
        lexicon: Lexicon,
        letters: Callable[[str], Sequence[str] | None] | None = None,
        names: Mapping[str, str] = ENGLISH_NAMES,
    ) -> None:
        self.lexicon, self.letters, self.names = lexicon, letters, dict(names)

    def __call__(self, word: str) -> Phones | None:
        """The phones of a word, or None where a piece has no name or nothing is left to say."""
        if found := self._said(word):  # also words with signs that are spelled so, such as o'neil
            return found
        phones: list[str] = []
        for piece in _RUNS.findall(unicodedata.normalize("NFC", word)):
            found = self._run(piece)
            if found is None:
                return None
            phones += found
        return tuple(phones) or None

    def _run(self, piece: str) -> Phones | None:
        if piece in self.names:
            name = self.names[piece]
            return self.lexicon.best(name) if name in self.lexicon else () if not name else None
        if not piece[0].isalpha():
            return None
        plain = without_accents(piece)
        return self._said(piece) or self._said(plain) or self._named(plain)

    def _said(self, piece: str) -> Phones | None:
        if piece in self.lexicon:
            return self.lexicon.best(piece)
        phones = self.letters(piece) if self.letters is not None and piece else None
        return tuple(phones) if phones else None

    def _named(self, piece: str) -> Phones | None:
        phones: list[str] = []
        for letter in piece:
            name = f"{letter}." if f"{letter}." in self.lexicon else letter
            if name not in self.lexicon:
                return None
            phones += self.lexicon.best(name)
        return tuple(phones)


def without_accents(text: str) -> str:
    """The text without the marks that Unicode can take off its letters.

    >>> without_accents("naïve señor")
    'naive senor'
    """
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c)))
