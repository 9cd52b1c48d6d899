"""Normalisation: cases by hand, and that applying it twice changes nothing."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError
from seqlab.text.normalize import TextNormalizer

SETTINGS = [
    TextNormalizer(case, form, punctuation, digits=digits)
    for case, form, punctuation, digits in itertools.product(
        ("lower", "upper", "keep"), ("NFC", "NFKC"), ("keep", "remove"), ("keep", "separate")
    )
]


@settings(max_examples=300)
@given(st.text(), st.sampled_from(SETTINGS))
@example("0'0", TextNormalizer(punctuation="remove", digits="separate"))
def test_twice_is_once(text: str, normalizer: TextNormalizer) -> None:
    once = normalizer(text)
    assert normalizer(once) == once
    assert once == " ".join(once.split())
    assert unicodedata.is_normalized(normalizer.unicode_form, once)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "  Hello,\tWorld\n42 ", "hello, world 42"),
        ({"case": "upper"}, "straße", "STRASSE"),
        ({"case": "keep"}, "McX", "McX"),
        ({}, "Cafe\u0301", "caf\u00e9"),
        ({"unicode_form": "NFKC"}, "\uff21\ufb01\u00b2", "afi2"),
        ({}, "\u0130", "i\u0307"),
        ({"punctuation": "remove"}, "Don't stop: 'tis well-known!", "don't stop tis well known"),
        ({"punctuation": "remove", "keep_characters": "'-"}, "well-known - no", "well-known no"),
        ({"punctuation": "remove"}, "3 + 4 = $7", "3 4 7"),
        ({"punctuation": "remove", "unicode_form": "NFKC"}, "50\u00a0%\u3000ok", "50 ok"),
        ({"digits": "separate"}, "call 911now", "call 9 1 1 now"),
        ({"punctuation": "remove"}, "...", ""),
        ({}, "نعم، لا", "نعم، لا"),
    ],
)
def test_by_hand(options: dict, text: str, expected: str) -> None:
    assert TextNormalizer(**options)(text) == expected


def test_bad_options() -> None:
    for name, value in [
        ("case", "title"),
        ("unicode_form", "NFD"),
        ("punctuation", True),
        ("digits", "spell"),
    ]:
        with pytest.raises(DataError, match=f"{name}={value!r} must be one of"):
            TextNormalizer(**{name: value})
