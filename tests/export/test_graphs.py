"""What an exported graph leaves out, folds and chooses, held against the network as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.encoders.cnn.matchboxnet import MatchboxNetEncoder
from seqlab.export.fold import folded
from seqlab.export.joining import chosen
from seqlab.export.unmasked import without_masks
from seqlab.frontend.onnx.graph import Graph
from tests.contract.invariants import settled

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

WIDTH = 3


def network(*, masked: bool = True, of_values: bool = False) -> Any:
    """Features to the sum of their frames, and half the lengths, as torch would write it."""
    graph, kinds = Graph(18), onnx.TensorProto
    describe = onnx.helper.make_tensor_value_info
    total = graph("Squeeze", graph("Shape", "features", start=1, end=2), [0])
    valid = graph("Less", graph("Range", 0, total, 1), graph("Unsqueeze", "lengths", [1]))
    features = "features"
    if masked:
        features = graph("Where", graph("Unsqueeze", valid, [2]), "features", 0.0)
    if of_values:  # hides what is negative, which is no padding
        features = graph("Where", graph("Less", features, 0.0), 0.0, features)
    rest = graph("Cast", graph("Mod", "lengths", 2), to=kinds.BOOL)
    below = graph("And", graph("Less", "lengths", 0), rest)
    half = graph("Sub", graph("Div", "lengths", 2), graph.cast(below, "INT64"))
    graph("ReduceSum", features, [1], name="log_probs", keepdims=0)
    graph("Mul", half, 1, name="output_lengths")
    inputs = [
        describe("features", kinds.FLOAT, ["batch", "frames", WIDTH]),
        describe("lengths", kinds.INT64, ["batch"]),
    ]
    outputs = [
        describe("log_probs", kinds.FLOAT, ["batch", WIDTH]),
        describe("output_lengths", kinds.INT64, ["batch"]),
    ]
    return graph.model(inputs, outputs, {})


def run(model: Any, features: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: list[np.ndarray] = session.run(None, {"features": features, "lengths": lengths})
    return found


def made(batch: int, frames: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, frames, WIDTH)).astype(np.float32)


def test_masks_and_corrections_are_left_out() -> None:
    plain = without_masks(network(), WIDTH)
    kinds = [node.op_type for node in plain.graph.node]
    assert sorted(kinds) == ["Div", "Mul", "ReduceSum"]
    for one, other in zip(
        run(network(), made(2, 21), [21, 21]), run(plain, made(2, 21), [21, 21]), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def averaging(divisor: str) -> Any:
    """Features, as an image of one bin twice as wide, to their mean over frames and bins."""
    graph, kinds = Graph(18), onnx.TensorProto
    describe = onnx.helper.make_tensor_value_info
    total = graph("Squeeze", graph("Shape", "features", start=1, end=2), [0])
    valid = graph("Less", graph("Range", 0, total, 1), graph("Unsqueeze", "lengths", [1]))
    features = graph("Where", graph("Unsqueeze", valid, [2]), "features", 0.0)
    image = graph("Unsqueeze", graph("Transpose", features, perm=[0, 2, 1]), [2])
    bins = graph("ReduceMean", graph("Concat", image, image, axis=2), [2], keepdims=0)
    frames = graph("Transpose", bins, perm=[0, 2, 1])
    count = graph.cast(graph("Unsqueeze", graph("Max", divisor, 1), [1]), "FLOAT")
    graph("Div", graph("ReduceSum", frames, [1], keepdims=0), count, name="log_probs")
    graph("Identity", "lengths", name="output_lengths")
    inputs = [
        describe("features", kinds.FLOAT, ["batch", "frames", WIDTH]),
        describe("lengths", kinds.INT64, ["batch"]),
    ]
    outputs = [
        describe("log_probs", kinds.FLOAT, ["batch", WIDTH]),
        describe("output_lengths", kinds.INT64, ["batch"]),
    ]
    if divisor != "lengths":  # a count that is not the frames'
        graph("Add", "lengths", 1, name=divisor)
        graph._nodes.insert(0, graph._nodes.pop())
    return graph.model(inputs, outputs, {})


def test_means_over_all_frames_are_one_operator() -> None:
    plain = without_masks(averaging("lengths"), WIDTH)
    kinds = [node.op_type for node in plain.graph.node]
    assert "GlobalAveragePool" in kinds and "ReduceSum" not in kinds and "Div" not in kinds
    for one, other in zip(
        run(averaging("lengths"), made(2, 21), [21, 21]),
        run(plain, made(2, 21), [21, 21]),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    other = without_masks(averaging("more"), WIDTH)  # which the same mean would not be
    assert "Div" in [node.op_type for node in other.graph.node]


def test_what_depends_on_values_stays() -> None:
    plain = without_masks(network(of_values=True), WIDTH)
    assert [node.op_type for node in plain.graph.node].count("Where") == 1
    assert without_masks(network(masked=False, of_values=True), WIDTH) is None
    assert without_masks(network(masked=False), WIDTH) is None


def test_the_way_depends_on_lengths_and_frames() -> None:
    whole = network()
    plain = without_masks(network(), WIDTH)
    for node in plain.graph.node:  # a sign by which the way is known
        node.op_type = "ReduceMean" if node.op_type == "ReduceSum" else node.op_type
    both = chosen(plain, whole, 16)
    onnx.checker.check_model(both)
    for frames, lengths, is_plain in [
        (20, [20, 20], True), (20, [20, 19], False), (20, [3, 3], False),
        (16, [16, 16], True), (15, [15, 15], False),
    ]:  # fmt: skip
        found, counts = run(both, made(2, frames), lengths)
        model = plain if is_plain else whole
        np.testing.assert_allclose(found, run(model, made(2, frames), lengths)[0], rtol=1e-6)
        assert counts.tolist() == [length // 2 for length in lengths]


@pytest.mark.parametrize("causal", [False, True])
def test_folded_norms_change_nothing(causal: bool) -> None:
    encoder = settled(MatchboxNetEncoder(5, blocks=1, width=4, output_dim=6, causal=causal), 5)
    encoder.eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    short = folded(encoder)
    assert not any(isinstance(module, MaskedBatchNorm) for module in short.modules())
    features, lengths = torch.randn(2, 40, 5), torch.tensor([40, 17])
    with torch.inference_mode():
        for one, other in zip(encoder(features, lengths), short(features, lengths), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[name])
