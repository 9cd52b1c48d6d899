"""What each encoder family is meant to be, beyond the contract."""

from __future__ import annotations

import pytest
import torch

from seqlab.encoders.mlp import MLPEncoder
from seqlab.encoders.residual import ResidualCNNEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.transformer import TransformerEncoder
from seqlab.errors import SeqlabError


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_as_announced():
    assert 2e6 < size(SeparableConvEncoder(80)) < 3e6
    assert 5e4 < size(ResidualCNNEncoder(40)) < 3e5
    assert 5e4 < size(ResidualCNNEncoder(80)) < 3e5


def test_mlp_sees_its_window_and_no_more():
    encoder = MLPEncoder(2, hidden_dim=64, context=2).eval()
    features = torch.randn(1, 20, 2, requires_grad=True)
    encoded, _ = encoder(features, torch.tensor([20]))
    (gradient,) = torch.autograd.grad(encoded[0, 10].sum(), features)
    seen = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
    assert seen == [8, 9, 10, 11, 12]


def test_separable_receptive_field():
    encoder = SeparableConvEncoder(
        2, widths=16, kernel_sizes=(5,), repeats=2, strides=(2,), stem_kernel_size=3
    ).eval()
    features = torch.randn(1, 61, 2, requires_grad=True)
    encoded, _ = encoder(features, torch.tensor([61]))
    (gradient,) = torch.autograd.grad(encoded[0, 15].square().sum(), features)
    seen = gradient[0].abs().sum(-1).nonzero().flatten()
    # one frame of the stem spans 3 around 2 t; two kernels of 5 reach 4 stem frames either way
    assert (int(seen.min()), int(seen.max())) == (30 - 8 - 1, 30 + 8 + 1)


def test_strides_multiply():
    assert int(SeparableConvEncoder(4, widths=8, strides=(2, 2, 2)).output_lengths(80)) == 10
    encoder = ResidualCNNEncoder(16, widths=(4, 4), time_strides=(2, 3), frequency_strides=(1, 1))
    assert int(encoder.output_lengths(60)) == 10
    assert int(TransformerEncoder(4, hidden_dim=8, subsampling=8).output_lengths(80)) == 10


def test_layers_learn_a_toy_task():
    torch.manual_seed(0)
    encoder = SeparableConvEncoder(4, widths=16, kernel_sizes=(3,), strides=(1,), output_dim=4)
    features, lengths = torch.randn(8, 30, 4), torch.full((8,), 30)
    target = features.roll(1, dims=1).relu()  # each frame's left neighbour
    optimizer = torch.optim.Adam(encoder.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = (encoder(features, lengths)[0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SeparableConvEncoder(4, strides=()), "at least one stride"),
        (lambda: SeparableConvEncoder(4, kernel_sizes=()), "at least one stride and one kernel"),
        (lambda: SeparableConvEncoder(4, widths=(8, 8), kernel_sizes=(3,)), "one width a block"),
        (lambda: SeparableConvEncoder(4, kernel_sizes=(4,)), "use 3 or 5"),
        (lambda: SeparableConvEncoder(4, activation="rleu"), "did you mean"),
        (lambda: SeparableConvEncoder(4, repeats=0), "repeats=0"),
        (lambda: ResidualCNNEncoder(4, widths=(8,)), "one each for every stage"),
        (lambda: ResidualCNNEncoder(4, blocks=0), "blocks=0"),
        (lambda: TransformerEncoder(4, hidden_dim=10, num_heads=4), "2 \\* num_heads = 8"),
        (lambda: TransformerEncoder(4, positions="rotery"), "did you mean 'rotary'"),
        (lambda: TransformerEncoder(4, subsampling=3), "subsampling=3"),
        (lambda: MLPEncoder(4, context=-1), "context=-1"),
        (lambda: MLPEncoder(4, num_layers=0), "num_layers=0"),
        (lambda: MLPEncoder(4, hidden_dim=0), "output_dim=0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
