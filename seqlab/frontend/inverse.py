"""From features back to spectra and to sound, as far as they still hold them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.checks import check_at_least
from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.griffin_lim import waveform_from_spectrum
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.spectrogram import Spectrogram
from seqlab.frontend.spectrum import expand

_BLOCK = 4096  # frames solved together
_NATS = {"log": 1.0, "log10": math.log(10), "whisper": 4 * math.log(10)}  # in one unit


def invert(
    frontend: LogMel | Spectrogram,
    features: Tensor,
    *,
    iterations: int = 32,
    seed: int = 0,
    length: int | None = None,
) -> Tensor:
    """Waveform that has nearly the given features.

    Use it to hear what a model is given: what bands, cepstra and floors have thrown away is not
    there any more.

    Args:
        frontend: the ``LogMel``, ``MFCC`` or ``Spectrogram`` that the features came from.
        features: features (T, output_dim) of one recording, not normalised; columns of deltas are
            not read and may be left out.
        iterations: of Griffin and Lim's method, at least 0; 32 is common, 100 are better.
        seed: of the phases that it starts from; the same seed gives the same waveform.
        length: samples (N) to return; None takes the fewest that have T frames.

    Returns:
        Waveform (N,) in [-1, 1]; peaks beyond are clipped.

    Raises:
        SeqlabError: the front end cannot be inverted, or features or length do not fit it.

    Example:
        >>> frontend = LogMel()
        >>> features = frontend.extract(torch.sin(torch.arange(8000) / 5), 16000)
        >>> invert(frontend, features, length=8000).shape
        torch.Size([8000])
    """
    if isinstance(frontend, MFCC):
        magnitude = spectrum_from_log_mel(frontend, log_mel_from_mfcc(frontend, features))
    elif isinstance(frontend, LogMel):
        magnitude = spectrum_from_log_mel(frontend, features)
    else:
        magnitude = spectrum_from_spectrogram(frontend, features)
    waveform = waveform_from_spectrum(
        frontend, magnitude, iterations=iterations, seed=seed, length=length
    )
    return waveform.clamp(-1, 1)


def log_mel_from_mfcc(frontend: MFCC, features: Tensor) -> Tensor:
    """Log-mel bands of cepstra.

    Use it to look at cepstra, or as the first step to a waveform. Exact, within rounding, where
    ``n_mfcc`` equals ``n_mels`` and c0 was kept. With fewer cepstra it is the smooth spectrum they
    describe: of all bands with these cepstra, those of the least squares. Where an energy stands in
    place of c0, c0 is chosen so that the spectrum has that energy; pre-emphasis and window are
    reckoned with, but the bands then lie off by the same amount, often some tenths of a nat. What
    ``floor`` and ``dynamic_range`` raised stays raised.

    Args:
        frontend: the ``MFCC`` that the features came from.
        features: features (T, output_dim), or their static columns (T, n_mfcc).

    Returns:
        Bands (T, n_mels) on the scale of ``compression``. Differentiable.

    Raises:
        SeqlabError: another front end, features that do not fit it, or an energy in place of c0
            under ``compression="none"``, where it does not fix c0.

    Example:
        >>> frontend = MFCC(n_mels=23, n_mfcc=23, energy="none")
        >>> log_mel_from_mfcc(frontend, torch.zeros(98, 23)).shape
        torch.Size([98, 23])
    """
    if not isinstance(frontend, MFCC) or type(frontend).finish is not MFCC.finish:
        raise SeqlabError(
            f"frontend is {type(frontend).__name__}, must be an MFCC; bands of a LogMel are its "
            "features, and other cepstra do not hold them"
        )
    cepstra = _static(frontend, features)
    if frontend.c0_position == "last":
        cepstra = cepstra.roll(1, -1)
    matrix: Tensor = frontend.cepstra.double()
    if frontend.options.energy == "none":
        return _unmixed(cepstra, matrix)
    if frontend.options.compression == "none":
        raise SeqlabError(
            f"energy={frontend.options.energy!r} in place of c0 does not tell c0 where "
            'compression="none"; build MFCC with energy="none"'
        )
    shape = _unmixed(cepstra[:, 1:], matrix[:, 1:])
    return shape + _missing_c0(frontend, shape, cepstra[:, :1])


def spectrum_from_log_mel(frontend: LogMel, features: Tensor, *, iterations: int = 64) -> Tensor:
    """Magnitude of a spectrum that has the given mel bands.

    Use it to see bands on an axis of frequency, or as a step to a waveform. Many spectra have the
    same bands. The search begins at the bands laid out over their bins and keeps near to that, so
    the result is smooth, never negative, and as exact in quiet bands as in loud ones.

    Args:
        frontend: the ``LogMel`` that the features came from, or an ``MFCC``.
        features: features (T, output_dim) of a ``LogMel``; or bands (T, n_mels) alone, as
            ``log_mel_from_mfcc`` gives them.
        iterations: steps of the search, at least 1; more bring the bands closer.

    Returns:
        Magnitudes (T, n_fft // 2 + 1), to the power 1 whatever ``power`` is; zero in bins that no
        band reads.

    Raises:
        SeqlabError: another front end, or features that do not fit it.

    Source: the multiplicative update of Richardson 1972 and Lucy 1974, as Lee and Seung 2001 give
    it for the Kullback-Leibler divergence. Where a spectrum with exactly these bands exists, its
    limit is also a solution of the non-negative least squares problem; among them it is nearer to
    speech than the one of least norm.

    Example:
        >>> frontend = LogMel()
        >>> features = frontend.extract(torch.sin(torch.arange(8000) / 5), 16000)
        >>> spectrum_from_log_mel(frontend, features)[20].argmax().item()  # 509 Hz
        16
    """
    known = (LogMel.finish, MFCC.finish)
    if not isinstance(frontend, LogMel) or type(frontend).finish not in known:
        raise SeqlabError(
            f"frontend is {type(frontend).__name__}, must be a LogMel or MFCC; from other features "
            "the spectrum cannot be found again"
        )
    check_at_least("iterations", iterations, 1, "64 is common")
    bands = _energies(frontend, _bands(frontend, features))
    weights = _weights(frontend, bands)
    starts = range(0, max(len(bands), 1), _BLOCK)
    with torch.no_grad():
        blocks = [_spread(bands[i : i + _BLOCK], weights, iterations) for i in starts]
    return _root(torch.cat(blocks), frontend.options.power)


def spectrum_from_spectrogram(frontend: Spectrogram, features: Tensor) -> Tensor:
    """Magnitudes of a spectrogram: compression and power undone.

    Args:
        frontend: the ``Spectrogram`` that the features came from.
        features: features (T, output_dim), or their static columns (T, n_fft // 2 + 1).

    Returns:
        Magnitudes (T, n_fft // 2 + 1), exact but for what lay below ``floor``; bin 0 is zero where
        an energy stands in its place.

    Raises:
        SeqlabError: another front end, or features that do not fit it.

    Example:
        >>> spectrum_from_spectrogram(Spectrogram(), torch.zeros(98, 257))[0, 0].item()
        1.0
    """
    if not isinstance(frontend, Spectrogram) or type(frontend).finish is not Spectrogram.finish:
        raise SeqlabError(
            f"frontend is {type(frontend).__name__}, must be a Spectrogram; take "
            "spectrum_from_log_mel for mel bands"
        )
    spectrum = _static(frontend, features)
    if frontend.options.energy != "none":
        spectrum = spectrum[:, 1:]
    magnitude = _root(_energies(frontend, spectrum), frontend.options.power)
    missing = frontend.static_dim - magnitude.shape[1]
    return torch.nn.functional.pad(magnitude, (missing, 0))


def _unmixed(cepstra: Tensor, matrix: Tensor) -> Tensor:
    """Bands of least squares (T, n_mels) that have the given cepstra."""
    inverse: Tensor = torch.linalg.pinv(matrix)
    return cepstra @ inverse.to(cepstra)


def _weights(frontend: LogMel, like: Tensor) -> Tensor:
    assert frontend.mel is not None  # a LogMel always has bands
    return frontend.mel.to(like)


def _spread(bands: Tensor, weights: Tensor, iterations: int) -> Tensor:
    """Spectrum (T, bins), not negative, that has the given bands (T, n_mels)."""
    least = torch.finfo(bands.dtype).tiny
    read = weights.sum(1).clamp_min(least)
    spectrum = _laid_out(bands, weights)
    for _ in range(iterations):
        ratio = bands / (spectrum @ weights).clamp_min(least)
        spectrum = spectrum * ((ratio @ weights.T) / read)
    return spectrum


def _laid_out(bands: Tensor, weights: Tensor) -> Tensor:
    """Spectrum (T, bins) that is in every bin the mean of the bands there, a bin's share each."""
    least = torch.finfo(bands.dtype).tiny
    share = bands / weights.sum(0).clamp_min(least) * (weights.sum(0) > 0)
    return share @ weights.T / weights.sum(1).clamp_min(least)


def _missing_c0(frontend: MFCC, shape: Tensor, log_energy: Tensor) -> Tensor:
    """What to add (T, 1) to bands that lack c0 so that their spectrum has the frame's energy."""
    options = frontend.options
    power = _laid_out(_energies(frontend, shape), _weights(frontend, shape)).clamp_min(0)
    power = _root(power, options.power).square()
    energy = (power * _energy_weights(frontend).to(power)).sum(-1, keepdim=True)
    nats = log_energy - energy.clamp_min(torch.finfo(energy.dtype).tiny).log()
    # A factor on the power is its root on the magnitude; decibels are the same of both.
    if options.compression == "db":
        return nats * (10 / math.log(10))
    return nats * (options.power / 2 / _NATS[options.compression])


def _energy_weights(frontend: FramedFrontend) -> Tensor:
    """Weights (bins,), float64, that sum a power spectrum into the energy ``frontend`` reports."""
    n_fft, options = frontend.n_fft, frontend.options
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    twice = torch.where((bins > 0) & (2 * bins < n_fft), 2.0, 1.0).double()
    weights = twice / n_fft
    if options.energy == "raw":
        c = options.preemphasis
        gain = 1 + c * c - 2 * c * torch.cos(2 * math.pi / n_fft * bins)
        # Near 0 Hz pre-emphasis leaves nothing but what leaks there through the window.
        weights = weights / gain.clamp_min(float(gain[min(2, len(gain) - 1)].clamp_min(1e-6)))
        weights = weights / frontend.window.double().square().mean().cpu()
    return weights


def _root(spectrum: Tensor, power: float) -> Tensor:
    return spectrum if power == 1 else spectrum.pow(1 / power)


def _bands(frontend: LogMel, features: Tensor) -> Tensor:
    """Bands (T, n_mels) of a LogMel's features, or bands that are given as they are."""
    n_mels = _weights(frontend, frontend.window).shape[1]
    if isinstance(frontend, MFCC) or (
        isinstance(features, Tensor) and features.dim() == 2 and features.shape[1] == n_mels
    ):
        return _checked(frontend, features, (n_mels,))
    static = _static(frontend, features)
    if frontend.options.energy == "none":
        return static
    return static[:, 1:] if frontend.energy_column == 0 else static[:, :-1]


def _energies(frontend: FramedFrontend, values: Tensor) -> Tensor:
    """Energies of compressed values."""
    energies = expand(values, frontend.options.compression, frontend.options.power)
    if not bool(energies.isfinite().all()):
        raise SeqlabError(
            f"features reach {float(values.max()):g}, whose energy {energies.dtype} cannot hold; "
            "undo any normalisation, and take the front end that they came from"
        )
    return energies.clamp_min(0)


def _static(frontend: FramedFrontend, features: Tensor) -> Tensor:
    """Static columns (T, static_dim) of features."""
    checked = _checked(frontend, features, (frontend.output_dim, frontend.static_dim))
    return checked[:, : frontend.static_dim]


def _checked(frontend: FramedFrontend, features: Tensor, widths: tuple[int, ...]) -> Tensor:
    """Features on the front end's device; raise SeqlabError unless they are (T, one of widths)."""
    name = type(frontend).__name__
    if not isinstance(features, Tensor) or features.dtype not in (torch.float32, torch.float64):
        kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise SeqlabError(f"features are {kind}, must be float32 or float64; convert them first")
    if features.dim() != 2 or features.shape[1] not in widths:
        rule = " or ".join(str(width) for width in dict.fromkeys(widths))
        raise SeqlabError(
            f"features have shape {tuple(features.shape)}, must be (T, {rule}) for this {name}; "
            "take one recording of a batch, and the front end that the features came from"
        )
    bad = (~features.isfinite()).any(1).nonzero()
    if len(bad):
        raise SeqlabError(
            f"features hold NaN or infinite values, first in frame {int(bad[0])}, must be finite; "
            "check the waveform they came from"
        )
    return features.to(frontend.window.device)
