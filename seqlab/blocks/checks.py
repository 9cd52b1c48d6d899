"""Checks of sizes and sequences shared by blocks, encoders and heads: value, rule, remedy."""

from __future__ import annotations

from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths


def check_odd(name: str, value: int) -> None:
    """Raise SeqlabError unless ``value`` is odd, so that a convolution stays centred."""
    check_at_least(name, value, 1)
    if value % 2 == 0:
        raise SeqlabError(
            f"{name}={value} must be odd to stay centred; use {value - 1} or {value + 1}"
        )


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
