"""From log-mel bands to cepstra: DCT, lifter; and deltas of any features."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice
from seqlab.errors import SeqlabError

DCT_NORMS = ("ortho", "htk")
DELTA_METHODS = ("kaldi", "htk")


def dct_matrix(n_mels: int, n_mfcc: int, norm: str = "ortho") -> Tensor:
    """Type-II cosine transform that turns log-mel bands into cepstra.

    Args:
        n_mels: bands.
        n_mfcc: coefficients kept, c0 included; at most ``n_mels``.
        norm: "ortho" (rows of unit length: Kaldi, librosa, torchaudio) or "htk" (c0 is larger by
            the square root of 2).

    Returns:
        Matrix (n_mels, n_mfcc), float64; multiply features (..., n_mels) by it from the right.

    Raises:
        SeqlabError: more coefficients than bands.

    Source: The HTK Book, section 5.6, equation 5.14; Ahmed, Natarajan and Rao 1974.

    Example:
        >>> round(dct_matrix(4, 1)[:, 0].sum().item(), 6)
        2.0
    """
    check_choice("dct_norm", norm, DCT_NORMS)
    check_at_least("n_mfcc", n_mfcc, 1, "13 is common")
    if n_mfcc > n_mels:
        raise SeqlabError(
            f"n_mfcc={n_mfcc} must be at most n_mels={n_mels}; lower n_mfcc or raise n_mels"
        )
    band = torch.arange(n_mels, dtype=torch.float64).unsqueeze(1) + 0.5
    order = torch.arange(n_mfcc, dtype=torch.float64)
    matrix = math.sqrt(2 / n_mels) * torch.cos(math.pi / n_mels * band * order)
    if norm == "ortho":
        matrix[:, 0] /= math.sqrt(2)
    return matrix


def lifter_weights(n_mfcc: int, lifter: float) -> Tensor:
    """Weights (n_mfcc,), float64, that bring cepstra to a similar size; c0 keeps its own.

    Args:
        n_mfcc: coefficients, c0 included.
        lifter: length of the sine; 0 leaves the cepstra as they are. 22 is common.

    Raises:
        SeqlabError: ``lifter`` is negative.

    Source: The HTK Book, section 5.6, equation 5.15. librosa counts from 1, so its c0 is weighted
    as the c1 here.

    Example:
        >>> lifter_weights(3, 0.0).tolist()
        [1.0, 1.0, 1.0]
    """
    if not (math.isfinite(lifter) and lifter >= 0):
        raise SeqlabError(f"lifter={lifter} must be 0 or above; 22 is common, 0 leaves it out")
    order = torch.arange(n_mfcc, dtype=torch.float64)
    if lifter == 0:
        return torch.ones_like(order)
    return 1 + lifter / 2 * torch.sin(math.pi * order / lifter)


def _regress(features: Tensor, lengths: Tensor, weights: list[float]) -> Tensor:
    """Weighted sum over neighbouring frames; the end frames of each utterance stand beyond it."""
    frames = features.shape[1]
    if frames == 0:
        return torch.zeros_like(features)
    reach = len(weights) // 2
    place = torch.arange(-reach, frames + reach, device=features.device).clamp(min=0)
    index = torch.minimum(place, (lengths - 1).clamp(min=0).unsqueeze(-1))
    extended = features.gather(1, index.unsqueeze(-1).expand(-1, -1, features.shape[2]))
    parts = [
        weight * extended[:, begin : begin + frames]
        for begin, weight in enumerate(weights)
        if weight
    ]
    return functools.reduce(torch.add, parts)


def add_deltas(
    features: Tensor, lengths: Tensor, order: int = 2, window: int = 2, method: str = "kaldi"
) -> Tensor:
    """Features with their slopes over time (deltas, delta-deltas ...) appended.

    Args:
        features: features (B, T, F).
        lengths: frames (B,); deltas at the end of an utterance never read its padding.
        order: how many derivatives to append; 2 gives deltas and delta-deltas.
        window: frames to each side of the regression, at least 1.
        method: both repeat the end frames; "kaldi" repeats those of the features only (one
            filter an order), "htk" those of every order before the next. They differ in the
            ``order * window`` frames at each end.

    Returns:
        Features (B, T, F * (order + 1)).

    Source: The HTK Book, section 5.9, equation 5.16.

    Example:
        >>> ramp = torch.arange(7.0).reshape(1, 7, 1)
        >>> slopes = add_deltas(ramp, torch.tensor([7]), order=1)[0, :, 1]
        >>> [round(slope, 3) for slope in slopes.tolist()]
        [0.5, 0.8, 1.0, 1.0, 1.0, 0.8, 0.5]
    """
    check_choice("delta_method", method, DELTA_METHODS)
    check_at_least("delta_window", window, 1, "2 is common")
    squares = sum(k * k for k in range(-window, window + 1))
    slope = [k / squares for k in range(-window, window + 1)]
    orders, weights = [features], [1.0]
    for _ in range(order):
        if method == "htk":
            orders.append(_regress(orders[-1], lengths, slope))
        else:
            weights = _convolve(weights, slope)
            orders.append(_regress(features, lengths, weights))
    return torch.cat(orders, -1)


def _convolve(first: list[float], second: list[float]) -> list[float]:
    result = [0.0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            result[i + j] += a * b
    return result
