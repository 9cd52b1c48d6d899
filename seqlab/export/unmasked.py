"""A traced network without what it does about padding, for recordings of equal length.

Most recordings come alone, and then no mask hides anything. A small network spends more time on
its masks than on its convolutions, so an exported graph holds both, and chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqlab.deploy.sessions import Array, require_runtime
from seqlab.export.averages import averaged
from seqlab.frontend.onnx.graph import require

__all__ = ["without_masks"]

_FRAMES = (*range(16, 49), 98, 99, 197, 301)  # at which a mask must hide nothing to be left out
_EQUAL = 1e-5


def without_masks(network: Any, width: int) -> Any | None:
    """The network for recordings as long as their features are; None if it masks nothing.

    A mask is a ``Where`` whose condition is the same everywhere and for any number of frames, as
    long as every recording has all of them. Which ones are is tried out, and so is the result.

    Args:
        network: ``onnx.ModelProto`` of ``features`` (B, T, F) and ``lengths`` (B,).
        width: F.
    """
    nodes = {node.output[0]: node for node in network.graph.node}
    masks = [node for node in nodes.values() if node.op_type == "Where"]
    rounded = _rounded_down(nodes)
    conditions = {node.input[0] for node in masks} | set(rounded.values())
    constant = _constants(network, sorted(conditions), width) if masks else {}
    passed = {
        node.output[0]: node.input[1 if constant[node.input[0]] else 2]
        for node in masks
        if node.input[0] in constant
    }
    if not passed:
        return None
    for name, condition in rounded.items():
        if constant.get(condition) is False:
            passed[name] = nodes[name].input[0]
    plain = _passing(network, passed)
    quick = _copy(plain)
    averaged(quick.graph)
    _keep(quick.graph, list(quick.graph.node))
    return next((each for each in (quick, plain) if _same(network, each, width)), None)


def _passing(network: Any, passed: Mapping[str, str]) -> Any:
    """The network with other values in place of some; outputs keep their names."""
    outputs = {value.name for value in network.graph.output}
    plain, left = _copy(network), []
    for node in plain.graph.node:
        name = node.output[0]
        if name in passed and name not in outputs:
            continue
        if name in passed:
            node.CopyFrom(require("onnx").helper.make_node("Identity", [passed[name]], [name]))
        for place, taken in enumerate(node.input):
            while taken in passed:
                taken = passed[taken]
            node.input[place] = taken
        left.append(node)
    _keep(plain.graph, left)
    return plain


def _rounded_down(nodes: Mapping[str, Any]) -> dict[str, str]:
    """Quotients of lengths, and the condition on which one is taken off.

    ONNX divides towards zero; torch writes ``//`` as a division that is put right below zero.
    """
    found = {}
    for name, node in nodes.items():
        casts = [nodes.get(each) for each in node.input[1:]] if node.op_type == "Sub" else []
        if casts and casts[0] is not None and casts[0].op_type == "Cast":
            below = nodes.get(casts[0].input[0])
            if below is not None and below.op_type == "And":
                found[name] = below.output[0]
    return found


def _constants(network: Any, names: Sequence[str], width: int) -> dict[str, bool]:
    """Of these conditions those that are the same everywhere, where recordings have all frames."""
    probe = _copy(network)
    del probe.graph.output[:]
    for name in names:
        probe.graph.output.append(require("onnx").helper.make_empty_tensor_value_info(name))
    seen: dict[str, set[bool]] = {name: set() for name in names}
    session = _session(probe)
    feeds = [_feed(frames, width) for frames in _FRAMES]
    for broken in (np.nan, np.inf):  # what looks at values is no mask
        feeds.append(_feed(40, width))
        feeds[-1]["features"][0, 7, 0] = broken
    for feed in feeds:
        for name, value in zip(names, session.run(names, feed), strict=True):
            seen[name].update(np.unique(value).tolist())
    return {name: values.pop() for name, values in seen.items() if len(values) == 1}


def _keep(graph: Any, nodes: Sequence[Any]) -> None:
    """Leave in a graph those of ``nodes``, and of its constants, that its outputs need."""
    needed, used = {value.name for value in graph.output}, []
    for node in reversed(nodes):
        if needed & set(node.output):
            used.append(node)
            needed |= set(node.input)
    values = [value for value in graph.initializer if value.name in needed]
    for part, kept in ((graph.node, used[::-1]), (graph.initializer, values)):
        copies = [_copy(each) for each in kept]
        del part[:]
        part.extend(copies)
    del graph.value_info[:]


def _same(network: Any, plain: Any, width: int) -> bool:
    """Whether both give the same for recordings that have all frames."""
    sessions = [_session(network), _session(plain)]
    for frames in (*range(16, 25), 33, 98, 197):
        expected, found = (each.run(None, _feed(frames, width)) for each in sessions)
        for one, other in zip(expected, found, strict=True):
            if one.shape != other.shape or not np.allclose(one, other, rtol=0, atol=_EQUAL):
                return False
    return True


def _feed(frames: int, width: int) -> dict[str, Array]:
    features = np.random.default_rng(frames).standard_normal((2, frames, width))
    return {"features": features.astype(np.float32), "lengths": np.array([frames, frames])}


def _session(network: Any) -> Any:
    runtime = require_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = network.SerializeToString()
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied
