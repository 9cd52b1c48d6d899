"""Frames to power or magnitude spectrum, log energy, and the compressions that follow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.lengths import valid_mask

EPSILON = 1.1920928955078125e-07  # of float32; the floor of Kaldi, torchaudio and lhotse
_FEWEST_ROWS = 16
COMPRESSIONS = ("log", "log10", "db", "whisper", "none")


def power_spectrum(transform: Tensor, power: float = 2.0) -> Tensor:
    """Spectrum |X| ** power of a complex transform.

    Args:
        transform: complex values, any shape.
        power: 2 for power, 1 for magnitude; other positive powers are allowed.

    Returns:
        Spectrum, same shape. The gradient is finite where the spectrum is zero.

    Example:
        >>> power_spectrum(torch.tensor([3 + 4j]), power=1.0).tolist()
        [5.0]
    """
    real, imaginary = transform.real, transform.imag
    squared: Tensor = real * real + imaginary * imaginary
    if power == 2:
        return squared
    # A root has no finite slope at zero; digital silence must not turn gradients into NaN.
    silent = squared == 0
    return squared.masked_fill(silent, 1).pow(power / 2).masked_fill(silent, 0)


def fast_size(length: int) -> int:
    """Samples, ``length`` or a few more, that a Fourier transform is quick for.

    4 to 8 times a power of two: what is up to the next power takes longer, other sizes up to four
    times.

    Example:
        >>> [fast_size(length) for length in (1, 9, 1000, 100_000)]
        [1, 10, 1024, 114688]
    """
    step = 1 << max(0, length.bit_length() - 3)
    return -(-length // step) * step


def log_energy(energy: Tensor, floor: float = 0.0) -> Tensor:
    """Natural logarithm of the energies (sums of squares) of frames.

    Args:
        energy: energies, any shape.
        floor: energies below it count as it; float32's epsilon is the least in any case.

    Returns:
        Log energies, same shape.
    """
    return energy.clamp_min(max(floor, EPSILON)).log()


def row_product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Product of rows (..., K) and a matrix (K, F), each row alike however many there are.

    Matrix libraries switch to another order of summation for a handful of rows; padding those up
    keeps a stream of single frames equal, to the bit, to the whole recording at once.
    """
    flat = rows.flatten(0, -2)
    few = flat.shape[0]
    if not torch.compiler.is_compiling() and few < _FEWEST_ROWS:
        flat = torch.nn.functional.pad(flat, (0, 0, 0, _FEWEST_ROWS - few))
    return (flat @ matrix)[:few].reshape(*rows.shape[:-1], matrix.shape[1])


def compress(values: Tensor, kind: str, floor: float = EPSILON, power: float = 2.0) -> Tensor:
    """Bring energies to the scale a model reads.

    Args:
        values: energies (any shape), not negative.
        kind: "log" (natural), "log10", "db" (decibels: 10 log10 of power, 20 log10 of magnitude),
            "whisper" ((log10 + 4) / 4) or "none".
        floor: values below it count as it; a positive number. Not used by "none".
        power: power the values already have; used by "db" only.

    Returns:
        Compressed values, same shape.

    Example:
        >>> compress(torch.tensor([1.0, 100.0]), "db").tolist()
        [0.0, 20.0]
    """
    if kind == "none":
        return values
    floored = values.clamp_min(floor)
    if kind == "log":
        return floored.log()
    logs = floored.log10()
    if kind == "log10":
        return logs
    if kind == "db":
        return logs * (20 / power)
    return (logs + 4) / 4


def log_scale(kind: str, power: float = 2.0) -> tuple[float, float]:
    """What ``compress`` makes of a natural logarithm: a factor, and what is added to it.

    >>> log_scale("log")
    (1.0, 0.0)
    """
    tenth = 1 / math.log(10)
    scales = {
        "log": (1.0, 0.0),
        "log10": (tenth, 0.0),
        "db": (20 / power * tenth, 0.0),
        "whisper": (tenth / 4, 1.0),
    }
    return scales[kind]


def expand(values: Tensor, kind: str, power: float = 2.0) -> Tensor:
    """Undo ``compress``, but for what its floor took away.

    Args:
        values: compressed values, any shape.
        kind: "log", "log10", "db", "whisper" or "none".
        power: power of the spectrum that was compressed; used by "db" only.

    Returns:
        Energies, same shape.

    Example:
        >>> expand(torch.tensor([0.0, 20.0]), "db").round().tolist()
        [1.0, 100.0]
    """
    if kind == "none":
        return values
    if kind == "log":
        return values.exp()
    if kind == "db":
        values = values * (power / 20)
    elif kind == "whisper":
        values = values * 4 - 4
    return (values * math.log(10)).exp()


def limit_range(features: Tensor, lengths: Tensor, dynamic_range: float) -> Tensor:
    """Raise every value to at least the utterance's maximum less ``dynamic_range``.

    This is librosa's and torchaudio's top_db and Whisper's clamp. It reads the whole utterance,
    so it cannot stream. NaN is left where it stands and does not count for the maximum.

    Args:
        features: features (B, T, F).
        lengths: frames (B,); padding does not count for the maximum.
        dynamic_range: positive, in the units of the features.

    Returns:
        Features (B, T, F).

    Example:
        >>> limit_range(torch.tensor([[[0.0, -90.0]]]), torch.tensor([1]), 80).tolist()
        [[[0.0, -80.0]]]
    """
    if features.shape[1] == 0:
        return features
    unused = ~valid_mask(lengths, features.shape[1]).unsqueeze(-1) | features.isnan()
    highest = features.masked_fill(unused, -torch.inf).amax((1, 2), keepdim=True)
    return torch.maximum(features, highest - dynamic_range)
