"""Random numbers that are a function of a key and a counter, so that no batch can change them."""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2**64 over the golden ratio, as a signed number


def _shift_right(bits: Tensor, places: int) -> Tensor:
    """Logical shift of int64; torch's own shift repeats the sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def _scramble(bits: Tensor) -> Tensor:
    """Random 64 bits for each counter: the output function of SplitMix64."""
    bits = (bits ^ _shift_right(bits, 30)) * -0x40A7B892E31B1A47
    bits = (bits ^ _shift_right(bits, 27)) * -0x6B2FB644ECCEEE15
    return bits ^ _shift_right(bits, 31)


def uniform(keys: Tensor, counters: Tensor) -> Tensor:
    """Uniform numbers in the open interval (0, 1).

    Args:
        keys: which stream, int64.
        counters: which number of the stream, int64; broadcasts against ``keys``.

    Returns:
        Numbers, float64, of the broadcast shape; the same pair always gives the same number.

    Source: SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators"), used as a counter-based hash.
    """
    stream = _scramble(_scramble(keys * _GOLDEN) + 1)
    # XOR with nothing: torch.compile would fold the product into the counting and overflow.
    bits = _scramble((((counters + 1) ^ 0) * _GOLDEN) ^ stream)
    return (_shift_right(bits, 11).double() + 0.5) * 2.0**-53


def seed_tensor(seed: int, device: torch.device | str | None = None) -> Tensor:
    """A seed of any size as an int64 scalar; larger ones wrap around."""
    return torch.tensor((seed + 2**63) % 2**64 - 2**63, dtype=torch.int64, device=device)
