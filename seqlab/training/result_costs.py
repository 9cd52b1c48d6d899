"""What trained models cost, for tables of results: multiplications and time for one second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch

from seqlab.cost import count_macs
from seqlab.errors import DataError
from seqlab.model import SpeechModel
from seqlab.training.results import Result, short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WARM_UP = 5


class Costs(TypedDict):
    """See `measure_costs`."""

    macs: int
    clip_ms: float


def measure_costs(folder: Path, rounds: int = 40) -> Costs:
    """What the model of a run folder needs for one second of audio.

    Args:
        folder: A finished run folder.
        rounds: How often the second is computed, at least 1; the median counts.

    Returns:
        ``macs``, multiplications with addition of encoder and head; and ``clip_ms``, processor
        milliseconds for a clip of one second, one at a time on one thread in torch, front end
        included. Processor time hardly depends on what else runs; the machine's cores decide.

    Raises:
        ModelError: The folder holds no model.
    """
    model = SpeechModel.load(folder / "model").eval()
    rate = model.sample_rate
    clip = 0.1 * torch.randn(1, rate, generator=torch.Generator().manual_seed(0))
    samples = torch.tensor([rate])
    with torch.no_grad():
        features, frames = model.features(clip, samples)
        encoded, encoded_frames = model.encode_features(features, frames, None)
    macs = count_macs(model.encoder, features, frames)
    macs += count_macs(model.head, encoded, encoded_frames)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = [_milliseconds(model, clip, samples) for _ in range(_WARM_UP + rounds)]
    finally:
        torch.set_num_threads(threads)
    return {"macs": macs, "clip_ms": round(statistics.median(times[_WARM_UP:]), 3)}


def _milliseconds(model: SpeechModel, clip: torch.Tensor, samples: torch.Tensor) -> float:
    with torch.inference_mode():
        start = time.process_time()
        model(clip, samples)
        return 1000 * (time.process_time() - start)


def plot_results(results: Sequence[Result]) -> Figure:
    """Draw the mean figure of each system over its milliseconds for one second.

    Args:
        results: Entries of one metric; those without ``clip_ms`` are left out.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it. Circles grow with the parameters.

    Raises:
        DataError: No entry has ``clip_ms``, or several metrics.
    """
    from matplotlib.figure import Figure

    drawn = [entry for entry in results if "clip_ms" in entry]
    if not drawn:
        raise DataError("no entry has clip_ms, nothing to draw; add runs with --costs")
    metrics = sorted({entry["metric"] for entry in drawn})
    if len(metrics) > 1:
        raise DataError(f"{' and '.join(metrics)} make no one axis; keep them in two folders")
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for entry in drawn:
        place = entry["clip_ms"], 100 * statistics.fmean(entry["values"])
        axes.scatter(*place, s=max(12.0, entry["parameters"] ** 0.5 / 4), alpha=0.7)
        axes.annotate(
            entry["system"], place, (5, 4), textcoords="offset points", fontsize=8, parse_math=False
        )
    times = [entry["clip_ms"] for entry in drawn]
    left, right = min(times) / 1.4, max(times) * 1.8  # the names stand to the right
    ticks = [f * 10.0**p for p in range(-4, 7) for f in (1, 2, 5)]
    ticks = [tick for tick in ticks if left <= tick <= right]
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("processor milliseconds for one second of audio, one thread")
    axes.set_ylabel(f"{short_name(metrics[0])} (%)")
    axes.grid(alpha=0.3)
    return figure
