"""Rows to features of a framed front end, as nodes of an ONNX graph."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.mfcc import MFCC
from seqlab.frontend.onnx.graph import Graph
from seqlab.frontend.plp import PLP
from seqlab.frontend.spectrogram import Spectrogram


def limit_range(graph: Graph, rows: str, valid: str, dynamic_range: float) -> str:
    """``spectrum.limit_range`` of rows (B, T, F), where ``valid`` (B, T, 1) marks real frames."""
    used = graph("And", valid, graph("Not", graph("IsNaN", rows)))
    highest = graph("ReduceMax", graph("Where", used, rows, -math.inf), [2])
    highest = graph("ReduceMax", highest, [1])
    return graph("Max", rows, graph("Sub", highest, float(dynamic_range)))


def add_deltas(graph: Graph, frontend: FramedFrontend, features: str, counts: str) -> str:
    """``cepstrum.add_deltas`` of features (B, T, F) of ``counts`` frames (B,)."""
    options = frontend.options
    slope = np.arange(-options.delta_window, options.delta_window + 1) / 1.0
    slope /= (slope**2).sum()
    orders, weights = [features], np.ones(1)
    for _ in range(options.delta_order):
        if options.delta_method == "htk":
            orders.append(_regress(graph, orders[-1], counts, slope))
        else:
            weights = np.convolve(weights, slope)
            orders.append(_regress(graph, features, counts, weights))
    return graph("Concat", *orders, axis=-1) if len(orders) > 1 else features


def _regress(graph: Graph, features: str, counts: str, weights: NDArray[np.float64]) -> str:
    """Weighted sum over neighbouring frames; the end frames of an utterance stand beyond it."""
    reach = len(weights) // 2
    total = graph("Squeeze", graph("Shape", features, start=1, end=2), [0])
    frame = graph("Range", -reach, graph("Add", total, reach), 1)
    last = graph("Max", graph("Sub", counts, 1), 0)
    index = graph("Min", graph("Max", frame, 0), graph("Unsqueeze", last, [1]))
    index = graph("Unsqueeze", index, [2])
    extended = graph("GatherND", features, index, batch_dims=1)
    terms = []
    for place, weight in enumerate(weights.tolist()):
        if weight:
            to_go = 2 * reach - place
            part = graph.part(extended, place, -to_go if to_go else None, axis=1)
            terms.append(graph("Mul", part, float(weight)))
    return graph("Sum", *terms)


def finish(graph: Graph, frontend: FramedFrontend, rows: str) -> str:
    """Static features (B, T, static_dim) of rows (B, T, row_dim); ``FramedFrontend.finish``.

    Raises:
        SeqlabError: the front end finishes its rows in a way that is not known here.
    """
    how = type(frontend).finish
    if how in (LogMel.finish, Spectrogram.finish):
        return rows
    if isinstance(frontend, MFCC) and how is MFCC.finish:
        return _mfcc(graph, frontend, rows)
    if isinstance(frontend, PLP) and how is PLP.finish:
        return _plp(graph, frontend, rows)
    raise SeqlabError(
        f"{type(frontend).__name__} overrides finish, and only those of LogMel, MFCC, PLP and "
        "Spectrogram can be exported to ONNX; export one of these, or leave the last step to the "
        "network"
    )


def _mfcc(graph: Graph, frontend: MFCC, rows: str) -> str:
    matrix = frontend.cepstra
    if frontend.options.energy == "none":
        if frontend.c0_position == "last":
            matrix = matrix.roll(-1, 1)
        return graph("MatMul", rows, matrix)
    rest = graph("MatMul", graph.part(rows, 1, None), matrix[:, 1:])
    return _with_first(graph, graph.part(rows, 0, 1), rest, frontend.c0_position)


def _with_first(graph: Graph, c0: str, rest: str, position: str) -> str:
    return graph("Concat", *([c0, rest] if position == "first" else [rest, c0]), axis=-1)


def _plp(graph: Graph, frontend: PLP, rows: str) -> str:
    options = frontend.options
    energy = None
    if options.energy != "none":
        energy, rows = graph.part(rows, 0, 1), graph.part(rows, 1, None)
    bands = _expand(graph, rows, options.compression, options.power)
    loudness = graph("Log", graph("Max", bands, float(options.floor)))
    loudness = graph("Add", loudness, frontend.log_weights)
    loud = graph("Exp", graph("Mul", loudness, float(frontend.compress_factor)))
    lags = graph("MatMul", loud, frontend.cosines)
    predictor, error = _levinson_durbin(graph, lags, frontend.cosines.shape[1] - 1)
    c0 = graph("Log", graph("Max", error, float(torch.finfo(torch.float32).tiny)))
    scales = frontend.scales
    if frontend.n_plp == 1:
        return energy or graph("Mul", c0, scales)
    rest = _cepstrum(graph, predictor, frontend.cosines.shape[1] - 1, frontend.n_plp - 1)
    rest = graph("Mul", rest, scales[1:])
    return _with_first(graph, energy or graph("Mul", c0, scales[:1]), rest, frontend.c0_position)


def _expand(graph: Graph, values: str, kind: str, power: float) -> str:
    """``spectrum.expand``."""
    if kind == "none":
        return values
    if kind == "whisper":
        values = graph("Sub", graph("Mul", values, 4.0), 4.0)
    factor = {"log": 1.0, "db": power / 20 * math.log(10)}.get(kind, math.log(10))
    return graph("Exp", graph("Mul", values, factor))


def _levinson_durbin(graph: Graph, lags: str, order: int) -> tuple[str, str]:
    """Coefficients (B, T, order), without the leading 1, and error (B, T, 1)."""
    lag = [graph.part(lags, k, k + 1) for k in range(order + 1)]
    error = lag[0]
    least = graph("Mul", graph("Abs", error), float(torch.finfo(torch.float32).eps))
    coefficients = ""
    for k in range(1, order + 1):
        correlation, turned = lag[k], ""
        if k > 1:
            turned = graph.part(coefficients, -1, None, step=-1)
            products = graph("Mul", turned, graph.part(lags, 1, k))
            correlation = graph("Add", correlation, graph("ReduceSum", products, [-1]))
        spent = graph("LessOrEqual", error, least)
        reflection = graph("Div", graph("Neg", correlation), graph("Where", spent, 1.0, error))
        reflection = graph("Where", spent, 0.0, graph("Max", graph("Min", reflection, 1.0), -1.0))
        if k > 1:
            raised = graph("Add", coefficients, graph("Mul", reflection, turned))
            coefficients = graph("Concat", raised, reflection, axis=-1)
        else:
            coefficients = reflection
        shrink = graph("Sub", 1.0, graph("Mul", reflection, reflection))
        error = graph("Mul", error, shrink)
    return coefficients, error


def _cepstrum(graph: Graph, predictor: str, order: int, count: int) -> str:
    """Cepstra (B, T, count) from c[1] on; ``linear_prediction.lpc_to_cepstrum``."""
    cepstra = ""
    for n in range(1, count + 1):
        terms = []
        if n <= order:
            terms.append(graph("Mul", graph.part(predictor, n - 1, n), float(n)))
        reach = min(n - 1, order)
        if reach:
            # (n - i) a[i] c[n - i] for i from 1 to reach
            known = graph.part(
                cepstra, n - 2, n - 2 - reach if n - 2 - reach >= 0 else None, step=-1
            )
            weights = np.arange(n - 1, n - 1 - reach, -1, dtype=np.float32)
            products = graph("Mul", graph("Mul", graph.part(predictor, 0, reach), known), weights)
            terms.append(graph("ReduceSum", products, [-1]))
        total = graph("Div", graph("Sum", *terms), float(-n))
        cepstra = total if n == 1 else graph("Concat", cepstra, total, axis=-1)
    return cepstra
