"""Encoders are traced whole: no branch depends on values, only on shapes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqlab.contracts import Encoder
from seqlab.encoders.conformer import ConformerEncoder
from seqlab.encoders.crnn import CRNNEncoder
from seqlab.encoders.e_branchformer import EBranchformerEncoder
from seqlab.encoders.tdnn import TDNNEncoder
from seqlab.encoders.transformer import TransformerEncoder
from tests.contract.invariants import noise, settled

ENCODERS: dict[str, Encoder] = {
    "transformer": TransformerEncoder(7, 8, 1, 2),
    "conformer in chunks": ConformerEncoder(7, 8, 1, 2, chunk_frames=3, left_chunks=1),
    "e-branchformer": EBranchformerEncoder(7, 8, 1, 2),
    "tdnn": TDNNEncoder(7, 8, bottleneck_dim=4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_compiled_in_one_graph(name):
    encoder = settled(ENCODERS[name], 7)
    compiled = torch.compile(encoder, backend="eager", fullgraph=True, dynamic=True)
    for lengths in ([40, 21], [33, 33, 5]):
        features, counts = noise(len(lengths), max(lengths), 7), torch.tensor(lengths)
        with torch.no_grad():
            torch.testing.assert_close(compiled(features, counts)[0], encoder(features, counts)[0])


@pytest.mark.slow
def test_recurrence_that_looks_back_can_be_traced():
    encoder = settled(CRNNEncoder(7, (4,), (2,), (2,), hidden_dim=8, bidirectional=False), 7)
    features, lengths = noise(2, 40, 7), torch.tensor([40, 21])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's LSTM assigns tensors while it is traced
        traced = torch.export.export(encoder, (features, lengths)).module()
    with torch.no_grad():
        for one, other in zip(traced(features, lengths), encoder(features, lengths), strict=True):
            torch.testing.assert_close(one, other)


def exported(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, shapes=None):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        program.save(path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*tensors: Tensor) -> list[Tensor]:
        feed = {name: value.numpy() for name, value in zip(names, tensors, strict=True)}
        return [torch.from_numpy(value) for value in session.run(None, feed)]

    return run


@pytest.mark.slow
def test_onnx_of_any_length_gives_the_same(tmp_path):
    encoder = settled(ConformerEncoder(7, 8, 1, 2), 7)
    batch, frames = torch.export.Dim("batch", max=64), torch.export.Dim("frames", min=2, max=4000)
    inputs = (noise(2, 40, 7), torch.tensor([40, 21]))
    run = exported(encoder, inputs, tmp_path / "e.onnx", ({0: batch, 1: frames}, {0: batch}))
    features, lengths = noise(3, 75, 7), torch.tensor([75, 30, 51])
    with torch.no_grad():
        for one, other in zip(run(features, lengths), encoder(features, lengths), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class _OneChunk(nn.Module):
    """A step of a stream that has gone on for a while, by tensors alone."""

    def __init__(self, encoder: Encoder, state) -> None:
        super().__init__()
        self.encoder, self.state = encoder, state

    def forward(self, features: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        tails, rest = tuple(tensors[:2]), tensors[2:]
        state = self.state._replace(subsampling=tails, caches=(tuple(rest),))
        encoded, state = self.encoder.step(features, state)
        return [encoded, *state.subsampling, *state.caches[0]]


@pytest.mark.slow
def test_onnx_of_a_step_streams(tmp_path):
    encoder = settled(ConformerEncoder(7, 8, 1, 2, chunk_frames=3, left_chunks=1), 7)
    features = noise(1, 12 * 6, 7)
    with torch.no_grad():
        whole, _ = encoder(features, torch.tensor([72]))
        state = encoder.initial_state()
        for piece in features[:, :24].split(12, dim=1):
            _, state = encoder.step(piece, state)
        tensors = [*state.subsampling, *state.caches[0]]
        step = _OneChunk(encoder, state)
        run = exported(step, (features[:, 24:36], tensors), tmp_path / "s.onnx")
        for start in range(24, 72, 12):
            encoded, *tensors = run(features[:, start : start + 12], *tensors)
            expected = whole[:, start // 4 : start // 4 + 3]
            torch.testing.assert_close(encoded, expected, rtol=1e-4, atol=1e-5)
