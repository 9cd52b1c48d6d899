"""Perceptual linear prediction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.cepstrum import lifter_weights
from seqlab.frontend.linear_prediction import levinson_durbin, lpc_to_cepstrum
from seqlab.frontend.logmel import POSITIONS, LogMel
from seqlab.frontend.mel import band_points
from seqlab.frontend.spectrum import EPSILON, expand, row_product
from seqlab.frontend.vtln import Warp


class PLP(LogMel):
    """Cepstra of an all-pole model of the loudness in mel bands.

    Use it where a system was built on PLP, and next to MFCC where models are combined. The
    defaults are those of Kaldi's compute-plp-feats with ``--dither=0``: 13 cepstra of 12 poles over
    23 bands, liftered, c0 replaced by the log energy of the frame.

    Args:
        n_plp: cepstra, c0 included; at most ``lpc_order`` + 1.
        lpc_order: poles, at most ``n_mels``.
        compress_factor: power that turns energy into loudness, within (0, 1].
        lifter: length of the liftering sine; 0 leaves it out.
        cepstral_scale: factor on the cepstra, c0 included, but not on an energy in its place.
        energy: put the log energy of the frame in place of c0: "none" (c0 is the log of the
            prediction error), "raw" (before pre-emphasis and window) or "windowed".
        c0_position: c0, or the energy in its place, comes "first" (Kaldi) or "last" (HTK).
        compression: scale on which ``dynamic_range`` limits the bands; it is undone before they
            turn into loudness.

    All other arguments are those of ``LogMel``.

    Raises:
        SeqlabError: a setting is out of range or does not fit another.

    Source: Hermansky 1990, "Perceptual linear predictive (PLP) analysis of speech"; The HTK Book,
    section 5.7; Kaldi's src/feat. As in HTK and Kaldi, the bands are mel bands and not Hermansky's
    Bark bands. Bands are floored at ``floor`` as in HTK; Kaldi has no floor, so that digital
    silence has no logarithm there.

    Example:
        >>> PLP(delta_order=2).extract(torch.zeros(16000), 16000).shape
        torch.Size([98, 39])
    """

    log_weights: Tensor
    cosines: Tensor
    scales: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_plp: int = 13,
        lpc_order: int = 12,
        compress_factor: float = 0.33333,
        n_mels: int = 23,
        win_length: int | None = None,
        hop_length: int | None = None,
        n_fft: int | None = None,
        window: str = "povey",
        blackman_coeff: float = 0.42,
        periodic: bool = False,
        edges: str = "snip",
        drop_last: bool = False,
        scale: float = 32768.0,
        remove_dc: bool = True,
        preemphasis: float = 0.97,
        dither: float = 0.0,
        dither_seed: int = 0,
        power: float = 2.0,
        f_min: float = 20.0,
        f_max: float | None = None,
        mel_scale: str = "htk",
        mel_norm: float | str | None = None,
        mel_triangles: str = "mel",
        vtln_warp: float = 1.0,
        vtln_low: float = 100.0,
        vtln_high: float = -500.0,
        compression: str = "none",
        floor: float = EPSILON,
        dynamic_range: float | None = None,
        lifter: float = 22.0,
        cepstral_scale: float = 1.0,
        energy: str = "raw",
        energy_floor: float = 0.0,
        c0_position: str = "first",
        delta_order: int = 0,
        delta_window: int = 2,
        delta_method: str = "kaldi",
    ) -> None:
        check_choice("c0_position", c0_position, POSITIONS)
        _check_model(n_plp, lpc_order, n_mels)
        check_range("compress_factor", compress_factor, 1e-3, 1, "0.33333 is the cubic root")
        check_range("cepstral_scale", cepstral_scale, 1e-6, 1e6, "1 leaves the cepstra as they are")
        super().__init__(
            sample_rate=sample_rate,
            win_length=win_length,
            hop_length=hop_length,
            n_fft=n_fft,
            window=window,
            blackman_coeff=blackman_coeff,
            periodic=periodic,
            edges=edges,
            drop_last=drop_last,
            scale=scale,
            remove_dc=remove_dc,
            preemphasis=preemphasis,
            dither=dither,
            dither_seed=dither_seed,
            power=power,
            compression=compression,
            floor=floor,
            dynamic_range=dynamic_range,
            energy=energy,
            energy_floor=energy_floor,
            delta_order=delta_order,
            delta_window=delta_window,
            delta_method=delta_method,
            n_mels=n_mels,
            f_min=f_min,
            f_max=f_max,
            mel_scale=mel_scale,
            mel_norm=mel_norm,
            mel_triangles=mel_triangles,
            vtln_warp=vtln_warp,
            vtln_low=vtln_low,
            vtln_high=vtln_high,
        )
        self.n_plp = n_plp
        self.compress_factor = compress_factor
        self.c0_position = c0_position
        self.static_dim = n_plp
        self.output_dim = n_plp * (delta_order + 1)
        warp = Warp(vtln_warp, vtln_low, vtln_high)
        centres = band_points(
            sample_rate, n_mels, f_min=f_min, f_max=f_max, scale=mel_scale, warp=warp
        )[1:-1]
        buffers = {
            "log_weights": equal_loudness(centres).log(),
            "cosines": auditory_cosines(n_mels, lpc_order),
            "scales": cepstral_scale * lifter_weights(n_plp, lifter),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values.float(), persistent=False)

    def finish(self, features: Tensor) -> Tensor:
        """Cepstra (B, T, n_plp) of rows (B, T, row_dim)."""
        energy = None
        if self.options.energy != "none":
            energy, features = features[..., :1], features[..., 1:]
        bands = expand(features, self.options.compression, self.options.power)
        # Not pow: it rounds otherwise where values are few; streams would differ in the last bit.
        loudness = bands.clamp_min(self.options.floor).log() + self.log_weights
        loud = (loudness * self.compress_factor).exp()
        predictor, error, _ = levinson_durbin(row_product(loud, self.cosines))
        least = torch.finfo(error.dtype).tiny
        cepstra = error.clamp_min(least).log().unsqueeze(-1)
        if self.n_plp > 1:
            cepstra = torch.cat([cepstra, lpc_to_cepstrum(predictor, self.n_plp - 1)], -1)
        cepstra = cepstra * self.scales
        c0 = cepstra[..., :1] if energy is None else energy
        rest = cepstra[..., 1:]
        return torch.cat([c0, rest] if self.c0_position == "first" else [rest, c0], -1)


def equal_loudness(frequency: Tensor) -> Tensor:
    """Sensitivity of hearing at about 40 dB, as a factor on power.

    Args:
        frequency: Hz, not negative, any shape.

    Returns:
        Weights within [0, 1), same shape.

    Source: Hermansky 1990, equation 4 (after Makhoul and Cosell 1976), with the frequency in Hz and
    the rounded constants of HTK and Kaldi.

    Example:
        >>> [round(weight, 4) for weight in equal_loudness(torch.tensor([0.0, 1000.0])).tolist()]
        [0.0, 0.1709]
    """
    squared = frequency.square()
    rising = squared / (squared + 1.6e5)
    return rising.square() * (squared + 1.44e6) / (squared + 9.61e6)


def auditory_cosines(n_mels: int, order: int) -> Tensor:
    """Matrix (n_mels, order + 1), float64, from loudness in bands to autocorrelation.

    It is the inverse Fourier transform of the bands with the first and the last of them repeated,
    for their centres lie off 0 Hz and half the sample rate, where hearing has no weight.

    Source: Hermansky 1990, section I.E; The HTK Book, section 5.7.

    Example:
        >>> [abs(round(value, 6)) for value in auditory_cosines(1, 1)[0].tolist()]
        [1.0, 0.0]
    """
    points = n_mels + 2
    angle = math.pi / (points - 1)
    place = torch.arange(points, dtype=torch.float64).unsqueeze(1)
    waves = torch.cos(angle * place * torch.arange(order + 1, dtype=torch.float64))
    waves[1:-1] *= 2
    waves /= 2 * (points - 1)
    matrix = waves[1:-1].clone()
    matrix[0] += waves[0]
    matrix[-1] += waves[-1]
    return matrix


def _check_model(n_plp: int, lpc_order: int, n_mels: int) -> None:
    check_at_least("n_plp", n_plp, 1, "13 is common")
    check_at_least("lpc_order", lpc_order, 1, "12 is common")
    check_at_least("n_mels", n_mels, 1, "23 is common")
    if n_plp > lpc_order + 1:
        raise SeqlabError(
            f"n_plp={n_plp} must be at most lpc_order + 1 = {lpc_order + 1}; lower n_plp or raise "
            "lpc_order"
        )
    if lpc_order > n_mels:
        raise SeqlabError(
            f"lpc_order={lpc_order} must be at most n_mels={n_mels}; lower lpc_order or raise "
            "n_mels"
        )
