"""Mel scales and the triangular filters laid out on them."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.vtln import Warp

MEL_SCALES = ("htk", "slaney")
MEL_NORMS = (None, "slaney")
TRIANGLES = ("mel", "hz", "htk")

_SLANEY_HZ = 200 / 3  # Hz a mel in the linear part
_SLANEY_KNEE = 1000.0  # Hz where the logarithmic part begins
_SLANEY_STEP = math.log(6.4) / 27  # natural log of the ratio between neighbouring mels


def hz_to_mel(frequency: Tensor, scale: str = "htk") -> Tensor:
    """Frequencies in Hz on a mel scale.

    Args:
        frequency: Hz, not negative, any shape.
        scale: "htk" or "slaney".

    Returns:
        Mels, same shape, float64.

    Source: "htk": O'Shaughnessy 1987, as 1127 ln(1 + f / 700) in The HTK Book, section 5.4.
    "slaney": Slaney 1998, Auditory Toolbox: linear to 1 kHz, then logarithmic.

    Example:
        >>> round(hz_to_mel(torch.tensor(1000.0), "htk").item(), 2)
        999.99
        >>> round(hz_to_mel(torch.tensor(1000.0), "slaney").item(), 9)
        15.0
    """
    check_choice("mel_scale", scale, MEL_SCALES)
    hz = frequency.double()
    if scale == "htk":
        return 1127 * torch.log1p(hz / 700)
    above = _SLANEY_KNEE / _SLANEY_HZ + torch.log(hz.clamp_min(1) / _SLANEY_KNEE) / _SLANEY_STEP
    return torch.where(hz < _SLANEY_KNEE, hz / _SLANEY_HZ, above)


def mel_to_hz(mel: Tensor, scale: str = "htk") -> Tensor:
    """Mels back to Hz; the inverse of ``hz_to_mel``.

    Args:
        mel: mels, any shape.
        scale: "htk" or "slaney".

    Returns:
        Hz, same shape, float64.
    """
    check_choice("mel_scale", scale, MEL_SCALES)
    mel = mel.double()
    if scale == "htk":
        return 700 * torch.expm1(mel / 1127)
    knee = _SLANEY_KNEE / _SLANEY_HZ
    above = _SLANEY_KNEE * torch.exp(_SLANEY_STEP * (mel - knee))
    return torch.where(mel < knee, mel * _SLANEY_HZ, above)


def band_limits(sample_rate: int, f_min: float, f_max: float | None) -> tuple[float, float]:
    """Ends of the band in Hz: ``f_max`` of None or not above 0 counts from half the sample rate.

    Raises:
        SeqlabError: the ends do not fit the sample rate or each other.

    Example:
        >>> band_limits(16000, 20.0, -400.0)
        (20.0, 7600.0)
    """
    half = sample_rate / 2
    remedy = "it may not pass half of sample_rate; None takes the half, -400 ends 400 Hz below it"
    if f_max is None:
        f_max = half
    check_range("f_max", f_max, -half, half, remedy)
    f_max = f_max if f_max > 0 else half + f_max
    if not 0 <= f_min < f_max:
        raise SeqlabError(
            f"f_min={f_min} must be within [0, f_max={f_max:g}) Hz; lower f_min or raise f_max"
        )
    return f_min, f_max


def band_points(
    sample_rate: int,
    n_mels: int,
    *,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "htk",
    warp: Warp | None = None,
) -> Tensor:
    """Where mel bands begin, peak and end; arguments as ``mel_matrix``.

    Returns:
        Points (n_mels + 2,) in Hz, float64; band b reaches from point b over b + 1 to b + 2.

    Example:
        >>> band_points(16000, 1).round().tolist()
        [0.0, 1768.0, 8000.0]
    """
    low, high = band_limits(sample_rate, f_min, f_max)
    ends = hz_to_mel(torch.tensor([low, high], dtype=torch.float64), scale)
    step = (ends[1] - ends[0]) / (n_mels + 1)
    points = mel_to_hz(ends[0] + step * torch.arange(n_mels + 2, dtype=torch.float64), scale)
    points[0], points[-1] = low, high  # exactly: a bin may lie there
    if warp is None or warp.factor == 1:
        return points
    return warp.apply(points, low, high, sample_rate)


def _check_bands(n_fft: int, n_mels: int) -> None:
    check_at_least("n_mels", n_mels, 1, "speech recognisers commonly take 40 or 80")
    bins = n_fft // 2 + 1
    if n_mels > bins:
        raise SeqlabError(
            f"n_mels={n_mels} must be at most n_fft // 2 + 1 = {bins}; raise n_fft or lower n_mels"
        )


def _check_norm(norm: float | str | None) -> None:
    if isinstance(norm, int | float) and not isinstance(norm, bool):
        if not norm > 0:
            raise SeqlabError(
                f"mel_norm={norm!r} must be above 0; 1 makes the weights of a band add up to 1, "
                "infinity makes the largest 1"
            )
        return
    check_choice("mel_norm", norm, MEL_NORMS)


def _triangles(points: Tensor, bins: Tensor) -> Tensor:
    """Triangles (n_mels, bins) that rise and fall between neighbouring points, on one axis."""
    left, centre, right = (points[i : len(points) - 2 + i].unsqueeze(1) for i in range(3))
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp_min(0)


def mel_matrix(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    *,
    f_min: float = 0.0,
    f_max: float | None = None,
    scale: str = "htk",
    norm: float | str | None = None,
    triangles: str = "mel",
    warp: Warp | None = None,
) -> Tensor:
    """Weights that sum a spectrum into mel bands.

    Args:
        sample_rate: Hz.
        n_fft: points of the transform.
        n_mels: bands, at most n_fft // 2 + 1.
        f_min: Hz where the first triangle begins, within [0, f_max).
        f_max: Hz where the last triangle ends, at most half of ``sample_rate``, which None means;
            0 and below count from that half, as in Kaldi.
        scale: "htk" or "slaney".
        norm: None for triangles of height 1, "slaney" for triangles of equal area in Hz, or a
            number p above 0 that makes the p-norm of each band's weights 1, as in librosa.
        triangles: "mel" for sides straight in mel (Kaldi), "hz" for sides straight in Hz
            (librosa, torchaudio), "htk" as "mel" with the lowest weight of band 0 left out
            where f_min is above 0, as HTK does.
        warp: moves the bands to fit a speaker; None leaves them.

    Returns:
        Weights (n_fft // 2 + 1, n_mels), float64.

    Raises:
        SeqlabError: the band or the number of bands does not fit.

    Warns:
        UserWarning: a band is so narrow that no bin of the spectrum falls into it.
    """
    check_choice("mel_scale", scale, MEL_SCALES)
    _check_norm(norm)
    check_choice("mel_triangles", triangles, TRIANGLES)
    _check_bands(n_fft, n_mels)
    points = band_points(sample_rate, n_mels, f_min=f_min, f_max=f_max, scale=scale, warp=warp)
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (sample_rate / n_fft)
    if triangles == "hz":
        weights = _triangles(points, bins)
    else:
        weights = _triangles(hz_to_mel(points, scale), hz_to_mel(bins, scale))
        weights[:, n_fft // 2 :] = 0  # Kaldi and HTK never read that last bin
        if triangles == "htk" and f_min > 0 and bool(weights[0].any()):
            weights[0, int(weights[0].nonzero()[0])] = 0
    if norm == "slaney":
        weights = weights * (2 / (points[2:] - points[:-2])).unsqueeze(1)
    elif isinstance(norm, int | float):
        size = torch.linalg.vector_norm(weights, norm, dim=1, keepdim=True)
        weights = weights / torch.where(size > 0, size, 1.0)
    _warn_of_empty_bands(weights, n_fft, n_mels)
    return weights.T.contiguous()


def _warn_of_empty_bands(weights: Tensor, n_fft: int, n_mels: int) -> None:
    empty = int((weights.amax(1) == 0).sum())
    if empty:
        warnings.warn(
            f"{empty} of n_mels={n_mels} bands hold no bin of n_fft={n_fft} and stay constant; "
            "lower n_mels or raise n_fft",
            stacklevel=4,
        )
