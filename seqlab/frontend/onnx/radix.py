"""Bands of a power spectrum by two short Fourier transforms, as nodes of an ONNX graph.

A frame of n * c samples is seen as n rows of c columns. A transform along each column, with the
window and the turns between the two in its weights, is one convolution of the samples, which cuts
the frames as well; a transform along each row is one matrix product. In float32 that takes a
third of the time of the products that the whole transform is, and fewer terms are added up to
each bin, so that less is lost by rounding.

Source: Cooley and Tukey 1965, "An Algorithm for the Machine Calculation of Complex Fourier
Series", equations 2 to 5.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.onnx.graph import Graph

__all__ = ["columns_of", "short_transforms"]

_COLUMNS = (4, 40)  # fewest and most: the two transforms are of similar length
_Real = NDArray[np.float64]


def columns_of(frontend: FramedFrontend) -> int | None:
    """Columns c of a frame; None if the spectrum cannot be had in this way."""
    options = frontend.options
    if frontend.mel is None or options.energy != "none" or options.power != 2:
        return None
    # The first sample of a frame has no predecessor within it. It must not matter.
    if options.preemphasis and float(frontend.exact_window()[0]) != 0:
        return None
    common = math.gcd(frontend.win_length, frontend.hop_length, frontend.n_fft)
    fitting = [c for c in range(_COLUMNS[0], _COLUMNS[1] + 1) if common % c == 0]
    return min(fitting, key=lambda c: _cost(frontend.n_fft, frontend.win_length, c), default=None)


def short_transforms(graph: Graph, frontend: FramedFrontend, samples: str, columns: int) -> str:
    """Bands (B, n_mels, T) of samples (B, n), not yet scaled, that T frames fill exactly."""
    win, hop = frontend.win_length, frontend.hop_length
    turned = frontend.n_fft // columns // 2 + 1  # bins of the first transform
    first, second = _first(frontend, columns, turned), _second(columns)
    stride = hop // columns
    rows = graph("Reshape", _emphasised(graph, frontend, samples), [0, -1, columns])
    rows = graph("Transpose", rows, perm=[0, 2, 1])
    kernels = first.reshape(2 * columns * turned, 1, win // columns)
    part = graph("Conv", rows, kernels, group=columns, strides=[stride])
    if frontend.options.remove_dc:
        rest = 1 - float(frontend.options.preemphasis)
        sums = graph("ReduceSum", graph("Reshape", samples, [0, 1, -1, columns]), [3], keepdims=0)
        weights = np.full((1, 1, win // columns), -rest / win)
        means = graph("Conv", sums, weights, strides=[stride])
        part = graph("Add", part, graph("MatMul", kernels.sum(2), means))
    # (B, columns x real and imaginary, bins of the first transform x T)
    part = graph("Reshape", part, graph("Concat", graph("Shape", part, end=1), [2 * columns, -1],
                                        axis=0))  # fmt: skip
    whole = graph("MatMul", second, part)
    squares = graph("Mul", whole, whole)
    power = graph("Add", graph.part(squares, 0, columns, 1), graph.part(squares, columns, None, 1))
    shape = graph("Concat", graph("Shape", part, end=1), [columns * turned, -1], axis=0)
    return graph("MatMul", _bands(frontend, columns, turned), graph("Reshape", power, shape))


def _cost(n_fft: int, win_length: int, columns: int) -> int:
    """Products for a frame; the second transform is of complex numbers."""
    bins = 2 * (n_fft // columns // 2 + 1)
    return win_length * bins + bins * 2 * columns * columns


def _emphasised(graph: Graph, frontend: FramedFrontend, samples: str) -> str:
    factor = float(frontend.options.preemphasis)
    if not factor:
        return samples
    before = graph.part(graph("Pad", samples, [0, 1, 0, 0]), 0, -1)
    return graph("Sub", samples, graph("Mul", before, factor))


def _first(frontend: FramedFrontend, columns: int, turned: int) -> _Real:
    """Weights (c, real and imaginary, bins, n) along each column, windowed and turned."""
    win = frontend.win_length
    window = frontend.exact_window().double().numpy() * float(frontend.options.scale)
    place = np.arange(win).reshape(-1, columns).T[:, None]
    angle = -2 * np.pi / frontend.n_fft * (place * np.arange(turned)[:, None])
    windowed = window.reshape(-1, columns).T[:, None]
    return np.stack([np.cos(angle) * windowed, np.sin(angle) * windowed], 1)


def _second(columns: int) -> _Real:
    """Weights (real and imaginary x c, c x real and imaginary) along each row."""
    places = np.arange(columns)
    angle = -2 * np.pi / columns * np.outer(places, places)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)]
    return np.stack(rows).reshape(2 * columns, 2 * columns)


def _bands(frontend: FramedFrontend, columns: int, turned: int) -> _Real:
    """Mel weights (n_mels, c x bins of the first transform) of what the two transforms give.

    Bins above half the rate mirror those below. Some are given twice; each then counts for half.
    """
    assert frontend.mel is not None, "columns_of has checked it"
    mel, n_fft = frontend.mel.double().numpy(), frontend.n_fft
    bins = (np.arange(turned) + n_fft // columns * np.arange(columns)[:, None]).ravel()
    bins = np.minimum(bins, n_fft - bins)
    counts = np.bincount(bins, minlength=n_fft // 2 + 1)
    weights: _Real = (mel[bins] / counts[bins, None]).T
    return weights
