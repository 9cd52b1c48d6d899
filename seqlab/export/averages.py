"""Means over time and frequency in a traced network, as the one operator that runtimes are fast at.

A masked mean is traced as a sum over frames, divided by their number. Where every frame counts it
is the mean over an image, for which there is ``GlobalAveragePool``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlab.frontend.onnx.graph import require

__all__ = ["averaged"]


def averaged(graph: Any) -> None:
    """Write sums over all frames, divided by their number, as means; in place.

    What the divisor is cannot be seen here: the caller tries the result out.

    Args:
        graph: ``onnx.GraphProto`` that masks nothing; nodes that nothing needs stay.
    """
    makers = {node.output[0]: node for node in graph.node}
    constants = {value.name: value for value in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "Div" or _maker(makers, node.input[1], "Cast") is None:
            continue
        total = _maker(makers, node.input[0], "ReduceSum")
        if total is None or not _is_over(total, constants, 1):
            continue
        frames = _maker(makers, total.input[0], "Transpose")
        if frames is None or list(frames.attribute[0].ints) != [0, 2, 1]:
            continue
        _replace(graph, node, frames.input[0], makers, constants)


def _replace(
    graph: Any, node: Any, channels: str, makers: Mapping[str, Any], constants: Mapping[str, Any]
) -> None:
    """Make a node the mean of what is (B, C, T), or of what that is a mean of."""
    bins = _maker(makers, channels, "ReduceMean")
    source = channels
    if bins is not None and _is_over(bins, constants, 2):
        source = bins.input[0]
    helper = require("onnx").helper
    pooled, place = f"{node.output[0]}_pooled", list(graph.node).index(node)
    graph.node.insert(place, helper.make_node("GlobalAveragePool", [source], [pooled], pooled))
    flat = helper.make_node("Flatten", [pooled], [node.output[0]], node.name, axis=1)
    node.CopyFrom(flat)


def _maker(makers: Mapping[str, Any], name: str, kind: str) -> Any | None:
    """The node that makes a value, if it is of a kind."""
    node = makers.get(name)
    return node if node is not None and node.op_type == kind else None


def _is_over(node: Any, constants: Mapping[str, Any], axis: int) -> bool:
    """Whether a reduction is over this axis alone, which it drops."""
    values = constants.get(node.input[1]) if len(node.input) > 1 else None
    kept = [each.i for each in node.attribute if each.name == "keepdims"]
    axes = [] if values is None else require("onnx").numpy_helper.to_array(values).ravel().tolist()
    return axes == [axis] and kept == [0]
