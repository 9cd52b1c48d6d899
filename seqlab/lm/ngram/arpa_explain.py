"""What is wrong with a line of n-grams in an ARPA file."""

from __future__ import annotations

import re
from collections.abc import Callable

from seqlab.lm.ngram.kernels.arpa_parse import LARGEST_BACKOFF, LARGEST_PROB, SMALLEST

_NUMBER = re.compile(
    rb"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|1\.#inf\d*|nan(\(.*\))?|1\.#(ind|qnan)\d*)",
    re.IGNORECASE,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def explain(line: bytes, k: int, highest: bool, known: Callable[[str], bool]) -> str:
    """What is wrong with ``line``, and the likely cause.

    Args:
        line: without its end.
        k: length of the n-grams that stand there.
        highest: whether no longer ones follow.
        known: whether a word is among the unigrams (for k = 1: was before this line).
    """
    fields = re.split(rb"[ \t\r]+", line.strip(b" \t\r"))
    control = _CONTROL.search(line)
    if control:
        return (
            f"holds the control character {control[0]!r}, which no word may hold; the file is "
            "damaged, or its text was not cleaned"
        )
    if not 1 + k <= len(fields) <= 2 + k:
        return _wrong_length(fields, k)
    words = [field.decode("utf-8", "surrogateescape") for field in fields[1 : 1 + k]]
    problem = _bad_number("log-probability", fields[0], LARGEST_PROB)
    if problem:
        return problem
    if k == 1 and known(words[0]):
        return f"word {words[0]!r} stands twice among the 1-grams; remove one"
    unknown = [word for word in words if k > 1 and not known(word)]
    if unknown:
        return (
            f"word {unknown[0]!r} is not among the 1-grams; perhaps some were removed, or the "
            "words differ in case"
        )
    if len(fields) == 2 + k:
        problem = _bad_number("back-off weight", fields[-1], LARGEST_BACKOFF)
        if problem:
            return problem
        if highest:
            return (
                f"back-off weight {_shown(fields[-1])} of an n-gram of the highest order must be "
                "0 or left out; perhaps the header lacks a longer order"
            )
    return f"{_shown(line)} must be a log-probability, {_words(k)}, and perhaps a back-off weight"


def _words(k: int) -> str:
    return "a word" if k == 1 else f"{k} words"


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 80 else f"{shown[:77]}...")


def _wrong_length(fields: list[bytes], k: int) -> str:
    count = f"{len(fields)} fields" if len(fields) > 1 else "one field"
    if len(fields) <= k:
        cause = "it was cut, or belongs to a lower order"
    else:
        cause = "a word holds a space, or it belongs to a higher order"
    return (
        f"{count} must be a log-probability, {_words(k)}, and perhaps a back-off weight; "
        f"perhaps {cause}"
    )


def _bad_number(name: str, text: bytes, largest: float) -> str | None:
    """What is wrong with a number, or None."""
    if not _NUMBER.fullmatch(text):
        remedy = "; write a decimal point" if b"," in text else "; a field may be missing"
        return f"{name} {_shown(text)} is no number{remedy}"
    plain = re.sub(rb"1\.#inf\d*", b"inf", text.lower())
    if b"nan" in plain or b"#" in plain:
        return f"{name} {_shown(text)} is not a number; the model was estimated wrongly"
    value = float(plain)
    if value > largest:
        rule = "at most 0, to base 10" if largest == LARGEST_PROB else f"at most {largest:g}"
        return f"{name} {_shown(text)} must be {rule}; the model was estimated or written wrongly"
    if value <= SMALLEST and value != float("-inf"):
        return f"{name} {_shown(text)} must be above {SMALLEST:g}; write -99 for minus infinity"
    return None
