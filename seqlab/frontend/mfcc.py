"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.checks import check_choice
from seqlab.frontend.cepstrum import dct_matrix, lifter_weights
from seqlab.frontend.logmel import POSITIONS, LogMel
from seqlab.frontend.spectrum import EPSILON, row_product


class MFCC(LogMel):
    """Cosine transform of log-mel bands: few, nearly uncorrelated coefficients.

    Use it for small models, Gaussian mixtures and comparison with older systems. The defaults are
    Kaldi's: 13 coefficients of 23 bands, liftered, c0 replaced by the log energy of the frame.

    Args:
        n_mfcc: coefficients, c0 included; at most ``n_mels``.
        lifter: length of the liftering sine; 0 leaves it out.
        dct_norm: "ortho", or "htk", where c0 is larger by the square root of 2.
        energy: put the log energy of the frame in place of c0: "none" (keep c0), "raw" (before
            pre-emphasis and window) or "windowed".
        c0_position: c0, or the energy in its place, comes "first" (Kaldi) or "last" (HTK).

    All other arguments are those of ``LogMel``.

    Raises:
        SeqlabError: a setting is out of range or does not fit another.

    Source: Davis and Mermelstein 1980, "Comparison of parametric representations for monosyllabic
    word recognition"; The HTK Book, section 5.6; Kaldi's src/feat.

    Example:
        >>> MFCC(delta_order=2).extract(torch.zeros(16000), 16000).shape
        torch.Size([98, 39])
    """

    cepstra: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_mfcc: int = 13,
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
        compression: str = "log",
        floor: float = EPSILON,
        dynamic_range: float | None = None,
        lifter: float = 22.0,
        dct_norm: str = "ortho",
        energy: str = "raw",
        energy_floor: float = 0.0,
        c0_position: str = "first",
        delta_order: int = 0,
        delta_window: int = 2,
        delta_method: str = "kaldi",
    ) -> None:
        check_choice("c0_position", c0_position, POSITIONS)
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
        self.c0_position = c0_position
        self.static_dim = n_mfcc
        self.output_dim = n_mfcc * (delta_order + 1)
        cepstra = dct_matrix(n_mels, n_mfcc, dct_norm) * lifter_weights(n_mfcc, lifter)
        self.register_buffer("cepstra", cepstra.float(), persistent=False)

    def finish(self, features: Tensor) -> Tensor:
        """Cepstra (B, T, n_mfcc) of rows (B, T, row_dim)."""
        if self.options.energy == "none":
            cepstra = row_product(features, self.cepstra)
            c0, rest = cepstra[..., :1], cepstra[..., 1:]
        else:
            c0 = features[..., :1]
            rest = row_product(features[..., 1:], self.cepstra)[..., 1:]
        return torch.cat([c0, rest] if self.c0_position == "first" else [rest, c0], -1)
