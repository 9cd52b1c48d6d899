"""Checks of arguments that all rooms share; messages give value, rule, remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from seqlab.errors import SeqlabError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the closest known name, or the names there are.

    >>> did_you_mean("hiden_dim", ["hidden_dim", "dropout"])
    "; did you mean 'hidden_dim'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise SeqlabError unless ``value`` is one of ``choices``; a close spelling is suggested.

    >>> check_choice("window", "hanm", ["hann", "povey"])
    Traceback (most recent call last):
    seqlab.errors.SeqlabError: window='hanm' must be one of 'hann', 'povey'; did you mean 'hann'?
    """
    known = list(choices)
    if any(type(value) is type(choice) and value == choice for choice in known):
        return
    words = [choice for choice in known if isinstance(choice, str)]
    close = difflib.get_close_matches(str(value).lower(), words, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise SeqlabError(f"{name}={value!r} must be one of {', '.join(map(repr, known))}{hint}")


def check_at_least(name: str, value: object, minimum: int, remedy: str = "") -> None:
    """Raise SeqlabError unless ``value`` is an int of ``minimum`` or more.

    >>> check_at_least("num_layers", 0, 1)
    Traceback (most recent call last):
    seqlab.errors.SeqlabError: num_layers=0 must be a whole number of at least 1
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        rule = f"{name}={value!r} must be a whole number of at least {minimum}"
        raise SeqlabError(f"{rule}; {remedy}" if remedy else rule)


def check_range(name: str, value: object, low: float, high: float, remedy: str) -> None:
    """Raise SeqlabError unless ``value`` is a finite number within [low, high]."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise SeqlabError(f"{name}={value!r} must be a number within [{low}, {high}]; {remedy}")


def check_probability(name: str, value: object) -> None:
    """Raise SeqlabError unless ``value`` is a number within [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise SeqlabError(f"{name}={value!r} must be at least 0 and below 1; 0 leaves it out")
