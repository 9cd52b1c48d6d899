"""A front end that follows a stream, as an ONNX model with its state as input and output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend.framing import source_index
from seqlab.frontend.onnx.cepstra import finish
from seqlab.frontend.onnx.export import check_frontend
from seqlab.frontend.onnx.graph import Graph, require
from seqlab.frontend.onnx.rows import analyse


@dataclass(frozen=True)
class StreamStart:
    """How a stream of samples begins.

    Args:
        padding: What stands before the first sample: numbers of the samples that are copied, or
            -1 for zeros.
        lead: Samples of the sound thus lengthened that a frame reads before its own hop; they are
            the first state.
    """

    padding: tuple[int, ...]
    lead: int


def stream_start(frontend: Frontend) -> StreamStart:
    """How a stream of this front end begins.

    Raises:
        SeqlabError: it cannot be exported for streams.
    """
    framed = check_frontend(frontend)
    name, options, layout = type(framed).__name__, framed.options, framed.layout
    if not framed.can_stream:
        raise SeqlabError(
            f"dynamic_range={options.dynamic_range} of {name} needs the whole utterance, so it "
            "cannot be exported for streams; set dynamic_range=None"
        )
    lead = layout.win_length - layout.hop_length
    if lead < 0 or layout.left < 0:
        raise SeqlabError(
            f"win_length={layout.win_length} of {name} must be at least hop_length="
            f"{layout.hop_length} to be exported for streams; lengthen the window"
        )
    position = torch.arange(-layout.left, 0)
    # Mirrored ends need as many samples as they mirror, which the first block holds.
    length = torch.tensor([layout.left + 1])
    places = source_index(position, length, layout.edges)[0] if layout.left else position
    padding = [-1] * layout.left if layout.edges == "zero" else places.tolist()
    return StreamStart(tuple(padding), lead)


def stream_model(frontend: Frontend, frames: int, opset: int, double: bool = True) -> Any:
    """An ``onnx.ModelProto`` that gives ``frames`` frames for every block of samples.

    It maps ``waveform`` (1, frames * hop_length) and ``samples`` (1, lead) to ``features``
    (1, frames, F), static ones before deltas, and ``next_samples`` (1, lead). ``stream_start``
    says what the first state is.

    Args:
        frontend: ``LogMel``, ``MFCC``, ``PLP`` or ``Spectrogram``, without dither.
        frames: in a block, at least 1.
        opset: version of the ONNX operators, 18 to 21.
        double: see ``export_onnx``.

    Raises:
        MissingDependencyError: onnx is not installed.
        SeqlabError: the front end, or one of its settings, cannot be exported for streams.
    """
    framed, lead = check_frontend(frontend), stream_start(frontend).lead
    hop = framed.hop_length
    graph = Graph(opset)
    every = graph("Concat", "samples", "waveform", axis=1) if lead else "waveform"
    if lead:
        graph("Slice", every, [frames * hop], [frames * hop + lead], [1], name="next_samples")
    rows = analyse(graph, framed, every, lead + frames * hop, frames, fft=False, double=double)
    graph("Identity", finish(graph, framed, rows), name="features")
    onnx = require("onnx")
    describe, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    inputs = [describe("waveform", kind, [1, frames * hop])]
    outputs = [describe("features", kind, [1, frames, framed.static_dim])]
    if lead:
        inputs.append(describe("samples", kind, [1, lead]))
        outputs.append(describe("next_samples", kind, [1, lead]))
    return graph.model(inputs, outputs, {})
