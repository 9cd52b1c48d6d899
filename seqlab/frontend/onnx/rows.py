"""Samples to rows of a framed front end, as nodes of an ONNX graph."""

from __future__ import annotations

import contextlib
import math

import numpy as np
from numpy.typing import NDArray

from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.framing import FrameLayout
from seqlab.frontend.onnx.graph import Graph
from seqlab.frontend.onnx.radix import columns_of, short_transforms
from seqlab.frontend.spectrum import EPSILON

KNOWN_EDGES = ("snip", "mirror", "zero", "reflect", "edge")


def count_frames(graph: Graph, layout: FrameLayout, lengths: str) -> str:
    """Frames (B,) of recordings of ``lengths`` samples (B,); ``FrameLayout.count``."""
    win, hop = layout.win_length, layout.hop_length
    if layout.edges == "mirror":
        return graph("Div", graph("Add", lengths, hop // 2), hop)
    # ONNX divides towards zero, so what is divided must not be negative.
    extra = 0 if layout.edges == "snip" else 2 * (layout.n_fft // 2) - layout.n_fft + win
    frames = graph("Div", graph("Max", graph("Add", lengths, extra + hop - win), 0), hop)
    if layout.edges == "snip":
        return frames
    frames = graph("Sub", frames, int(layout.drop_last))
    return graph("Mul", frames, graph.cast(graph("Greater", lengths, 0), "INT64"))


def cut_samples(graph: Graph, layout: FrameLayout, waveform: str, lengths: str, span: str) -> str:
    """The ``span`` samples (B, span) of a waveform (B, N) of any N that all frames read."""
    # a frame to read even where there is none
    waveform = graph("Pad", waveform, [0, 0, 0, layout.win_length])
    if layout.edges == "snip":
        return graph("Slice", waveform, [0], graph("Reshape", span, [1]), [1])
    return _beyond_edges(graph, layout, waveform, lengths, span)


def cut_frames(
    graph: Graph, layout: FrameLayout, piece: str, span: str | int, total: str | int
) -> str:
    """Frames (B, T, win_length) of ``span`` samples (B, span), which T = ``total`` frames fill."""
    win, hop = layout.win_length, layout.hop_length
    # Frames are put together from pieces as long as may be, which are copied as a whole.
    grain = math.gcd(win, hop)
    pieces = graph("Reshape", graph("Div", span, grain), [1])
    batch = graph("Shape", piece, end=1)
    pieces = graph("Reshape", piece, graph("Concat", batch, pieces, [grain], axis=0))
    first = graph("Mul", graph("Range", 0, total, 1), hop // grain)
    which = graph("Add", graph("Unsqueeze", first, [1]), np.arange(win // grain))
    return graph("Reshape", graph("Gather", pieces, which, axis=1), [0, 0, win])


def _beyond_edges(graph: Graph, layout: FrameLayout, waveform: str, lengths: str, span: str) -> str:
    """The samples (B, span) that all frames together read; ``framing.cut_samples``."""
    position = graph("Range", -layout.left, graph("Sub", span, layout.left), 1)
    length = graph("Unsqueeze", lengths, [1])
    last = graph("Sub", graph("Max", length, 1), 1)
    if layout.edges == "mirror":
        turn = graph("Add", graph("Mul", last, 2), 1)
        index = graph("Mod", position, graph("Add", turn, 1))
        index = graph("Min", index, graph("Sub", turn, index))
    elif layout.edges == "reflect":
        period = graph("Max", graph("Mul", last, 2), 1)
        index = graph("Mod", position, period)
        index = graph("Min", graph("Min", index, graph("Sub", period, index)), last)
    else:
        index = graph("Min", graph("Max", position, 0), last)
    piece = graph("GatherElements", waveform, index, axis=1)
    if layout.edges != "zero":
        return piece
    inside = graph("And", graph("GreaterOrEqual", position, 0), graph("Less", position, length))
    return graph("Where", inside, piece, 0.0)


def analyse(
    graph: Graph,
    frontend: FramedFrontend,
    samples: str,
    span: str | int,
    total: str | int,
    *,
    fft: bool,
    double: bool,
) -> str:
    """Rows (B, T, row_dim) of the ``span`` samples (B, span) that T = ``total`` frames read.

    Samples lie in [-1, 1]; the scale of the front end comes here. ``FramedFrontend.analyse``.
    """
    columns = None if fft or double else columns_of(frontend)
    if columns is not None:
        bands = _compress(graph, frontend, short_transforms(graph, frontend, samples, columns))
        return graph("Transpose", bands, perm=[0, 2, 1])
    if frontend.options.scale != 1:
        samples = graph("Mul", samples, float(frontend.options.scale))
    frames = cut_frames(graph, frontend.layout, samples, span, total)
    return _frame_rows(graph, frontend, frames, fft, double)


def _frame_rows(
    graph: Graph, frontend: FramedFrontend, frames: str, fft: bool, double: bool
) -> str:
    """Rows (B, T, row_dim) of frames (B, T, win_length)."""
    with graph.in_double() if double else contextlib.nullcontext():
        if double:
            frames = graph.cast(frames, "DOUBLE")
        spectrum, energy = _spectrum(graph, frontend, frames, fft, double)
    if double:
        spectrum = graph.cast(spectrum, "FLOAT")
        energy = energy and graph.cast(energy, "FLOAT")
    bands = spectrum
    if frontend.mel is not None:
        bands = graph("MatMul", spectrum, frontend.mel[_used_bins(frontend)])
    if energy is None:
        return _compress(graph, frontend, bands)
    width = frontend.n_fft // 2 + 1 if frontend.mel is None else frontend.mel.shape[1]
    if width + 1 != frontend.row_dim:  # bin 0 gives way to the energy
        bands = graph.part(bands, width + 1 - frontend.row_dim, None)
    bands = _compress(graph, frontend, bands)
    energy = graph("Log", graph("Max", energy, max(float(frontend.options.energy_floor), EPSILON)))
    ordered = [energy, bands] if frontend.energy_column == 0 else [bands, energy]
    return graph("Concat", *ordered, axis=-1)


def _spectrum(
    graph: Graph, frontend: FramedFrontend, frames: str, fft: bool, double: bool
) -> tuple[str, str | None]:
    """Spectrum (B, T, bins), of the bins used, and energy (B, T, 1) where it is asked for."""
    options = frontend.options
    window = frontend.exact_window()
    centred, constant = _centre(graph, frames, options.remove_dc, double)
    tapered = centred
    if options.preemphasis:
        head, rest = graph.part(centred, 0, 1), graph.part(centred, 0, -1)
        previous = graph("Concat", head, rest, axis=-1)
        tapered = graph("Sub", centred, graph("Mul", previous, float(options.preemphasis)))
    tapered = graph("Mul", tapered, window)
    offset = constant and graph("Mul", constant, 1 - float(options.preemphasis))
    energy = None
    if options.energy != "none":
        source = tapered
        if options.energy == "raw":
            source = centred if options.remove_dc else frames
        elif offset is not None:
            source = graph("Add", tapered, graph("Mul", offset, window))
        energy = graph("ReduceSum", graph("Mul", source, source), [-1])
    spectrum = (_fft_power if fft else _product_power)(graph, frontend, tapered, offset)
    if options.power == 1:
        spectrum = graph("Sqrt", spectrum)
    elif options.power != 2:
        spectrum = graph("Pow", spectrum, options.power / 2)
    return spectrum, energy


def _centre(graph: Graph, frames: str, remove: bool, double: bool) -> tuple[str, str | None]:
    """Frames less what they have in common, and what is to be put back of it, if anything is."""
    if double:
        return (graph("Sub", frames, graph("ReduceMean", frames, [-1])) if remove else frames), None
    # Counted from its first sample, a constant frame has no rounding errors at all.
    first = graph.part(frames, 0, 1)
    deviation = graph("Sub", frames, first)
    mean = graph("ReduceMean", deviation, [-1])
    # The mean is transformed apart: a large one would drown the rest in rounding errors.
    return graph("Sub", deviation, mean), None if remove else graph("Add", first, mean)


def _used_bins(frontend: FramedFrontend) -> slice:
    """The bins that any band reads."""
    if frontend.mel is None:
        return slice(0, frontend.n_fft // 2 + 1)
    bins = frontend.mel.abs().sum(1).nonzero().flatten().tolist()
    return slice(bins[0], bins[-1] + 1) if bins else slice(0, 1)


def _product_power(graph: Graph, frontend: FramedFrontend, tapered: str, offset: str | None) -> str:
    """Power spectrum by matrix products.

    Power does not depend on where time zero lies. Put into the middle of the frame, cosines are
    even and sines odd, and the two halves of the frame can be added, or subtracted, before they
    are multiplied: half the work.
    """
    win, used = frontend.win_length, _used_bins(frontend)
    right = graph.part(tapered, win // 2, None)
    left = graph.part(tapered, (win - 1) // 2, None, step=-1)
    parts = []
    for kind, waves in zip(("Add", "Sub"), _half_waves(win, frontend.n_fft), strict=True):
        half = graph(kind, right, left)
        matrix = waves[:, used]
        if offset is not None:
            window = frontend.exact_window().numpy()
            sign = 1 if kind == "Add" else -1
            halved = window[win // 2 :] + sign * window[: (win + 1) // 2][::-1]
            half = graph("Concat", half, offset, axis=-1)
            matrix = np.concatenate([matrix, (halved @ matrix)[None]])
        part = graph("MatMul", half, matrix)
        parts.append(graph("Mul", part, part))
    return graph("Add", *parts)


def _half_waves(win_length: int, n_fft: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines and sines (half a frame, n_fft // 2 + 1) from the middle of a frame on."""
    even = win_length % 2 == 0
    place = np.arange((win_length + 1) // 2) + (0.5 if even else 0.0)
    angle = 2 * np.pi / n_fft * np.outer(place, np.arange(n_fft // 2 + 1))
    cosines = np.cos(angle)
    if not even:
        cosines[0] /= 2  # the middle sample is counted in both halves
    return cosines, np.sin(angle)


def _fft_power(graph: Graph, frontend: FramedFrontend, tapered: str, offset: str | None) -> str:
    """Power spectrum by ONNX's DFT operator."""
    signal = graph("Unsqueeze", tapered, [-1])
    if graph.opset >= 20:
        transform = graph("DFT", signal, frontend.n_fft, 2, onesided=1)
    else:
        transform = graph("DFT", signal, frontend.n_fft, axis=2, onesided=1)
    if offset is not None:
        share = graph("Mul", graph("Unsqueeze", offset, [-1]), frontend.window_transform)
        transform = graph("Add", transform, share)
    used = _used_bins(frontend)
    transform = graph.part(transform, used.start, used.stop, axis=2)
    return graph("ReduceSum", graph("Mul", transform, transform), [-1], keepdims=0)


def _compress(graph: Graph, frontend: FramedFrontend, values: str) -> str:
    """``spectrum.compress``."""
    options = frontend.options
    if options.compression == "none":
        return values
    logs = graph("Log", graph("Max", values, float(options.floor)))
    if options.compression == "log":
        return logs
    factor = {"log10": 1.0, "db": 20 / options.power, "whisper": 0.25}[options.compression]
    logs = graph("Mul", logs, factor / math.log(10))
    return graph("Add", logs, 1.0) if options.compression == "whisper" else logs
