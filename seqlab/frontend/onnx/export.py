"""Front ends as ONNX models, for onnxruntime and devices without torch."""

from __future__ import annotations

import copy
import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqlab.checks import check_choice
from seqlab.contracts import Frontend
from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.onnx.cepstra import add_deltas, finish, limit_range
from seqlab.frontend.onnx.graph import Graph, require
from seqlab.frontend.onnx.rows import KNOWN_EDGES, analyse, count_frames, cut_samples

OPSETS = range(18, 22)
WAVEFORM_TYPES = {
    torch.float32: "FLOAT",
    torch.float64: "DOUBLE",
    torch.float16: "FLOAT16",
    torch.bfloat16: "BFLOAT16",
    torch.int16: "INT16",
}


def export_onnx(
    frontend: Frontend,
    path: str | os.PathLike[str],
    *,
    fft: bool = False,
    opset: int = 18,
    waveform_type: torch.dtype = torch.float32,
    lengths: bool = True,
    double: bool = True,
) -> None:
    """Write a front end as an ONNX model, checked against the front end itself.

    Use it where features are computed without torch: in onnxruntime, on phones, in browsers. The
    model maps ``waveform`` (B, N) and ``lengths`` (B,), int64, to ``features`` (B, T, F), float32,
    zero beyond ``feature_lengths`` (B,). B, at least 1, and N are free in every call. Metadata name
    the front end and its settings. All frames are held in memory, about 20 kB each, so cut
    recordings of many minutes.

    Args:
        frontend: ``LogMel``, ``MFCC``, ``PLP`` or ``Spectrogram``, without dither.
        path: file to write; it is replaced only once the new one is complete.
        fft: use ONNX's DFT operator, which not every runtime has. Without it the transform is two
            matrix products, in onnxruntime the faster way for frames of common length.
        opset: version of the ONNX operators, 18 to 21.
        waveform_type: what the model takes: torch.float32, float64, float16, bfloat16, or int16 of
            full scale. All are brought to float32.
        lengths: take lengths as an input; False: every waveform counts in full.
        double: compute the spectrum in float64, as the front end does on a CPU, so that the model
            gives the same within 1e-4 (log-mel bands: 1e-5). False for runtimes and accelerators
            that have float32 alone, and for networks, which do not mind: three times as fast
            where window, hop and transform share a factor, and off by up to 2e-3 where speech is
            silent.

    Raises:
        MissingDependencyError: onnx or onnxruntime is not installed.
        SeqlabError: the front end, or one of its settings, cannot be exported.

    Example:
        >>> from seqlab.frontend.logmel import LogMel
        >>> path = Path(tempfile.mkdtemp()) / "logmel.onnx"
        >>> export_onnx(LogMel(), path)
        >>> path.stat().st_size < 1_000_000
        True
    """
    model = onnx_model(
        frontend,
        fft=fft,
        opset=opset,
        waveform_type=waveform_type,
        lengths=lengths,
        double=double,
    )
    content = model.SerializeToString()
    _check_equal(frontend, content, waveform_type, lengths)
    _write(content, Path(path))


def onnx_model(
    frontend: Frontend,
    *,
    fft: bool = False,
    opset: int = 18,
    waveform_type: torch.dtype = torch.float32,
    lengths: bool = True,
    double: bool = True,
    cleared: bool = True,
) -> Any:
    """A front end as an ``onnx.ModelProto``, for ``onnx.compose`` to put before a network.

    Arguments and errors are those of ``export_onnx``. With ``cleared=False`` features beyond
    ``feature_lengths`` are anything at all, for a network that clears them itself, and T is at
    least 1.
    """
    check_choice("opset", opset, OPSETS)
    check_choice("waveform_type", waveform_type, WAVEFORM_TYPES)
    framed = check_frontend(frontend)
    graph = Graph(opset)
    options, layout = framed.options, framed.layout
    samples = graph.cast("waveform", "FLOAT")
    if not waveform_type.is_floating_point:
        samples = graph("Mul", samples, 1 / 32768)
    used = _lengths(graph, lengths)
    counts = graph("Identity", count_frames(graph, layout, used), name="feature_lengths")
    longest = graph("ReduceMax", counts, [0])
    # At least one frame is computed, for onnxruntime gets shapes without elements wrong.
    total = graph("Squeeze", graph("Max", longest, 1), [0])
    lead = layout.win_length - layout.hop_length
    span = graph("Add", graph("Mul", total, layout.hop_length), lead)
    samples = cut_samples(graph, layout, samples, used, span)
    rows = analyse(graph, framed, samples, span, total, fft=fft, double=double)
    if options.dynamic_range is not None:
        rows = limit_range(graph, rows, _valid(graph, counts, total), options.dynamic_range)
    features = add_deltas(graph, framed, finish(graph, framed, rows), counts)
    if cleared:
        features = graph("Where", _valid(graph, counts, total), features, 0.0)
        features = graph("Slice", features, [0], longest, [1])
    graph("Identity", features, name="features")
    return graph.model(*_interface(framed, waveform_type, lengths), _facts(framed))


def check_frontend(frontend: Frontend) -> FramedFrontend:
    """The front end, if its computation is known here."""
    name = type(frontend).__name__
    if not isinstance(frontend, FramedFrontend):
        raise SeqlabError(
            f"{name} cannot be exported to ONNX; export LogMel, MFCC, PLP or Spectrogram, or a "
            "front end derived from one of them"
        )
    if frontend.options.dither:
        raise SeqlabError(
            f"dither={frontend.options.dither} of {name} cannot be exported to ONNX, for the noise "
            "differs from sample to sample; set dither=0, as is common outside training"
        )
    check_choice("edges", frontend.options.edges, KNOWN_EDGES)
    return frontend


def _lengths(graph: Graph, given: bool) -> str:
    """Lengths (B,) within the waveform."""
    longest = graph("Shape", "waveform", start=1, end=2)
    if given:
        return graph("Max", graph("Min", "lengths", longest), 0)
    return graph("Expand", longest, graph("Shape", "waveform", end=1))


def _valid(graph: Graph, counts: str, total: str) -> str:
    """Mask (B, T, 1) of real frames."""
    frame = graph("Unsqueeze", graph("Range", 0, total, 1), [0])
    return graph("Unsqueeze", graph("Less", frame, graph("Unsqueeze", counts, [1])), [2])


def _interface(
    frontend: FramedFrontend, waveform_type: torch.dtype, lengths: bool
) -> tuple[list[Any], list[Any]]:
    onnx = require("onnx")
    describe, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    kind = getattr(kinds, WAVEFORM_TYPES[waveform_type])
    inputs = [describe("waveform", kind, ["batch", "samples"])]
    if lengths:
        inputs.append(describe("lengths", kinds.INT64, ["batch"]))
    shape = ["batch", "frames", frontend.output_dim]
    features = describe("features", kinds.FLOAT, shape)
    return inputs, [features, describe("feature_lengths", kinds.INT64, ["batch"])]


def _facts(frontend: FramedFrontend) -> dict[str, str]:
    return {
        "frontend": f"{type(frontend).__module__}.{type(frontend).__qualname__}",
        "sample_rate": str(frontend.sample_rate),
        "hop_length": str(frontend.hop_length),
        "output_dim": str(frontend.output_dim),
        "settings": repr(frontend.options),
        "seqlab_version": importlib.metadata.version("seqlab"),
    }


def _check_equal(
    frontend: Frontend, content: bytes, waveform_type: torch.dtype, lengths: bool
) -> None:
    """Run the model once: what a subclass changed unnoticed must not reach a product."""
    if waveform_type == torch.bfloat16:
        return  # NumPy, and so onnxruntime's interface to Python, has no such numbers
    samples = 3 * frontend.sample_rate // 4
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(0)) / 10
    full = 1 if waveform_type.is_floating_point else 32767
    waveform = (noise.clamp(-1, 1) * full).to(waveform_type)
    counts = torch.tensor([samples, samples // 2 if lengths else samples])
    with torch.no_grad():
        expected, _ = copy.deepcopy(frontend).cpu().float()(waveform, counts)
    found = _run(content, waveform.numpy(), counts.numpy() if lengths else None)
    error = np.inf
    if found.shape == tuple(expected.shape):
        # Single bins may hold nothing but rounding errors; no frame and no feature does.
        difference = np.abs(found - expected.numpy())
        error = max(np.median(difference, axis).max() for axis in ((0, 1), 2))
    allowed = 1e-3 * (1 + float(expected.abs().max()))
    if not error <= allowed:
        raise SeqlabError(
            f"the ONNX model differs from {type(frontend).__name__} by {error:.3g}, must be below "
            f"{allowed:.3g}; a subclass that changes what LogMel, MFCC, PLP or Spectrogram compute "
            "cannot be exported"
        )


def _run(content: bytes, waveform: NDArray[Any], lengths: NDArray[Any] | None) -> NDArray[Any]:
    session = require("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = {"waveform": waveform} | ({} if lengths is None else {"lengths": lengths})
    features: NDArray[Any] = session.run(["features"], inputs)[0]
    return features


def _write(content: bytes, path: Path) -> None:
    """Put a file in its place once it is complete."""
    if not path.parent.is_dir():
        raise SeqlabError(f"{path} cannot be written, no such folder; make {path.parent} first")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
