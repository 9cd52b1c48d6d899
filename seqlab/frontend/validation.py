"""Checks of settings that several front-end pieces share; messages give value, rule, remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from torch import Tensor

from seqlab.errors import SeqlabError


def did_you_mean(value: str, allowed: Iterable[str]) -> str:
    """A clause that names the closest allowed word, or nothing.

    >>> did_you_mean("hanm", ["hann", "povey"])
    "; did you mean 'hann'?"
    """
    close = difflib.get_close_matches(str(value), list(allowed), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise SeqlabError unless ``value`` is one of ``allowed``."""
    choices = list(allowed)
    if any(value is choice or value == choice for choice in choices):
        return
    listed = ", ".join(repr(choice) for choice in choices)
    hint = did_you_mean(str(value), [str(choice) for choice in choices])
    raise SeqlabError(f"{name}={value!r} must be one of {listed}{hint}")


def check_positive_int(name: str, value: object, remedy: str) -> None:
    """Raise SeqlabError unless ``value`` is an int of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SeqlabError(f"{name}={value!r} must be a whole number of at least 1; {remedy}")


def check_range(name: str, value: float, low: float, high: float, remedy: str) -> None:
    """Raise SeqlabError unless ``value`` is a finite number within [low, high]."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise SeqlabError(f"{name}={value!r} must be a number within [{low}, {high}]; {remedy}")


def check_waveform(waveform: Tensor) -> None:
    """Raise SeqlabError unless ``waveform`` is floating point of shape (B, N)."""
    if waveform.dim() != 2:
        raise SeqlabError(
            f"waveform has shape {tuple(waveform.shape)}, must be (B, N); add a batch "
            "dimension with waveform.unsqueeze(0), or call extract for one recording"
        )
    if not waveform.is_floating_point():
        raise SeqlabError(
            f"waveform is {waveform.dtype}, must be floating point in [-1, 1]; "
            "divide int16 samples by 32768, or read the file with seqlab.load_audio"
        )
