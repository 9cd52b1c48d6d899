"""CRNN and TDNN against torch's modules, and the factorisation against its definition."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from seqlab.blocks.factorized import FactorizedConv, SemiOrthogonalConv, towards_semi_orthogonal_
from seqlab.encoders.crnn import CRNNEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.tdnn import TDNNEncoder
from seqlab.errors import SeqlabError
from tests.contract import invariants

EVALUATED = (1 + 1e-5) ** -0.5  # what a fresh batch norm multiplies by in evaluation mode


@pytest.mark.parametrize("bidirectional", [True, False])
def test_crnn_equals_torch(bidirectional):
    encoder = CRNNEncoder(6, (3, 4), hidden_dim=5, bidirectional=bidirectional).eval()
    features = torch.randn(1, 13, 6)
    x = features[:, None]
    for block in encoder.blocks:
        for conv in (block.conv1, block.conv2):
            padding = (1, 1, 1, 1) if bidirectional else (1, 1, 2, 0)
            x = functional.conv2d(functional.pad(x, padding), conv.weight)
            x = functional.relu(x * EVALUATED)
        x = functional.max_pool2d(x, 2)
    expected, _ = encoder.recurrent.layers(x.permute(0, 2, 3, 1).flatten(2))
    result, lengths = encoder(features, torch.tensor([13]))
    assert lengths.tolist() == [3]
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bottleneck_dim", [0, 3])
def test_tdnn_equals_torch(causal, bottleneck_dim):
    encoder = TDNNEncoder(
        4, 6, (5, 3, 3), (1, 2, 3), subsampling=2, bottleneck_dim=bottleneck_dim, causal=causal
    ).eval()
    features = torch.randn(1, 17, 4)
    x = features.transpose(1, 2)
    for index, (layer, reach) in enumerate(zip(encoder.layers, (2, 2, 3), strict=True)):
        factors = list(layer.convolution) if index and bottleneck_dim else [layer.convolution]
        stride = 1 if index else 2
        left = 2 * reach - (stride - 1) if causal else reach
        padded = functional.pad(x, (left, 2 * reach - left))
        y = functional.conv1d(
            padded, factors[0].weight, stride=stride, dilation=max(1, reach if index else 1)
        )
        for factor in factors[1:]:
            y = functional.conv1d(y, factor.weight)
        y = functional.relu(y * EVALUATED)
        x = y + 0.66 * x if index and bottleneck_dim else y
    result, lengths = encoder(features, torch.tensor([17]))
    assert lengths.tolist() == [9]
    torch.testing.assert_close(result, x.transpose(1, 2))


def test_context_widens_with_the_dilations():
    encoder = TDNNEncoder(2, 32, (5, 3, 3), (1, 2, 4), subsampling=1).eval()
    features = torch.randn(1, 31, 2, requires_grad=True)
    encoded, _ = encoder(features, torch.tensor([31]))
    (gradient,) = torch.autograd.grad(encoded[0, 15].sum(), features)
    seen = gradient[0].abs().sum(-1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (15 - 2 - 2 - 4, 15 + 2 + 2 + 4)


def test_one_step_towards_semi_orthogonal_by_hand():
    # M = [[1, 0], [0, 2]]: P = diag(1, 4), alpha^2 = tr(P P) / tr(P) = 17 / 5,
    # M - (P - alpha^2) M / (2 alpha^2) = diag(1 + 12 / 34, 2 - 2 * 3 / 34)
    matrix = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    towards_semi_orthogonal_(matrix)
    torch.testing.assert_close(matrix, torch.diag(torch.tensor([46 / 34, 62 / 34])))


def test_steps_converge_to_orthogonal_rows():
    torch.manual_seed(0)
    matrix = torch.randn(20, 30, 3, dtype=torch.float64)
    for _ in range(12):
        towards_semi_orthogonal_(matrix)
    product = matrix.flatten(1) @ matrix.flatten(1).T
    scale = product.trace() / 20
    torch.testing.assert_close(product / scale, torch.eye(20, dtype=torch.float64))
    before = matrix.clone()
    towards_semi_orthogonal_(matrix)
    torch.testing.assert_close(matrix, before)


def test_training_keeps_the_first_factor_nearly_orthogonal():
    torch.manual_seed(0)
    layer = FactorizedConv(8, 4, 3)
    optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
    sequence, lengths = torch.randn(4, 30, 8), torch.full((4,), 30)
    target = torch.randn(4, 30, 8)
    for _ in range(50):
        loss = (layer(sequence, lengths)[0] - target).square().mean()
        loss = loss + (layer(sequence, lengths)[0] - target).square().mean()  # two passes, one step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    matrix = layer.convolution[0].weight.detach().flatten(1)
    singular = torch.linalg.svdvals(matrix)
    assert float(singular.max() / singular.min()) < 1.1


def test_evaluation_leaves_the_weights_alone():
    conv = SemiOrthogonalConv(4, 3, 3)
    with torch.no_grad():
        conv.weight.mul_(torch.rand_like(conv.weight))
    before = conv.weight.detach().clone()
    conv.eval()(torch.randn(1, 5, 4))
    with torch.no_grad():
        conv.train()(torch.randn(1, 5, 4))
    assert torch.equal(conv.weight, before)
    conv(torch.randn(1, 5, 4))
    assert not torch.equal(conv.weight, before)


@pytest.mark.parametrize(
    "encoder",
    [
        CRNNEncoder(6, (3, 4), hidden_dim=5, bidirectional=False),
        TDNNEncoder(6, 8, bottleneck_dim=3, causal=True),
        SeparableConvEncoder(6, 8, (3, 5), strides=(2, 2), output_dim=7, causal=True),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_streams_frame_by_frame(encoder):
    encoder = invariants.settled(encoder, 6)
    invariants.check_chunks(encoder, [1] * 50, batch_size=3)
    invariants.check_chunks(copy.deepcopy(encoder), [50], batch_size=1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CRNNEncoder(3), "raise input_dim or lower frequency_pools"),
        (lambda: CRNNEncoder(8, widths=()), "one each for every block"),
        (lambda: CRNNEncoder(8, widths=(4,)), "2 time_pools"),
        (lambda: CRNNEncoder(8, cell="lsmt"), "did you mean 'lstm'"),
        (lambda: CRNNEncoder(8, time_pools=(0, 2)), "time_pool=0"),
        (lambda: TDNNEncoder(8, kernel_sizes=()), "one each for every layer"),
        (lambda: TDNNEncoder(8, dilations=(1,)), "7 kernel_sizes and 1 dilations"),
        (lambda: TDNNEncoder(8, subsampling=7), "leaves frames unread"),
        (lambda: TDNNEncoder(8, dilations=(3,) * 7), "take a dilation of 1"),
        (lambda: TDNNEncoder(8, bottleneck_dim=-1), "0 is for whole layers"),
        (lambda: TDNNEncoder(8, 4, bottleneck_dim=13), "at most the 4 \\* 3 values"),
        (
            lambda: SeparableConvEncoder(8, squeeze_excitation=True, causal=True),
            "exclude each other",
        ),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
