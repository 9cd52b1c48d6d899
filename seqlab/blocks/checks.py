"""Argument checks shared by blocks, encoders and heads: value, rule, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from torch import Tensor

from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise SeqlabError unless ``value`` is one of ``choices``; close spellings are suggested.

    >>> check_choice("pooling", "mean", ["mean", "max"])
    """
    known = sorted(choices)
    if value in known:
        return
    close = difflib.get_close_matches(str(value).lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise SeqlabError(f"{name}={value!r} is not known; {hint}use one of {', '.join(known)}")


def check_at_least(name: str, value: int, minimum: int) -> None:
    """Raise SeqlabError unless the integer ``value`` is ``minimum`` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise SeqlabError(f"{name}={value!r} must be an integer of at least {minimum}")


def check_odd(name: str, value: int) -> None:
    """Raise SeqlabError unless ``value`` is odd, so that a convolution stays centred."""
    check_at_least(name, value, 1)
    if value % 2 == 0:
        raise SeqlabError(
            f"{name}={value} must be odd to stay centred; use {value - 1} or {value + 1}"
        )


def check_probability(name: str, value: float) -> None:
    """Raise SeqlabError unless ``value`` is within [0, 1)."""
    if not 0 <= value < 1:
        raise SeqlabError(f"{name}={value!r} must be at least 0 and below 1")


def check_sequence(sequence: Tensor, lengths: Tensor, dim: int, what: str) -> None:
    """Raise SeqlabError unless ``sequence`` is (B, T, dim) and ``lengths`` (B,) fit it."""
    if sequence.dim() != 3 or sequence.shape[-1] != dim:
        raise SeqlabError(
            f"{what} of shape {tuple(sequence.shape)} must be (B, T, {dim}); "
            "check that input_dim equals the width of what feeds this module"
        )
    check_lengths(lengths, sequence.shape[1], what)
    if lengths.shape[0] != sequence.shape[0]:
        raise SeqlabError(
            f"lengths of {what} are {lengths.shape[0]}, must be one for each of the "
            f"{sequence.shape[0]} utterances"
        )
