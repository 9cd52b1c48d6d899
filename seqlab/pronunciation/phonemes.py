"""English phones of the CMU dictionary: which sound alike, and espeak-ng's names for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from seqlab.errors import DataError

# One feature apart: the place of stops, fricatives, nasals and approximants, voicing, friction
# (Miller and Nicely 1955, "An analysis of perceptual confusions among some English consonants"),
# and neighbours in the vowel space (Peterson and Barney 1952; diphthongs by where they begin or
# end). Pairs that are one sound in some accents are left out: AA and AO, ER and AH, IH and AH.
_ALIKE = (
    "P-B T-D K-G P-T T-K P-K B-D D-G "
    "F-V TH-DH S-Z SH-ZH CH-JH F-TH TH-S S-SH V-DH DH-Z Z-ZH HH-F CH-SH JH-ZH CH-T JH-D "
    "M-N N-NG M-B N-D L-R R-W W-V Y-L "
    "IY-IH IH-EH EH-AE EH-EY IY-EY AE-AH AH-AA AO-OW UH-UW UH-AH ER-UH OW-UW AY-EY AY-OY "
    "AW-OW AW-AA"
)
_ESPEAK = {
    "AA": "A:", "AE": "a", "AH": "V", "AO": "O:", "AW": "aU", "AY": "aI", "B": "b", "CH": "tS",
    "D": "d", "DH": "D", "EH": "E", "ER": "3:", "EY": "eI", "F": "f", "G": "g", "HH": "h",
    "IH": "I", "IY": "i:", "JH": "dZ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "N",
    "OW": "oU", "OY": "OI", "P": "p", "R": "r", "S": "s", "SH": "S", "T": "t", "TH": "T",
    "UH": "U", "UW": "u:", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "Z",
}  # fmt: skip
_WEAK = {"AH": "@", "ER": "3", "IY": "i"}  # without stress
_STRESS = {"1": "'", "2": ",", "0": "", "": ""}


def plain(phone: str) -> str:
    """The phone without the digit of its stress.

    >>> plain("AH0"), plain("F")
    ('AH', 'F')
    """
    return phone.rstrip("012")


def is_vowel(phone: str) -> bool:
    """Whether it is a vowel or a diphthong.

    >>> is_vowel("AW2"), is_vowel("F")
    (True, False)
    """
    return plain(phone)[:1] in "AEIOU"


def _neighbours() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {phone: [] for phone in _ESPEAK}
    for pair in _ALIKE.split():
        one, other = pair.split("-")
        found[one].append(other)
        found[other].append(one)
    return {phone: tuple(sorted(others)) for phone, others in found.items()}


_NEIGHBOURS = _neighbours()


def alike(phone: str) -> tuple[str, ...]:
    """The phones that are easily taken for this one; a vowel's keep its stress.

    Raises:
        DataError: no phone of the CMU dictionary.

    Example:
        >>> alike("S"), alike("AW2")
        (('SH', 'TH', 'Z'), ('AA2', 'OW2'))
    """
    symbol = plain(phone)
    if symbol not in _NEIGHBOURS:
        raise DataError(
            f"phone {phone!r} must be one of the CMU dictionary ({' '.join(sorted(_ESPEAK))}); "
            "use a lexicon in its phones"
        )
    return tuple(other + phone[len(symbol) :] for other in _NEIGHBOURS[symbol])


def replaced(phones: Sequence[str], count: int) -> Iterator[tuple[str, ...]]:
    """Every sequence with exactly ``count`` phones replaced by alike ones.

    >>> [" ".join(p) for p in replaced(["HH", "EY1"], 1)]
    ['F EY1', 'HH AY1', 'HH EH1', 'HH IY1']
    """
    for places in combinations(range(len(phones)), count):
        for others in product(*(alike(phones[place]) for place in places)):
            changed = list(phones)
            for place, other in zip(places, others, strict=True):
                changed[place] = other
            yield tuple(changed)


def espeak_phonemes(phones: Sequence[str]) -> str:
    """A word as espeak-ng's English voices take it; the mnemonics are of its phoneme tables.

    >>> espeak_phonemes("S AH1 N F L AW2 ER0".split())
    "[[s'Vnfl,aU3]]"
    """
    names = []
    for phone in phones:
        symbol = plain(phone)
        stress = phone[len(symbol) :]
        weak = _WEAK.get(symbol) if stress == "0" else None
        names.append(_STRESS[stress] + (weak or _ESPEAK[symbol]))
    return f"[[{''.join(names)}]]"
