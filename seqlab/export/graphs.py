"""Traced networks and front ends put together to one ONNX graph.

The exporter that builds on ``torch.export`` is used, not the older one that follows one run: that
one takes branches as the example does and writes lengths into the graph as constants, so that
recordings of other lengths come out wrong without a word.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from seqlab.errors import ModelError
from seqlab.export.network import StreamNetwork, WholeNetwork
from seqlab.frontend.onnx.export import OPSETS, onnx_model
from seqlab.frontend.onnx.graph import Graph, require
from seqlab.frontend.onnx.stream import stream_model
from seqlab.model import SpeechModel

__all__ = ["FRONTEND", "join_stream", "join_whole", "trace_stream", "trace_whole"]

FRONTEND = "frontend_"  # what names of the front end's nodes begin with
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
        WholeNetwork(model).eval(),
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


def trace_stream(model: SpeechModel, network: StreamNetwork, frames: int, said: str) -> Any:
    """An ``onnx.ModelProto`` of a block of ``frames`` features (1, T, F) and the state's tensors.

    Raises:
        ModelError: The model cannot be traced; the message names the part.
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    features = torch.zeros(1, frames, model.frontend.output_dim)
    places = range(len(network.tensors))
    return _traced(
        model,
        network.eval(),
        (features, [tensor.clone() for tensor in network.tensors]),
        None,
        ["features", *(f"state_{place}" for place in places)],
        [said, *(f"next_state_{place}" for place in places)],
    )


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
    opset = _opset(network)
    front = onnx_model(model.frontend, opset=opset)
    front = _joined(front, _padding(model, opset), [("features", "unpadded")])
    pairs = [("features", "features"), ("feature_lengths", "lengths")]
    return _joined(front, network, pairs)


def join_stream(model: SpeechModel, network: Any, frames: int) -> Any:
    """The traced network behind its front end: a block ``waveform`` (1, n) and all states."""
    front = stream_model(model.frontend, frames, _opset(network))
    return _joined(front, network, [("features", "features")])


def _padding(model: SpeechModel, opset: int) -> Any:
    """A graph that pads features (B, T, F) to the fewest frames of the traced network."""
    onnx = require("onnx")
    graph = Graph(opset)
    missing = graph("Max", graph("Sub", [LEAST_FRAMES], graph("Shape", "unpadded", start=1, end=2)),
                    [0])  # fmt: skip
    pads = graph("Concat", [0, 0, 0, 0], missing, [0], axis=0)
    graph("Pad", "unpadded", pads, name="features")
    describe, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    shape = ["batch", "frames", model.frontend.output_dim]
    inputs = [describe("unpadded", kind, shape)]
    return graph.model(inputs, [describe("features", kind, ["batch", "padded", shape[2]])], {})


def _joined(first: Any, second: Any, pairs: list[tuple[str, str]]) -> Any:
    """Both graphs as one, in which outputs of the first are inputs of the second.

    What is inside the first gets a prefix, so that no name stands for two things.
    """
    passed = {name for name, _ in pairs}
    beyond = [value for value in first.graph.output if value.name not in passed]
    kept = {value.name for value in [*first.graph.input, *beyond]}
    _rename(first.graph, lambda name: name if name in kept or not name else FRONTEND + name)
    links = {after: FRONTEND + before for before, after in pairs}
    _rename(second.graph, lambda name: links.get(name, name))
    joined = type(second)()
    joined.CopyFrom(second)
    joined.ir_version = max(first.ir_version, second.ir_version)
    parts = (joined.graph.node, joined.graph.initializer, joined.graph.input, joined.graph.output)
    for part in parts:
        del part[:]
    inside = set(links.values())
    joined.graph.node.extend([*first.graph.node, *second.graph.node])
    joined.graph.initializer.extend([*first.graph.initializer, *second.graph.initializer])
    own = [value for value in second.graph.input if value.name not in inside]
    joined.graph.input.extend([*first.graph.input, *own])
    joined.graph.output.extend([*beyond, *second.graph.output])
    del joined.metadata_props[:]
    del joined.graph.metadata_props[:]
    return joined


def _rename(graph: Any, new: Callable[[str], str]) -> None:
    """Give every value of a graph, and of those within its nodes, another name."""
    for group in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in group:
            value.name = new(value.name)
    for place, node in enumerate(graph.node):
        for names in (node.input, node.output):
            names[:] = [new(name) for name in names]
        node.name = new(node.name or f"node_{place}")
        del node.metadata_props[:]  # where in Python a node comes from
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, new)


def _opset(network: Any) -> int:
    [version] = [entry.version for entry in network.opset_import if entry.domain == ""]
    if version not in OPSETS:
        raise ModelError(f"torch writes ONNX operators of version {version}, must be 18 to 21")
    return int(version)
