"""PLP said again in double precision, by other means than the package's.

It is restated from the published description, for no package that installs with pip computes
Kaldi's or HTK's PLP: Hermansky 1990, "Perceptual linear predictive (PLP) analysis of speech",
sections I.A to I.F; The HTK Book, section 5.7; the options of Kaldi's compute-plp-feats. No output
of HCopy or compute-plp-feats was at hand, so agreement with this file is agreement with the
equations.

Where the package recurs, this file does not: the autocorrelation is an inverse FFT, the predictor
solves the normal equations (scipy.linalg.solve_toeplitz), and the cepstrum is the inverse FFT of
the log spectrum of the all-pole filter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import solve_toeplitz

from tests.reference.frontend_oracle import DEFAULTS, bands, frames_of, hz_of, mel_of, taper, warped

Array = np.ndarray
POINTS = 1 << 13  # of the spectrum whose log gives the cepstrum


def hearing(hz: float) -> float:
    """Equal-loudness curve at 40 dB, equation 4 of Hermansky 1990 with f in Hz."""
    f2 = hz * hz
    return (f2 / (f2 + 1.6e5)) ** 2 * (f2 + 1.44e6) / (f2 + 9.61e6)


def centres(s: dict[str, Any]) -> list[float]:
    """Peaks of the mel bands in Hz."""
    top = s["f_max"] or 0.0
    top = top if top > 0 else s["sample_rate"] / 2 + top
    low, high = (mel_of(f, s["mel_scale"]) for f in (s["f_min"], top))
    n_mels = s["n_mels"]
    peaks = [
        hz_of(low + (high - low) * (m + 1) / (n_mels + 1), s["mel_scale"]) for m in range(n_mels)
    ]
    return peaks if s["vtln_warp"] == 1 else [warped(hz, top, s) for hz in peaks]


def model(autocorrelation: Array, order: int, count: int) -> Array:
    """Log prediction error and the next ``count`` - 1 cepstra, of one frame."""
    r = autocorrelation[: order + 1]
    predictor = np.concatenate([[1.0], -solve_toeplitz(r[:order], r[1:])])
    log_spectrum = -2 * np.log(np.abs(np.fft.rfft(predictor, POINTS)))
    cepstra = np.fft.irfft(log_spectrum)[:count]
    cepstra[0] = math.log(predictor @ r)
    return cepstra


def restate_plp(waveform: Array, settings: dict[str, Any]) -> Array:
    """PLP (T, n_plp) in double precision; the lengths in ``settings`` must be numbers."""
    s = {**DEFAULTS, **settings}
    frames = frames_of(np.asarray(waveform, np.float64) * s["scale"], s)
    if s["remove_dc"]:
        frames = frames - frames.mean(1, keepdims=True)
    least = max(float(np.finfo(np.float32).eps), s["energy_floor"])
    raw = np.log(np.maximum((frames**2).sum(1), least))
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    frames = frames - s["preemphasis"] * before
    frames = frames * taper(s["window"], s["win_length"], s["periodic"])
    spectrum = np.abs(np.fft.rfft(frames, s["n_fft"])) ** s["power"]
    energies = np.maximum(spectrum @ bands(s), s["floor"])
    loud = (energies * [hearing(hz) for hz in centres(s)]) ** s["compress_factor"]
    whole = np.concatenate([loud[:, :1], loud, loud[:, -1:]], 1)
    lags = np.fft.irfft(whole, axis=1)
    cepstra = np.array([model(row, s["lpc_order"], s["n_plp"]) for row in lags])
    for n in range(s["n_plp"]):
        lift = 1 + s["lifter"] / 2 * math.sin(math.pi * n / s["lifter"]) if s["lifter"] else 1
        cepstra[:, n] *= lift * s["cepstral_scale"]
    if s["energy"] != "none":
        cepstra[:, 0] = raw if s["energy"] == "raw" else np.log((frames**2).sum(1).clip(least))
    return cepstra if s["c0_position"] == "first" else np.roll(cepstra, -1, axis=1)
