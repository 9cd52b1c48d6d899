"""Pictures of features and of detectors, for notebooks, reports and the command line.

Figures are made without matplotlib's global state, so nothing opens a window and many can be
drawn in one process.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seqlab.errors import SeqlabError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqlab.detection import DetectionCurve

Picture: TypeAlias = npt.NDArray[np.float32]


def _as_picture(features: Tensor) -> Picture:
    """Features (T, F) as an image (F, T) float32, without the values that are not finite."""
    if features.dim() != 2 or features.numel() == 0:
        raise SeqlabError(
            f"features of shape {tuple(features.shape)} make no picture, must be (T, F) with at "
            "least one frame; pass one recording that is longer than a window"
        )
    picture: Picture = features.detach().cpu().float().numpy().T.copy()
    finite = picture[np.isfinite(picture)]
    floor = float(finite.min()) if finite.size else 0.0
    picture[~np.isfinite(picture)] = floor
    return picture


def plot_features(
    features: Tensor,
    frame_s: float,
    title: str = "",
    unit: str = "bin",
    *,
    highest: float | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw features over time; use it to look at what a front end makes of a recording.

    Args:
        features: (T, F), T at least 1; F is drawn upwards.
        frame_s: seconds from one frame to the next, above 0.
        title: text above the picture.
        unit: name of the F axis.
        highest: what the last of the F values stands for, such as a frequency in Hz, where the
            first stands for 0; None numbers them.
        limits: values at the ends of the colour scale; None takes the least and the largest.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        SeqlabError: features without frames, or of another shape.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    picture = _as_picture(features)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    step = 1.0 if highest is None else highest / max(1, picture.shape[0] - 1)
    extent = (0.0, picture.shape[1] * frame_s, -0.5 * step, (picture.shape[0] - 0.5) * step)
    low, high = limits or (None, None)
    image = axes.imshow(
        picture, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=low, vmax=high
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("time (s)")
    axes.set_ylabel(unit)
    axes.set_title(title, parse_math=False)
    figure.colorbar(image, ax=axes, pad=0.01)
    return figure


def features_png(features: Tensor, max_frames: int = 1200) -> bytes:
    """Features (T, F) as a bare PNG, one pixel a value, low bins at the bottom.

    Use it to embed a small picture in a page. More than ``max_frames`` frames are thinned out.
    """
    from matplotlib.image import imsave

    step = -(-len(features) // max_frames) or 1
    picture = _as_picture(features[::step])
    low, high = np.percentile(picture, [2, 99.8])
    file = io.BytesIO()
    imsave(file, picture[::-1], cmap="magma", format="png", vmin=low, vmax=max(high, low + 1e-6))
    return file.getvalue()


def plot_filterbank(weights: Tensor, sample_rate: int, title: str = "") -> Figure:
    """Draw the bands of a filter bank over frequency; use it to see what each band hears.

    Args:
        weights: (n_fft // 2 + 1, n_bands), such as ``LogMel().mel``.
        sample_rate: Hz; the last row stands for half of it.
        title: text above the picture.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        SeqlabError: weights of another shape, or without bands.
    """
    from matplotlib.figure import Figure

    if weights.dim() != 2 or weights.shape[0] < 2 or weights.shape[1] == 0:
        raise SeqlabError(
            f"weights of shape {tuple(weights.shape)} are no filter bank, must be "
            "(n_fft // 2 + 1, n_bands); pass the attribute mel of a front end with mel bands"
        )
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    columns = weights.detach().cpu().float().numpy().T
    hertz = np.linspace(0, sample_rate / 2, weights.shape[0])
    for number, column in enumerate(columns):
        used = np.flatnonzero(column)
        if len(used):
            part = slice(max(used[0] - 1, 0), used[-1] + 2)
            axes.plot(hertz[part], column[part], color=f"C{number % 10}", linewidth=0.8)
    axes.set_xlim(0, sample_rate / 2)
    axes.set_ylim(0, None)
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel("weight")
    axes.set_title(title, parse_math=False)
    return figure


_PERCENT = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99)


def plot_detection(
    curves: Mapping[str, DetectionCurve],
    chosen: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """Draw misses over false alarms per hour, a line for each phrase.

    False alarms are on a logarithmic axis, down to where the negatives tell nothing any more, and
    misses on one of normal deviates, on which a detector's line is about straight.

    Args:
        curves: by phrase, one at least.
        chosen: threshold of each phrase that is in use; drawn as a point.
        title: text above the picture.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it.

    Raises:
        SeqlabError: no curves.
    """
    from matplotlib.figure import Figure

    if not curves:
        raise SeqlabError("no detection curves to draw; pass one at least")
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    resolution = min(curve.resolution for curve in curves.values())
    none = resolution / 2  # where no false alarm at all is drawn
    points = []
    for number, (name, curve) in enumerate(curves.items()):
        alarms = np.where(curve.false_alarms_per_hour > 0, curve.false_alarms_per_hour, none)
        height = _deviates(curve.false_rejection_rates)
        colour = f"C{number % 10}"
        axes.plot(alarms, height, drawstyle="steps-pre", color=colour, label=name, linewidth=1.6)
        if chosen is not None and name in chosen:
            place = min(int(np.searchsorted(curve.thresholds, chosen[name])), len(alarms) - 1)
            points.append((alarms[place], height[place], colour))
    most = max(float(curve.false_alarms_per_hour[0]) for curve in curves.values())
    worst = max(curve.at(0.0)[0] for curve in curves.values())
    _detection_axes(axes, resolution, most, worst)
    for x, y, colour in points:  # at the edge, if beyond it
        at = min(x, axes.get_xlim()[1]), float(np.clip(y, *axes.get_ylim()))
        axes.plot(*at, "o", color=colour, markersize=7, clip_on=False)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, parse_math=False)
    return figure


def _detection_axes(axes: Any, resolution: float, most: float, worst: float) -> None:
    left, right = resolution / 2, max(min(most, 200 * resolution), 4 * resolution)
    axes.set_xscale("log")
    axes.set_xlim(left / 1.15, right)
    axes.axvspan(left / 1.15, resolution, color="0.93", linewidth=0)
    round_ones = [f * 10.0**p for p in range(-3, 6) for f in (1, 2, 5)]
    ticks = [tick for tick in round_ones if resolution <= tick <= right]
    axes.set_xticks([left, *ticks], ["none", *(f"{tick:g}" for tick in ticks)])
    axes.minorticks_off()
    axes.set_xlabel(f"false alarms per hour (one in all negatives is {resolution:.2g})")
    axes.set_yticks(_deviates(np.array(_PERCENT) / 100), [f"{p:g}" for p in _PERCENT])
    top = next((p for p in _PERCENT if p > 100 * worst), 99.5)
    axes.set_ylim(*_deviates(np.array([0.0007, max(top, 20) / 100])))
    axes.set_ylabel("missed (%)")
    axes.grid(alpha=0.3)


def _deviates(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Standard normal deviates of shares, cut at a twentieth of a percent from either end."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(max(share, 5e-4), 1 - 5e-4)) for share in shares])
