"""The front ends said again, slowly and in double precision: one frame at a time, NumPy alone.

It takes the settings of the constructors by name, and shares no code with the package. Sources:
The HTK Book, chapter 5; Kaldi's documentation of its features; librosa's and torchaudio's
documentation; Whisper's paper, section 2.2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray
DEFAULTS: dict[str, Any] = {
    "drop_last": False,
    "energy": "none",
    "energy_floor": 0.0,
    "energy_position": "first",
    "dynamic_range": None,
    "blackman_coeff": 0.42,
    "vtln_warp": 1.0,
    "vtln_low": 100.0,
    "vtln_high": -500.0,
    "delta_order": 0,
    "delta_window": 2,
}


def taper(name: str, size: int, periodic: bool, blackman: float = 0.42) -> Array:
    """A window, sample by sample."""
    circle = size if periodic else size - 1
    values = []
    for i in range(size):
        c1, c2 = math.cos(2 * math.pi * i / circle), math.cos(4 * math.pi * i / circle)
        values.append(
            {
                "hann": (1 - c1) / 2,
                "povey": max((1 - c1) / 2, 0.0) ** 0.85,
                "hamming": 0.54 - 0.46 * c1,
                "blackman": blackman - 0.5 * c1 + (0.5 - blackman) * c2,
                "sine": math.sin(math.pi * i / circle),
                "rectangular": 1.0,
            }[name]
        )
    return np.array(values)


def extend(samples: Array, before: int, after: int, edges: str) -> Array:
    """The recording with what its frames read beyond the ends."""
    modes = {"zero": "constant", "mirror": "symmetric"}
    mode = modes.get(edges, edges)
    return np.pad(samples, (max(before, 0), max(after, 0)), mode=mode)


def frames_of(samples: Array, s: dict[str, Any]) -> Array:
    """All frames (T, win_length)."""
    win, hop, n_fft, edges = s["win_length"], s["hop_length"], s["n_fft"], s["edges"]
    if edges == "snip":
        starts = range(0, len(samples) - win + 1, hop)
    elif edges == "mirror":
        count = (len(samples) + hop // 2) // hop
        starts = [t * hop + hop // 2 for t in range(count)]
        samples = extend(samples, win // 2, win, edges)
    else:
        count = 1 + (len(samples) + 2 * (n_fft // 2) - n_fft) // hop - s["drop_last"]
        starts = [t * hop + (n_fft - win) // 2 for t in range(count)]
        samples = extend(samples, n_fft // 2, n_fft // 2, edges)
    return np.array([samples[a : a + win] for a in starts]).reshape(-1, win)


def mel_of(hz: float, scale: str) -> float:
    """The mel scale, as its authors wrote it."""
    if scale == "htk":
        return 2595 * math.log10(1 + hz / 700)
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def hz_of(mel: float, scale: str) -> float:
    """Its inverse."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def warped(hz: float, top: float, s: dict[str, Any]) -> float:
    """Kaldi's warp of a frequency: three straight lines through fixed ends of the band."""
    factor, bottom, high = s["vtln_warp"], s["f_min"], s["vtln_high"]
    high = high if high >= 0 else s["sample_rate"] / 2 + high
    knots = [bottom, s["vtln_low"] * max(1, factor), high * min(1, factor), top]
    values = [bottom, knots[1] / factor, knots[2] / factor, top]
    return float(np.interp(hz, knots, values))


def bands(s: dict[str, Any]) -> Array:
    """Mel weights (n_fft // 2 + 1, n_mels), one weight at a time."""
    scale, rate, n_fft, n_mels = s["mel_scale"], s["sample_rate"], s["n_fft"], s["n_mels"]
    top = s["f_max"] or 0.0
    top = top if top > 0 else rate / 2 + top
    low, high = mel_of(s["f_min"], scale), mel_of(top, scale)
    corner = [low + (high - low) * i / (n_mels + 1) for i in range(n_mels + 2)]
    if s["vtln_warp"] != 1:
        corner = [mel_of(warped(hz_of(m, scale), top, s), scale) for m in corner]
    in_hz = s["mel_triangles"] == "hz"
    axis = [hz_of(m, scale) for m in corner] if in_hz else corner
    weights = np.zeros((n_fft // 2 + 1, n_mels))
    for b in range(n_mels):
        left, centre, right = axis[b : b + 3]
        for k in range(n_fft // 2 + 1 if in_hz else n_fft // 2):
            at = k * rate / n_fft if in_hz else mel_of(k * rate / n_fft, scale)
            if left < at < right:
                side = (at - left) / (centre - left) if at <= centre else None
                weights[k, b] = (right - at) / (right - centre) if side is None else side
        if s["mel_norm"] == "slaney":
            weights[:, b] *= 2 / (hz_of(corner[b + 2], scale) - hz_of(corner[b], scale))
        elif s["mel_norm"] is not None and weights[:, b].any():
            weights[:, b] /= np.linalg.norm(weights[:, b], s["mel_norm"])
    if s["mel_triangles"] == "htk" and s["f_min"] > 0:
        weights[np.flatnonzero(weights[:, 0])[:1], 0] = 0
    return weights


def squeeze(values: Array, s: dict[str, Any]) -> Array:
    """Compression and dynamic range."""
    kind = s["compression"]
    if kind != "none":
        values = np.maximum(values, s["floor"])
    if kind == "log":
        values = np.log(values)
    elif kind == "db":
        values = 20 / s["power"] * np.log10(values)
    elif kind == "log10":
        values = np.log10(values)
    elif kind == "whisper":
        values = np.log10(values)
        return np.maximum(values, values.max() - 8) / 4 + 1
    if s["dynamic_range"] is not None:
        values = np.maximum(values, values.max() - s["dynamic_range"])
    return values


def restate(kind: str, waveform: Array, settings: dict[str, Any]) -> Array:
    """Features (T, F) of class ``kind``, deltas by HTK's rule appended; see ``static``."""
    features = [static(kind, waveform, settings)]
    reach = range(1, settings.get("delta_window", 2) + 1)
    for _ in range(settings.get("delta_order", 0)):
        padded = np.pad(features[-1], ((len(reach), len(reach)), (0, 0)), mode="edge")
        total = len(features[-1])
        middle = len(reach)
        slope = sum(
            j * (padded[middle + j : middle + j + total] - padded[middle - j : middle - j + total])
            for j in reach
        )
        features.append(slope / (2 * sum(j * j for j in reach)))
    return np.concatenate(features, 1)


def static(kind: str, waveform: Array, settings: dict[str, Any]) -> Array:
    """Features (T, F) of class ``kind``, "Spectrogram", "LogMel" or "MFCC", in double precision.

    The lengths ``win_length``, ``hop_length`` and ``n_fft`` must be numbers.
    """
    s = {**DEFAULTS, **settings}
    frames = frames_of(np.asarray(waveform, np.float64) * s["scale"], s)
    if s["remove_dc"]:
        frames = frames - frames.mean(1, keepdims=True)
    raw = frames.copy()
    if s["preemphasis"]:
        before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
        frames = frames - s["preemphasis"] * before
    frames = frames * taper(s["window"], s["win_length"], s["periodic"], s["blackman_coeff"])
    spectrum = np.abs(np.fft.rfft(frames, s["n_fft"])) ** s["power"]
    least = max(float(np.finfo(np.float32).eps), s["energy_floor"])
    source = raw if s["energy"] == "raw" else frames
    energy = np.log(np.maximum((source**2).sum(1, keepdims=True), least))
    if kind == "Spectrogram":
        rows = squeeze(spectrum, s)
        return rows if s["energy"] == "none" else np.concatenate([energy, rows[:, 1:]], 1)
    rows = squeeze(spectrum @ bands(s), s)
    if kind == "LogMel":
        columns = [energy, rows] if s["energy_position"] == "first" else [rows, energy]
        return rows if s["energy"] == "none" else np.concatenate(columns, 1)
    return cepstra(rows, energy, s)


def cepstra(rows: Array, energy: Array, s: dict[str, Any]) -> Array:
    """Cosine transform, lifter and the place of c0."""
    n_mels, n_mfcc = rows.shape[1], s["n_mfcc"]
    result = np.zeros((len(rows), n_mfcc))
    for i in range(n_mfcc):
        wave = [math.cos(math.pi * i * (j + 0.5) / n_mels) for j in range(n_mels)]
        size = math.sqrt((1 if i == 0 and s["dct_norm"] == "ortho" else 2) / n_mels)
        lift = 1 + s["lifter"] / 2 * math.sin(math.pi * i / s["lifter"]) if s["lifter"] else 1
        result[:, i] = rows @ np.array(wave) * size * lift
    if s["energy"] != "none":
        result[:, :1] = energy
    return result if s["c0_position"] == "first" else np.roll(result, -1, axis=1)
