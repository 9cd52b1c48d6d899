"""Linear prediction: a frame as the output of an all-pole filter, and the cepstra of that filter.

Signs, everywhere: the inverse filter is A(z) = 1 + a[1] z^-1 + ... + a[p] z^-p, so that a sample is
predicted as -a[1] x[n-1] - ... - a[p] x[n-p]. This is the sign of scipy, librosa and Kaldi; The HTK
Book writes the predictor and so has the opposite one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError


def autocorrelation(frames: Tensor, order: int) -> Tensor:
    """Short-time autocorrelation r[k] = sum of x[n] x[n + k], not divided by the length.

    Args:
        frames: frames (..., N), floating point, windowed where a window is wanted.
        order: the largest lag, at least 0; lags of N and above are zero.

    Returns:
        Autocorrelation (..., order + 1), lags 0 to ``order``.

    Raises:
        SeqlabError: ``frames`` is not floating point, or ``order`` is negative.

    Source: Makhoul 1975, "Linear prediction: a tutorial review", equation 15.

    Example:
        >>> autocorrelation(torch.tensor([1.0, 2.0, 3.0]), 3).tolist()
        [14.0, 8.0, 3.0, 0.0]
    """
    _check_last("frames", frames, 1)
    check_at_least("order", order, 0, "1 or more gives a predictor")
    size = frames.shape[-1]
    lags = [(frames[..., : max(size - k, 0)] * frames[..., k:]).sum(-1) for k in range(order + 1)]
    return torch.stack(lags, -1)


def levinson_durbin(autocorrelation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Predictor with the least mean square error, for given autocorrelation.

    Use it where the autocorrelation comes from elsewhere (PLP); ``lpc`` starts from samples.

    Args:
        autocorrelation: lags (..., p + 1), p at least 0. Float64 is advisable for nearly
            periodic input without a window; float32 does for smooth spectra.

    Returns:
        Coefficients (..., p + 1), the first of which is 1; the energy (...) of the prediction
        error; the reflection coefficients (..., p), within [-1, 1].
        Where nothing is left to predict (silence, or an error below the rounding error of lag 0)
        the remaining reflection coefficients are 0, so that the filter stays stable and all
        gradients finite. NaN stays with its frame.

    Raises:
        SeqlabError: the lags are not floating point, or there are none.

    Source: Durbin 1960; Makhoul 1975, equations 38a to 38e, with the sign of A(z).

    Example:
        >>> coefficients, error, _ = levinson_durbin(torch.tensor([1.0, 0.5, 0.25]))
        >>> coefficients.tolist(), error.item()
        ([1.0, -0.5, 0.0], 0.75)
    """
    _check_last("autocorrelation", autocorrelation, 1)
    lags = autocorrelation.unbind(-1)
    error = lags[0]
    least = lags[0].abs() * torch.finfo(autocorrelation.dtype).eps
    coefficients: list[Tensor] = []
    reflections: list[Tensor] = []
    for order in range(1, len(lags)):
        correlation = lags[order]
        for j, coefficient in enumerate(coefficients, 1):
            correlation = correlation + coefficient * lags[order - j]
        spent = error <= least
        # The divisor is replaced before and not after dividing: gradients pass through both sides.
        reflection = (0 - correlation / error.masked_fill(spent, 1)).masked_fill(spent, 0)
        reflection = reflection.clamp(-1, 1)
        coefficients = _step_up(coefficients, reflection)
        reflections.append(reflection)
        error = error * (1 - reflection * reflection)
    stacked = torch.stack([torch.ones_like(error), *coefficients], -1)
    return stacked, error, _stack(reflections, error)


def lpc(frames: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """All-pole model gain / A(z) of each frame, by the autocorrelation method.

    Use it for formants, excitation, and spectral envelopes. Window the frames first.

    Args:
        frames: frames (..., N), floating point.
        order: poles, at least 1; sample_rate / 1000 + 2 is common for speech.

    Returns:
        Coefficients (..., order + 1) of A(z), the first of which is 1, and gain (...): the root of
        the energy of the prediction error. The filter is stable; a silent frame gives A(z) = 1 and
        gain 0, with gradients of zero.

    Raises:
        SeqlabError: ``frames`` is not floating point, or ``order`` is not positive.

    Source: Makhoul 1975, section II. librosa.lpc minimises forward and backward error by Burg's
    method and so gives somewhat other coefficients.

    Example:
        >>> coefficients, gain = lpc(0.5 ** torch.arange(40.0), 2)
        >>> [round(value, 4) for value in coefficients.tolist()], round(gain.item(), 4)
        ([1.0, -0.5, 0.0], 1.0)
    """
    check_at_least("order", order, 1, "12 is common for speech at 8 or 16 kHz")
    coefficients, error, _ = levinson_durbin(autocorrelation(frames, order))
    silent = error <= 0
    return coefficients, error.masked_fill(silent, 1).sqrt().masked_fill(silent, 0)


def lpc_to_reflection(coefficients: Tensor) -> Tensor:
    """Reflection coefficients (..., p) of a predictor (..., p + 1), by stepping down.

    Use it to see whether a filter is stable: it is where all of them lie within (-1, 1).

    Args:
        coefficients: A(z) (..., p + 1), the first coefficient 1.

    Returns:
        Reflection coefficients (..., p); infinite or NaN below an order where one is 1 or -1.

    Source: Makhoul 1975, equation 47; The HTK Book, section 5.3 (LPREFC), with the sign of A(z).

    Example:
        >>> lpc_to_reflection(torch.tensor([1.0, -0.5, 0.25])).tolist()
        [-0.4000000059604645, 0.25]
    """
    _check_last("coefficients", coefficients, 1)
    current = list(coefficients.unbind(-1)[1:])
    reflections: list[Tensor] = []
    while current:
        last = current[-1]
        reflections.append(last)
        scale = 1 - last * last
        below = current[:-1]
        current = [(below[j] - last * below[-1 - j]) / scale for j in range(len(below))]
    return _stack(reflections[::-1], coefficients[..., 0])


def reflection_to_lpc(reflection: Tensor) -> Tensor:
    """Predictor (..., p + 1) of reflection coefficients (..., p); undoes ``lpc_to_reflection``.

    Args:
        reflection: reflection coefficients (..., p); within (-1, 1) the filter is stable.

    Returns:
        Coefficients (..., p + 1) of A(z), the first of which is 1.

    Source: Makhoul 1975, equations 38c and 38d.

    Example:
        >>> reflection_to_lpc(torch.tensor([-0.4, 0.25])).tolist()
        [1.0, -0.5, 0.25]
    """
    _check_last("reflection", reflection, 0)
    coefficients: list[Tensor] = []
    for one in reflection.unbind(-1):
        coefficients = _step_up(coefficients, one)
    first = reflection.new_ones(reflection.shape[:-1])
    return torch.stack([first, *coefficients], -1)


def lpc_to_cepstrum(coefficients: Tensor, count: int) -> Tensor:
    """Cepstrum c[1] ... c[count] of the all-pole filter 1 / A(z).

    Args:
        coefficients: A(z) (..., p + 1), the first coefficient 1 and all roots inside the circle.
        count: cepstral coefficients, at least 1; may pass p.

    Returns:
        Cepstra (..., count), without c[0], which is the log of the gain.

    Raises:
        SeqlabError: the coefficients are not floating point, or ``count`` is not positive.

    Source: Atal 1974; The HTK Book, section 5.3, equation 5.11, with the sign of A(z).

    Example:
        >>> lpc_to_cepstrum(torch.tensor([1.0, -0.5]), 2).tolist()
        [0.5, 0.125]
    """
    _check_last("coefficients", coefficients, 1)
    check_at_least("count", count, 1, "as many as there are poles is common")
    predictor = coefficients.unbind(-1)
    cepstra: list[Tensor] = []
    for n in range(1, count + 1):
        total = predictor[n] * n if n < len(predictor) else torch.zeros_like(predictor[0])
        for i in range(1, min(n, len(predictor))):
            total = total + (n - i) * predictor[i] * cepstra[n - i - 1]
        cepstra.append(0 - total / n)
    return torch.stack(cepstra, -1)


def cepstrum_to_lpc(cepstra: Tensor, order: int | None = None) -> Tensor:
    """Predictor whose filter has the given cepstrum; undoes ``lpc_to_cepstrum``.

    Args:
        cepstra: c[1] ... c[n] (..., n), without c[0].
        order: poles p, at most n; None takes n. The result is exact if the cepstrum came from a
            predictor of at most p poles.

    Returns:
        Coefficients (..., order + 1) of A(z), the first of which is 1.

    Raises:
        SeqlabError: ``order`` passes the number of cepstra.

    Source: the recursion of ``lpc_to_cepstrum``, solved for a[n].

    Example:
        >>> cepstrum_to_lpc(torch.tensor([0.5, 0.125])).tolist()
        [1.0, -0.5, 0.0]
    """
    _check_last("cepstra", cepstra, 1)
    values = cepstra.unbind(-1)
    order = len(values) if order is None else order
    check_at_least("order", order, 1, "None takes as many as there are cepstra")
    if order > len(values):
        raise SeqlabError(
            f"order={order} must be at most the {len(values)} cepstra given; lower order, or "
            "compute more cepstra"
        )
    predictor: list[Tensor] = [torch.ones_like(values[0])]
    for n in range(1, order + 1):
        total = n * values[n - 1]
        for i in range(1, n):
            total = total + (n - i) * predictor[i] * values[n - i - 1]
        predictor.append(0 - total / n)
    return torch.stack(predictor, -1)


def _step_up(coefficients: list[Tensor], reflection: Tensor) -> list[Tensor]:
    """Coefficients a[1] ... of one order more."""
    turned = coefficients[::-1]
    raised = [a + reflection * b for a, b in zip(coefficients, turned, strict=True)]
    return [*raised, reflection]


def _stack(values: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(values, -1) if values else like.new_zeros(*like.shape, 0)


def _check_last(name: str, values: Tensor, least: int) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        kind = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise SeqlabError(f"{name} is {kind}, must be a floating-point tensor; convert it first")
    if values.dim() == 0 or values.shape[-1] < least:
        raise SeqlabError(
            f"{name} has shape {tuple(values.shape)}, must be (..., N) with N at least {least}; "
            "check what was cut off"
        )
