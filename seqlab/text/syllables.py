"""Phones cut into syllables, and syllables as tokens."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from seqlab.errors import DataError, ModelError
from seqlab.text.base import state_file
from seqlab.text.lexicon import Lexicon, Phones
from seqlab.text.normalize import Case, Digits, Punctuation, UnicodeForm
from seqlab.text.phones import PhoneTokenizer

ONSETS_NAME = "onsets.json"
_VOWELS = "AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX"
ARPABET_VOWELS = frozenset(_VOWELS.split())

_SECOND = {  # what may follow the first consonant of an onset
    "P": "L R Y", "T": "R W Y", "K": "L R W Y", "B": "L R Y", "D": "R W Y", "G": "L R W Y",
    "F": "L R Y", "TH": "R W Y", "S": "P T K F M N L W Y", "SH": "R", "HH": "Y", "V": "Y",
    "M": "Y", "N": "Y", "L": "Y",
}  # fmt: skip
_THIRD = {"P": "L R Y", "T": "R Y", "K": "L R W Y"}  # after S
_SINGLE = "B CH D DH F G HH JH K L M N P R S SH T TH V W Y Z ZH"


def english_onsets() -> frozenset[Phones]:
    """The consonants that English syllables begin with, in ARPABET: one, two or three.

    Source: Roach 2009, "English Phonetics and Phonology", 4th edition, section 8.2 and its tables
    of initial clusters; [NG] begins no syllable. Of the rare ones ``G W`` and ``T W`` are in,
    ``SH W`` and ``S R`` are not.

    >>> ("S", "T", "R") in english_onsets(), ("T", "L") in english_onsets()
    (True, False)
    """
    singles = {(one,) for one in _SINGLE.split()}
    doubles = {(one, two) for one, found in _SECOND.items() for two in found.split()}
    triples = {("S", two, three) for two, found in _THIRD.items() for three in found.split()}
    return frozenset(singles | doubles | triples)


def learned_onsets(
    lexicon: Lexicon, vowels: Collection[str] = ARPABET_VOWELS, min_share: float = 2e-4
) -> frozenset[Phones]:
    """The consonants that words of a lexicon begin with, for any language.

    Args:
        lexicon: of many words; with few ones give a table instead.
        vowels: phones that syllables have one of, without stress digits.
        min_share: onsets that fewer of the pronunciations begin with are left out, such as those
            of foreign names; within [0, 1].

    Source: the legality principle, as in Bartlett, Kondrak and Cherry 2009, "On the
    syllabification of phonemes", section 2.1.

    >>> sorted(learned_onsets(Lexicon({"star": ["S T AA R"], "tie": ["T AY"], "I": ["AY"]})))
    [('S', 'T'), ('T',)]
    """
    counts: Counter[Phones] = Counter()
    for _, one in lexicon.pairs():
        places = [i for i, phone in enumerate(one.phones) if _is_vowel(phone, vowels)]
        counts[one.phones[: places[0]] if places else ()] += 1
    least = min_share * counts.total()
    return frozenset(onset for onset, count in counts.items() if onset and count >= least)


def syllabify(
    phones: Sequence[str],
    onsets: Collection[Phones] | None = None,
    vowels: Collection[str] = ARPABET_VOWELS,
) -> tuple[Phones, ...]:
    """Cut the phones of a word into syllables: one vowel each, and onsets as long as may be.

    Phones of a word without vowels are one syllable.

    Args:
        phones: of one word, with or without stress digits.
        onsets: what a syllable may begin with; ``english_onsets`` by default. No consonant is
            allowed whatever is said here.
        vowels: phones that syllables have one of, without stress digits.

    Source: the maximum onset principle, Kahn 1976, "Syllable-based generalizations in English
    phonology".

    Example:
        >>> [" ".join(part) for part in syllabify("EH K S T R AH".split())]
        ['EH K', 'S T R AH']
    """
    legal = english_onsets() if onsets is None else onsets
    nuclei = [i for i, phone in enumerate(phones) if _is_vowel(phone, vowels)]
    cuts = [0]
    for left, right in itertools.pairwise(nuclei):
        begin = left + 1
        while begin < right and tuple(phones[begin:right]) not in legal:
            begin += 1
        cuts.append(begin)
    ends = [*cuts[1:], len(phones)]
    return tuple(tuple(phones[i:k]) for i, k in zip(cuts, ends, strict=True) if k > i)


def _is_vowel(phone: str, vowels: Collection[str]) -> bool:
    return phone in vowels or phone.rstrip("012") in vowels


class SyllableTokenizer(PhoneTokenizer):
    """One token a syllable, such as ``HH_AH`` and ``L_OW``; words are said as a lexicon has them.

    Use it for small vocabularies and keywords: tokens are longer than phones, and there are more
    of them, each with less training speech. The tokens are the syllables of all words of the
    lexicon, so restrict it (``vocabulary="texts"``) unless all are wanted.

    Args:
        lexicon: see ``PhoneTokenizer``.
        onsets: what syllables begin with: ``english``, ``learned`` from the lexicon, or a list
            such as ``["S T", "T"]``.
        vowels: phones that syllables have one of; None takes those of ARPABET.
        vocabulary: ``lexicon`` knows all its words, ``texts`` those of the training texts alone.
        stress: see ``PhoneTokenizer``.
        boundary: see ``PhoneTokenizer``.
        case: see ``PhoneTokenizer``.
        unicode_form: see ``PhoneTokenizer``.
        punctuation: see ``PhoneTokenizer``.
        digits: see ``PhoneTokenizer``.

    Example:
        >>> lexicon = {"hello": ["HH AH L OW"], "yellow": ["Y EH L OW"]}
        >>> tokenizer = SyllableTokenizer(lexicon=lexicon).fit(["hello"])
        >>> tokenizer.tokens, tokenizer.decode(tokenizer.encode("Yellow"))
        (['<blank>', '|', 'HH_AH', 'L_OW', 'Y_EH'], 'yellow')
    """

    unit = "syllable"

    def __init__(
        self,
        *,
        lexicon: str | Mapping[str, Sequence[str]] | None = None,
        onsets: str | Sequence[str] = "english",
        vowels: Sequence[str] | None = None,
        vocabulary: str = "lexicon",
        stress: bool = False,
        boundary: str = "|",
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
    ) -> None:
        super().__init__(
            lexicon=lexicon, stress=stress, boundary=boundary, case=case,
            unicode_form=unicode_form, punctuation=punctuation, digits=digits,
        )  # fmt: skip
        if isinstance(onsets, str) and onsets not in ("english", "learned"):
            raise DataError(f"onsets={onsets!r} must be 'english', 'learned' or a list of onsets")
        if vocabulary not in ("lexicon", "texts"):
            raise DataError(f"vocabulary={vocabulary!r} must be 'lexicon' or 'texts'")
        self.onsets, self.words = onsets, vocabulary
        self.vowels = frozenset(vowels) if vowels is not None else ARPABET_VOWELS
        self._onsets: frozenset[Phones] = frozenset()

    def _prepare(self, lexicon: Lexicon) -> None:
        if self.onsets == "english":
            self._onsets = english_onsets()
        elif self.onsets == "learned":
            self._onsets = learned_onsets(lexicon, self.vowels)
        else:
            self._onsets = frozenset(tuple(onset.split()) for onset in self.onsets)

    def state(self) -> dict[str, bytes]:
        """As of ``PhoneTokenizer``, and the onsets."""
        onsets = sorted(" ".join(onset) for onset in self._onsets)
        text = json.dumps({"onsets": onsets}, indent=0)
        return {**super().state(), ONSETS_NAME: text.encode("ascii") + b"\n"}

    def _load_cuts(self, files: Mapping[str, bytes]) -> None:
        content = state_file(files, ONSETS_NAME)
        try:
            onsets: Any = json.loads(content)["onsets"]
            if not isinstance(onsets, list) or not all(isinstance(one, str) for one in onsets):
                raise TypeError("onsets must be a list of texts")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(
                f"{ONSETS_NAME} is damaged ({type(error).__name__}: {error}); save the model again"
            ) from None
        self._onsets = frozenset(tuple(onset.split()) for onset in onsets)

    def _cut(self, phones: Phones) -> tuple[str, ...]:
        return tuple("_".join(part) for part in syllabify(phones, self._onsets, self.vowels))

    def _take(self, lexicon: Lexicon, counts: Mapping[str, int]) -> None:
        super()._take(lexicon.selected(counts) if self.words == "texts" else lexicon, counts)
