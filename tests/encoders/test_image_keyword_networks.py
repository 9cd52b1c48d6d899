"""DS-CNN, res15 and BC-ResNet, against their papers' sizes and plain torch networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlab.blocks.normalization import MaskedBatchNorm
from seqlab.encoders.cnn.bc_resnet import BCResNetEncoder, BroadcastedBlock
from seqlab.encoders.cnn.ds_cnn import DS_CNN_SIZES, DSCNNEncoder
from seqlab.encoders.cnn.res15 import RES_SIZES, Res15Encoder
from seqlab.errors import SeqlabError
from seqlab.heads.classifier import ClassifierHead
from tests.contract.invariants import noise, settled
from tests.encoders.test_export import exported
from tests.reference import keyword_networks as plain

CLASSES = 12  # ten words, unknown and silence: the classes of all three papers


def parameters(encoder) -> int:
    """Trained numbers of the encoder and a classifier of twelve labels on it."""
    head = ClassifierHead(encoder.output_dim, CLASSES)
    return sum(p.numel() for module in (encoder, head) for p in module.parameters())


# Kim et al. 2021, table 2, in thousands: all trained numbers, 40 log-mel bins.
@pytest.mark.parametrize(("tau", "thousands"), [(1, 9.2), (2, 27.3), (3, 54.2), (6, 188), (8, 321)])
def test_bc_resnet_has_the_published_size(tau, thousands):
    size = parameters(BCResNetEncoder(40, tau)) / 1000
    assert round(size, 1 if thousands < 100 else None) == thousands
    assert parameters(BCResNetEncoder(64, tau)) == parameters(BCResNetEncoder(40, tau))


# Tang and Lin 2018, tables 1 to 3 and 5, in thousands: kernels and the last layer.
@pytest.mark.parametrize(
    ("name", "thousands"),
    [
        ("res8", 110),
        ("res8-narrow", 19.9),
        ("res15", 238),
        ("res15-narrow", 42.6),
        ("res26", 438),
        ("res26-narrow", 78.4),
    ],
)
def test_res15_has_the_published_size(name, thousands):
    size = parameters(Res15Encoder(40, **RES_SIZES[name]))
    assert float(f"{size / 1000:.3g}") == thousands


# Zhang et al. 2017, table 4: kilobytes of 8 bit weights, batch norm folded into them, and of the
# two largest activations in a row, for 49 frames of 10 MFCCs.
@pytest.mark.parametrize(
    ("name", "kilobytes", "frames_by_bins"),
    [("S", 38.6, (25 * 5, 25 * 5)), ("M", 189.2, (25 * 10, 13 * 5)), ("L", 497.6, (250, 65))],
)
def test_ds_cnn_needs_the_published_memory(name, kilobytes, frames_by_bins):
    encoder = DSCNNEncoder(10, **DS_CNN_SIZES[name])
    norms = sum(hasattr(module, "running_mean") for module in encoder.modules())
    folded = parameters(encoder) - norms * encoder.output_dim  # scale and shift become a bias
    total = folded + sum(frames_by_bins) * encoder.output_dim
    assert round(total / 1000, 1) == kilobytes


def test_ds_cnn_sizes_in_training():
    sizes = [parameters(DSCNNEncoder(10, **DS_CNN_SIZES[name])) for name in "SML"]
    assert sizes == [23180, 136580, 413736]


def assert_same(encoder, reference: nn.Module, features: torch.Tensor, frames: int) -> None:
    for module in encoder.modules():
        if isinstance(module, MaskedBatchNorm):
            module.momentum = 1.0  # so that no layer's result vanishes
    encoder = settled(encoder, encoder.input_dim)
    plain.same_order(reference.eval(), encoder)
    lengths = torch.full((len(features),), features.shape[1])
    with torch.no_grad():
        encoded, after = encoder(features, lengths)
        expected = reference(features.transpose(1, 2).unsqueeze(1)).mean(2).transpose(1, 2)
    assert set(after.tolist()) == {frames} and expected.abs().max() > 0.1
    torch.testing.assert_close(encoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tau", [1, 3])
def test_bc_resnet_equals_plain_torch(tau):
    assert_same(BCResNetEncoder(40, tau), plain.bc_resnet(tau), noise(2, 101, 40), 101)


@pytest.mark.parametrize(("name", "frames"), [("S", 25), ("M", 13), ("L", 13)])
def test_ds_cnn_equals_plain_torch(name, frames):
    size = DS_CNN_SIZES[name]
    reference = plain.ds_cnn(*size.values())
    assert_same(DSCNNEncoder(10, **size), reference, noise(2, 49, 10), frames)


@pytest.mark.parametrize("name", ["res8-narrow", "res15-narrow", "res26-narrow"])
def test_res15_equals_plain_torch(name):
    size = RES_SIZES[name]
    pool = None if size["pool"] == 1 else size["pool"]
    reference = plain.Res(size["width"], size["num_layers"], size["dilated"], pool)
    bins = 39 if size["pool"] == (4, 3) else 40  # whole rectangles; the rest has its own test
    frames = 60 // (pool or (1, 1))[0]
    assert_same(Res15Encoder(bins, **size), reference, noise(2, 60, bins), frames)


def test_bc_resnet_trains_as_plain_torch():
    torch.manual_seed(0)
    encoder, reference = BCResNetEncoder(40, dropout=0.0).double(), plain.bc_resnet(1).double()
    plain.same_order(reference, encoder)
    features, weights = noise(3, 50, 40).double(), noise(3, 50, 32).double()
    encoded, _ = encoder(features, torch.full((3,), 50))
    expected = reference(features.transpose(1, 2).unsqueeze(1)).mean(2).transpose(1, 2)
    torch.testing.assert_close(encoded, expected)
    (encoded * weights).sum().backward()
    (expected * weights).sum().backward()
    ours = [m.weight.grad.transpose(2, 3) for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    theirs = [m.weight.grad for m in reference.modules() if isinstance(m, nn.Conv2d)]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_bc_resnet_sees_as_far_as_its_kernels():
    kernels = (
        4 + 2 * (2 * 1 + 2 * 2 + 4 * 4 + 4 * 8) + 4
    )  # stem, blocks, last: frames beside its own
    for causal in (False, True):
        encoder = settled(BCResNetEncoder(10, tau=0.5, causal=causal), 10)
        features = noise(1, 200, 10).requires_grad_()
        encoded, _ = encoder(features, torch.tensor([200]))
        (gradient,) = torch.autograd.grad(encoded[0, 130].square().sum(), features)
        seen = gradient[0].abs().sum(-1).nonzero().flatten()
        ahead = 0 if causal else kernels // 2
        assert int(seen.max()) == 130 + ahead and int(seen.min()) == 130 + ahead - kernels


@pytest.mark.parametrize("bins", [1, 2, 7, 23, 128])
@pytest.mark.parametrize("kind", [BCResNetEncoder, DSCNNEncoder, Res15Encoder])
def test_any_number_of_bins(kind, bins):
    sizes = {BCResNetEncoder: {"tau": 0.5}, DSCNNEncoder: {"width": 4}, Res15Encoder: {"width": 3}}
    encoder = kind(bins, **sizes[kind]).eval()
    for frames in (1, 3, 150):
        encoded, lengths = encoder(noise(1, frames, bins), torch.tensor([frames]))
        assert encoded.shape[1] == int(lengths) >= 1 and torch.isfinite(encoded).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BCResNetEncoder(40, tau=0), "tau=0"),
        (lambda: BCResNetEncoder(40, bands=0), "bands=0"),
        (lambda: BCResNetEncoder(40, dropout=1.0), "dropout=1.0"),
        (lambda: BroadcastedBlock(4, 8, 8, frequency_stride=0), "frequency_stride=0"),
        (lambda: DSCNNEncoder(10, width=0), "width=0"),
        (lambda: DSCNNEncoder(10, num_blocks=0), "num_blocks=0"),
        (lambda: DSCNNEncoder(10, stem_stride=(2, 2, 2)), "a pair"),
        (lambda: DSCNNEncoder(10, stem_kernel_size=1, causal=True), "must span at least"),
        (lambda: DSCNNEncoder(10, activation="rellu"), "did you mean 'relu'"),
        (lambda: Res15Encoder(40, num_layers=1), "num_layers=1"),
        (lambda: Res15Encoder(40, pool=0), "pool=0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()


SMALL = {
    "bc-resnet": lambda causal: BCResNetEncoder(9, tau=0.5, causal=causal),
    "ds-cnn": lambda causal: DSCNNEncoder(9, width=4, num_blocks=1, causal=causal),
    "res15": lambda causal: Res15Encoder(9, width=3, num_layers=5, causal=causal),
    "res8": lambda causal: Res15Encoder(9, 3, 4, (4, 3), dilated=False, causal=causal),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_onnx_of_any_length_gives_the_same(name, tmp_path):
    encoder = settled(SMALL[name](False), 9)
    batch, frames = torch.export.Dim("batch", max=64), torch.export.Dim("frames", min=4, max=4000)
    inputs = (noise(2, 40, 9), torch.tensor([40, 21]))
    run = exported(encoder, inputs, tmp_path / "e.onnx", ({0: batch, 1: frames}, {0: batch}))
    features, lengths = noise(3, 75, 9), torch.tensor([75, 30, 51])
    with torch.no_grad():
        for one, other in zip(run(features, lengths), encoder(features, lengths), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class _Step(nn.Module):
    def __init__(self, encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features, state):
        return self.encoder.step(features, state)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bc-resnet", "ds-cnn", "res15"])
def test_a_step_is_traced_whole(name):
    encoder = settled(SMALL[name](True), 9)
    state = encoder.initial_state()
    traced = torch.export.export(_Step(encoder), (noise(1, 8, 9), state)).module()
    features = noise(1, 8, 9, seed=3)
    with torch.no_grad():
        expected, after = encoder.step(features, state)
        result, also = traced(features, state)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(also, after)
