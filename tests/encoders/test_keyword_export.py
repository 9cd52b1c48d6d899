"""Networks for keywords in ONNX, head included, and recurrence without packed sequences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqlab.blocks.recurrent import run_unpacked
from seqlab.contracts import Encoder
from seqlab.encoders.cnn.matchboxnet import MatchboxNetEncoder
from seqlab.encoders.cnn.mdtc import MDTCEncoder
from seqlab.encoders.cnn.tc_resnet import TCResNetEncoder
from seqlab.encoders.cnn.tcn import TCNEncoder
from seqlab.encoders.keyword_transformer import KeywordTransformerEncoder
from seqlab.encoders.mhatt_rnn import MHAttRNNEncoder
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.heads.classifier import ClassifierHead
from tests.contract.invariants import noise, settled
from tests.encoders.test_export import exported

SYSTEMS: dict[str, tuple[Encoder, str]] = {
    "tc-resnet": (TCResNetEncoder(7, (4, 5, 5)), "mean"),
    "causal tc-resnet": (TCResNetEncoder(7, (4, 5), causal=True), "mean"),
    "matchboxnet": (MatchboxNetEncoder(7, 1, 2, 4, 5, subsampling=2), "mean"),
    "mdtc": (MDTCEncoder(7, 5, 2, 2, causal=True), "max"),
    "tcn": (TCNEncoder(7, 5, 2), "max"),
    "keyword transformer": (KeywordTransformerEncoder(7, 8, 1, 2), "attention"),
    "mhatt-rnn": (MHAttRNNEncoder(7, 5), "multihead"),
}


class _System(nn.Module):
    def __init__(self, encoder: Encoder, pooling: str) -> None:
        super().__init__()
        self.encoder, self.head = encoder, ClassifierHead(encoder.output_dim, 3, pooling)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        return self.head(*self.encoder(features, lengths))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_onnx_of_any_length_gives_the_same(name, tmp_path):
    encoder, pooling = SYSTEMS[name]
    system = _System(settled(encoder, 7), pooling).eval()
    batch, frames = torch.export.Dim("batch", max=64), torch.export.Dim("frames", min=2, max=4000)
    inputs = (noise(2, 40, 7), torch.tensor([40, 21]))
    run = exported(system, inputs, tmp_path / "s.onnx", ({0: batch, 1: frames}, {0: batch}))
    for lengths in ([75, 30, 1], [98], [2]):
        features, counts = noise(len(lengths), lengths[0], 7), torch.tensor(lengths)
        with torch.no_grad():
            expected = system(features, counts)
        torch.testing.assert_close(run(features, counts)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrence_unpacked_equals_packed(cell, bidirectional):
    encoder = RecurrentEncoder(3, cell, 4, num_layers=3, bidirectional=bidirectional).eval()
    features, lengths = noise(4, 11, 3), torch.tensor([11, 4, 0, 1])
    features[1, 4:] = 0
    expected, _ = encoder(features, lengths)
    result = run_unpacked(encoder.layers, features, lengths)
    torch.testing.assert_close(result, expected)
