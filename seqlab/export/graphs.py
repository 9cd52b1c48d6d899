"""Traced networks and front ends put together to one ONNX graph.

The exporter that builds on ``torch.export`` is used, not the older one that follows one run: that
one takes branches as the example does and writes lengths into the graph as constants, so that
recordings of other lengths come out wrong without a word.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from seqlab.errors import ModelError
from seqlab.export.fold import folded
from seqlab.export.joining import chosen, joined
from seqlab.export.network import StartNetwork, WholeNetwork
from seqlab.export.plan import StreamPlan
from seqlab.export.unmasked import without_masks
from seqlab.frontend.onnx.export import OPSETS, check_frontend, onnx_model
from seqlab.frontend.onnx.graph import Graph, require
from seqlab.frontend.onnx.radix import columns_of
from seqlab.frontend.onnx.stream import stream_model
from seqlab.model import SpeechModel

__all__ = ["FRONTEND", "join_stream", "join_whole", "trace_start", "trace_stream", "trace_whole"]

FRONTEND = "frontend_"  # what names of the front end's nodes begin with
_TWICE = 2**24  # bytes of a network that an export may hold twice, with masks and without
LEAST_FRAMES = 16  # that the traced network is given; shorter recordings are padded


def trace_whole(model: SpeechModel) -> Any:
    """An ``onnx.ModelProto`` of features (B, T, F) and lengths (B,), both of any size.

    Raises:
        ModelError: The model cannot be traced; the message names the part.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    width = model.frontend.output_dim
    features, lengths = torch.zeros(2, 4 * LEAST_FRAMES, width), torch.tensor([64, 40])
    batch = torch.export.Dim("batch", max=4096)
    frames = torch.export.Dim("frames", min=LEAST_FRAMES, max=2**20)
    network = _traced(
        model,
        folded(WholeNetwork(model).eval()),
        (features, lengths),
        ({0: batch, 1: frames}, {0: batch}),
        ["features", "lengths"],
        ["log_probs", "output_lengths"],
    )
    sizes = [v.type.tensor_type.shape.dim for v in network.graph.input]
    if not all(size.dim_param for size in (sizes[0][0], sizes[0][1], sizes[1][0])):
        raise ModelError(
            f"{_names(model)} cannot be exported to ONNX: its graph fits one number of recordings "
            "or frames alone"
        )
    return network


def trace_stream(model: SpeechModel, plan: StreamPlan, said: str) -> Any:
    """An ``onnx.ModelProto`` of a block of static features (1, T, F) and the state's tensors.

    Raises:
        ModelError: The model cannot be traced; the message names the part.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    features = torch.zeros(1, plan.frames, check_frontend(model.frontend).static_dim)
    tensors = [tensor.clone() for tensor in plan.network.tensors]
    example: tuple[Any, ...] = (features, tensors)
    names = ["features", *(f"state_{place}" for place in range(len(tensors)))]
    if plan.first:
        example, names = (*example, torch.full((1,), plan.frames)), [*names, "frames"]
    network = folded(plan.network.eval())
    return _traced(model, network, example, None, names, _stream_outputs(plan, said))


def trace_start(model: SpeechModel, plan: StreamPlan, said: str) -> Any:
    """An ``onnx.ModelProto`` of the first block of static features (1, T, F), where it is longer.

    Raises:
        ModelError: The model cannot be traced; the message names the part.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    features = torch.zeros(1, plan.first, check_frontend(model.frontend).static_dim)
    network = folded(StartNetwork(plan.network).eval())
    example = (features, torch.full((1,), plan.first))
    names = ["features", "frames"]
    return _traced(model, network, example, None, names, _stream_outputs(plan, said))


def _stream_outputs(plan: StreamPlan, said: str) -> list[str]:
    return [said, *(f"next_state_{place}" for place in range(len(plan.network.tensors)))]


def _traced(
    model: SpeechModel,
    network: nn.Module,
    example: tuple[Any, ...],
    shapes: Any,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Any:
    require("onnx")
    require("onnxscript")
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=list(inputs),
                output_names=list(outputs),
                verbose=False,
            )
    except Exception as error:  # torch raises whatever comes to it
        raise ModelError(f"{_names(model)} cannot be exported to ONNX: {_reason(error)}") from error
    assert program is not None, "dynamo=True returns a program"
    return program.model_proto


def _names(model: SpeechModel) -> str:
    parts = (model.normalizer, model.encoder, model.head)
    return ", ".join(type(part).__name__ for part in parts if part is not None)


def _reason(error: BaseException) -> str:
    """The innermost cause on one line: torch wraps it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A block in which torch's exporter says nothing: neither warnings nor its log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def join_whole(model: SpeechModel, network: Any) -> Any:
    """The traced network behind its front end: ``waveform`` (B, N) and ``lengths`` (B,)."""
    opset, double = _opset(network), _needs_double(model)
    front = onnx_model(model.frontend, opset=opset, double=double, cleared=False)
    small = network.ByteSize() <= _TWICE
    plain = without_masks(network, model.frontend.output_dim) if small else None
    network = joined(_cleared(model, opset), network, {"cleared": "features"}, "cleared_")
    if plain is not None:
        network = chosen(plain, network, LEAST_FRAMES)
    links = {"features": "features", "feature_lengths": "lengths"}
    return joined(front, network, links, FRONTEND)


def join_stream(model: SpeechModel, network: Any, frames: int) -> Any:
    """The traced network behind its front end: a block ``waveform`` (1, n) and all states."""
    front = stream_model(model.frontend, frames, _opset(network), _needs_double(model))
    return joined(front, network, {"features": "features"}, FRONTEND)


def _needs_double(model: SpeechModel) -> bool:
    """Whether the spectrum is computed in float64: in float32 only short transforms are exact."""
    return columns_of(check_frontend(model.frontend)) is None


def _cleared(model: SpeechModel, opset: int) -> Any:
    """A graph that clears what lies beyond ``lengths`` of features (B, T, F).

    It also pads them to the fewest frames of the traced network.
    """
    onnx = require("onnx")
    graph = Graph(opset)
    total = graph("Shape", "features", start=1, end=2)
    frame = graph("Range", 0, graph("Squeeze", total, [0]), 1)
    valid = graph("Less", frame, graph("Unsqueeze", "lengths", [1]))
    features = graph("Where", graph("Unsqueeze", valid, [2]), "features", 0.0)
    missing = graph("Max", graph("Sub", [LEAST_FRAMES], total), [0])
    pads = graph("Concat", [0, 0, 0, 0], missing, [0], axis=0)
    graph("Pad", features, pads, name="cleared")
    describe, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    shape = ["batch", "frames", model.frontend.output_dim]
    inputs = [
        describe("features", kinds.FLOAT, shape),
        describe("lengths", kinds.INT64, shape[:1]),
    ]
    result = describe("cleared", kinds.FLOAT, ["batch", "padded", shape[2]])
    return graph.model(inputs, [result], {})


def _opset(network: Any) -> int:
    [version] = [entry.version for entry in network.opset_import if entry.domain == ""]
    if version not in OPSETS:
        raise ModelError(f"torch writes ONNX operators of version {version}, must be 18 to 21")
    return int(version)
