"""Makes what is generated of recipes/features/README.md: `python -m tests.reference.preset_page`.

The table of settings comes from the presets themselves and a test holds the page to it; the
pictures show a synthetic utterance, so that nobody's recording stands in the repository.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

import seqlab
from seqlab.frontend.presets import PRESETS
from seqlab.plot import plot_filterbank

FOLDER = Path(__file__).parents[2] / "recipes" / "features"
BEGIN = "<!-- settings: made by `python -m tests.reference.preset_page`, do not edit -->"
END = "<!-- end of settings -->"
NAMES = ("kaldi", "htk", "librosa", "torchaudio", "whisper")
_VOWELS = {"a": (730, 1090, 2440), "i": (270, 2290, 3010), "u": (300, 870, 2240)}  # Hz, formants


def _cell(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def settings_table(kind: str) -> str:
    """Markdown table: a row for each setting of a front end, a column for each preset."""
    table = PRESETS[kind]
    names = [name for name in NAMES if name in table]
    keys = list(dict.fromkeys(key for name in names for key in table[name]))
    lines = [f"| {kind} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for key in keys:
        cells = [_cell(table[name].get(key)) for name in names]
        lines.append(f"| `{key}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def marked_tables() -> str:
    """The generated part of the page, markers included."""
    tables = "\n\n".join(settings_table(kind) for kind in ("LogMel", "MFCC", "Spectrogram"))
    return f"{BEGIN}\n{tables}\n{END}"


def _resonate(signal: np.ndarray, hertz: float, width: float, rate: int) -> np.ndarray:
    """A formant: Klatt's two-pole resonator (1980, equation 2)."""
    decay = np.exp(-np.pi * width / rate)
    b = 2 * decay * np.cos(2 * np.pi * hertz / rate)
    c = -decay * decay
    out = np.zeros_like(signal)
    for n in range(len(signal)):
        out[n] = (1 - b - c) * signal[n] + b * out[n - 1] + c * out[n - 2]
    return out


def utterance(rate: int) -> Tensor:
    """Three vowels of a falling voice and a hiss, about 1.5 seconds, within [-1, 1]."""
    generator = np.random.default_rng(0)
    pieces = []
    for number, formants in enumerate(_VOWELS.values()):
        count = rate * 35 // 100
        pitch = np.linspace(140, 110, count) - 8 * number
        pulses = np.diff(np.floor(np.cumsum(pitch / rate)), prepend=0.0)
        for formant, width in zip(formants, (80, 100, 140), strict=True):
            pulses = _resonate(pulses, formant, width, rate)
        pieces.append(pulses / np.abs(pulses).max() * np.hanning(count) ** 0.25)
        pieces.append(np.zeros(rate // 20))
    hiss = np.diff(generator.standard_normal(rate * 3 // 10 + 1))
    pieces.append(0.3 * hiss / np.abs(hiss).max() * np.hanning(len(hiss)) ** 0.5)
    whole = np.concatenate(pieces) + 1e-4 * generator.standard_normal(sum(map(len, pieces)))
    return torch.from_numpy(0.5 * whole).float()


def picture(kind: type, title: str) -> Figure:
    """Features of the utterance under every preset of a front end, one above the other."""
    names = [name for name in NAMES if name in PRESETS[kind.__name__]]
    figure = Figure(figsize=(8, 1.9 * len(names)), layout="constrained")
    for name, axes in zip(names, figure.subplots(len(names), sharex=True), strict=True):
        frontend = kind.from_preset(name)
        features = frontend.extract(utterance(frontend.sample_rate), frontend.sample_rate)
        duration = len(features) * frontend.hop_length / frontend.sample_rate
        extent = (0, duration, -0.5, features.shape[1] - 0.5)
        image = axes.imshow(features.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
        axes.set_title(f"{name}: {features.shape[1]} {title} at {frontend.sample_rate} Hz")
        figure.colorbar(image, ax=axes, pad=0.01)
    axes.set_xlabel("time (s)")
    return figure


def write() -> None:
    """Write the table into the page and the pictures beside it."""
    page = FOLDER / "README.md"
    text = page.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    page.write_text(text[:begin] + marked_tables() + text[end:], encoding="utf-8")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*bands hold no bin")
        for kind, title in ((seqlab.LogMel, "bands"), (seqlab.MFCC, "coefficients")):
            figure = picture(kind, title)
            figure.savefig(FOLDER / f"{kind.__name__.lower()}.png", dpi=80)
        for name in ("kaldi", "librosa"):
            frontend = seqlab.LogMel.from_preset(name)
            title = f"{name}: {frontend.mel.shape[1]} bands"
            figure = plot_filterbank(frontend.mel, frontend.sample_rate, title)
            figure.savefig(FOLDER / f"bands_{name}.png", dpi=80)


if __name__ == "__main__":
    write()
