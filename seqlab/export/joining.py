"""ONNX graphs put together: one behind the other, or one of two by what comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seqlab.frontend.onnx.graph import Graph, require

__all__ = ["chosen", "joined"]

_PLAIN, _MASKED = "plain_", "masked_"  # what the two ways begin with


def joined(first: Any, second: Any, links: Mapping[str, str], prefix: str) -> Any:
    """Both graphs as one; ``links`` names outputs of the first, and what the second calls them.

    What is inside the first gets ``prefix``, so that no name stands for two things. Inputs of the
    same name are one input.
    """
    beyond = [value for value in first.graph.output if value.name not in links]
    kept = {value.name for value in [*first.graph.input, *beyond]}
    _rename(first.graph, lambda name: name if name in kept or not name else prefix + name)
    names = {after: prefix + before for before, after in links.items()}
    _rename(second.graph, lambda name: names.get(name, name))
    both = type(second)()
    both.CopyFrom(second)
    both.ir_version = max(first.ir_version, second.ir_version)
    parts = (both.graph.node, both.graph.initializer, both.graph.input, both.graph.output)
    for part in parts:
        del part[:]
    both.graph.node.extend([*first.graph.node, *second.graph.node])
    both.graph.initializer.extend([*first.graph.initializer, *second.graph.initializer])
    known = {*names.values(), *(value.name for value in first.graph.input)}
    own = [value for value in second.graph.input if value.name not in known]
    both.graph.input.extend([*first.graph.input, *own])
    both.graph.output.extend([*beyond, *second.graph.output])
    del both.metadata_props[:]
    del both.graph.metadata_props[:]
    return both


def chosen(plain: Any, masked: Any, least: int) -> Any:
    """A graph that goes one of two ways.

    Each has its own weights: those of an outer graph count as changing, and onnxruntime leaves
    convolutions with such weights as they are.

    Args:
        plain: For ``features`` (B, T, F), T at least ``least``, all of whose recordings have all
            frames.
        masked: For any ``lengths`` (B,), with the same inputs and outputs.
        least: Frames that ``plain`` takes at least.
    """
    helper = require("onnx").helper
    [opset] = [entry.version for entry in masked.opset_import if entry.domain == ""]
    graph = Graph(opset)
    total = graph("Shape", "features", start=1, end=2)
    complete = graph("Equal", graph("ReduceMin", "lengths", [0]), total)
    graph("And", complete, graph("GreaterOrEqual", total, [least]), name="is_plain")
    ways = {"then_branch": _way(plain, _PLAIN), "else_branch": _way(masked, _MASKED)}
    names = [value.name for value in masked.graph.output]
    result = type(masked)()
    result.CopyFrom(masked)
    for part in (result.graph.node, result.graph.initializer, result.graph.value_info):
        del part[:]
    result.graph.node.extend(graph.nodes)
    result.graph.node.append(helper.make_node("If", ["is_plain"], names, "ways", **ways))
    result.graph.initializer.extend(graph.constants)
    return result


def _way(model: Any, prefix: str) -> Any:
    """A graph as a way within another, which holds its inputs."""
    graph = type(model.graph)()
    graph.CopyFrom(model.graph)
    outer = {value.name for value in graph.input}
    _rename(graph, lambda name: name if name in outer or not name else prefix + name)
    for part in (graph.input, graph.value_info, graph.metadata_props):
        del part[:]
    graph.name = prefix + "way"
    return graph


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
