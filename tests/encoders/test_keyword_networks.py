"""Networks over frames for keywords: published sizes, torch's modules, streams."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.contracts import Encoder
from seqlab.encoders.cnn.matchboxnet import MatchboxNetEncoder
from seqlab.encoders.cnn.mdtc import MDTCEncoder
from seqlab.encoders.cnn.tc_resnet import TCResNetEncoder
from seqlab.encoders.cnn.tcn import TCNEncoder
from seqlab.encoders.keyword_transformer import KeywordTransformerEncoder
from seqlab.encoders.mhatt_rnn import MHAttRNNEncoder
from seqlab.errors import SeqlabError
from seqlab.heads.classifier import ClassifierHead
from tests.contract import invariants

TC_RESNET14 = (24, 24, 32, 32, 48, 48)
EVALUATED = (1 + 1e-5) ** -0.5  # what a fresh batch norm multiplies by in evaluation mode


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def running(module: nn.Module) -> int:
    """Running means and variances, which TensorFlow counts among the parameters."""
    return sum(b.numel() for name, b in module.named_buffers() if "running" in name)


@pytest.mark.parametrize(
    ("widths", "multiplier", "published"),
    [
        ((24, 32, 48), 1.0, 66),
        ((24, 32, 48), 1.5, 145),
        (TC_RESNET14, 1.0, 137),
        (TC_RESNET14, 1.5, 305),
    ],
)
def test_parameters_of_tc_resnet(widths, multiplier, published):
    # Choi et al. 2019, table 1: 40 MFCC, 12 classes, running statistics included.
    encoder = TCResNetEncoder(40, widths, width_multiplier=multiplier)
    head = ClassifierHead(encoder.output_dim, 12)
    assert round((parameters(encoder, head) + running(encoder)) / 1000) == published


@pytest.mark.parametrize(("repeats", "published"), [(1, 77), (2, 93)])
def test_parameters_of_matchboxnet(repeats, published):
    # Majumdar and Ginsburg 2020, table 2: 64 MFCC, 30 classes, running statistics left out.
    encoder = MatchboxNetEncoder(64, repeats=repeats)
    assert round(parameters(encoder, ClassifierHead(128, 30)) / 1000) == published


def test_parameters_of_mdtc():
    # WeKws, table of backbones of the recipe hi_xiaowen: 156 thousand for 80 MFCC and two
    # keywords, with a bias in front of each batch norm: as many as batch norm has itself.
    encoder = MDTCEncoder(80)
    biases = sum(m.bias.numel() for m in encoder.modules() if type(m).__name__ == "MaskedBatchNorm")
    assert round((parameters(encoder, ClassifierHead(64, 2)) + biases) / 1000) == 156


def test_parameters_of_tcn():
    # The same table: 287 thousand for DS-TCN of 256 channels, 40 MFCC and a kernel of 8, between
    # 7 and 9, biases in front of its eight batch norms and none of these behind the first layer.
    counts = [parameters(TCNEncoder(40, kernel_size=size)) for size in (7, 9)]
    first = 2 * 256 - 256
    total = sum(counts) / 2 + 8 * 256 - first + parameters(ClassifierHead(256, 2))
    assert round(total / 1000) == 287


@pytest.mark.parametrize(
    ("dim", "heads", "published"), [(64, 1, 607), (128, 2, 2394), (192, 3, 5361)]
)
def test_parameters_of_the_keyword_transformer(dim, heads, published):
    # Berg et al. 2021, table 1: 40 MFCC, 98 frames, 12 classes. It has a class token and positions
    # of 99 frames, and no bias of queries, keys and values; the head is one linear layer.
    encoder = KeywordTransformerEncoder(40, dim, num_heads=heads)
    theirs = parameters(encoder, ClassifierHead(dim, 12)) + 100 * dim - 12 * 3 * dim
    assert round(theirs / 1000) == published
    ours = parameters(encoder, ClassifierHead(dim, 12, "attention"))
    assert ours == pytest.approx(1000 * published, rel=0.005)


def test_parameters_of_mhatt_rnn():
    # Rybakov et al. 2020, table 3: 743 thousand; 20 MFCC as in their list of experiments, 12
    # classes, running statistics included.
    encoder = MHAttRNNEncoder(20)
    head = ClassifierHead(encoder.output_dim, 12, "multihead")
    assert round((parameters(encoder, head) + running(encoder)) / 1000) == 743


def convolved(x: Tensor, weight: Tensor, causal: bool, stride: int = 1, dilation: int = 1, **more):
    """torch's convolution of (B, C, T), centred or looking back, times a fresh batch norm."""
    span = dilation * (weight.shape[2] - 1)
    left = span - (stride - 1) if causal else span // 2
    padded = functional.pad(x, (left, span - left))
    return EVALUATED * functional.conv1d(padded, weight, stride=stride, dilation=dilation, **more)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 17, 32])
def test_tc_resnet_equals_torch(causal, frames):
    encoder = TCResNetEncoder(5, (6, 6, 7), 4, kernel_size=3, causal=causal).eval()
    features = torch.randn(1, frames, 5)
    stem, *blocks = encoder.layers
    x = functional.relu(convolved(features.transpose(1, 2), stem.convolution.weight, causal))
    for block in blocks:
        first, second = (layer.convolution for layer in block.body)
        stride = 1 if block.shortcut is None else 2
        y = functional.relu(convolved(x, first.weight, causal, stride))
        y = convolved(y, second.weight, causal)
        if block.shortcut is not None:
            weight = block.shortcut.convolution.weight
            x = functional.relu(EVALUATED * functional.conv1d(x[..., ::2], weight))
        x = functional.relu(x + y)
    result, lengths = encoder(features, torch.tensor([frames]))
    assert lengths.tolist() == [-(-frames // 4)]
    torch.testing.assert_close(result, x.transpose(1, 2))


@pytest.mark.parametrize("causal", [False, True])
def test_matchboxnet_equals_torch(causal):
    encoder = MatchboxNetEncoder(5, 2, 2, 6, 7, subsampling=2, causal=causal).eval()
    features = torch.randn(1, 33, 5)

    def separable(x: Tensor, layer: nn.Module, stride: int = 1, dilation: int = 1) -> Tensor:
        depthwise, pointwise = layer.convolution
        y = convolved(x, depthwise.weight, causal, stride, dilation, groups=x.shape[1])
        return functional.conv1d(y, pointwise.weight)

    stem, *blocks, last, linear = encoder.layers
    x = functional.relu(separable(features.transpose(1, 2), stem, stride=2))
    for index, block in enumerate(blocks):
        assert block.body[0].convolution[0].kernel_size == (13 + 2 * index,)
        y = separable(functional.relu(separable(x, block.body[0])), block.body[1])
        x = functional.relu(y + convolved(x, block.shortcut.convolution.weight, causal))
    x = functional.relu(separable(x, last, dilation=2))
    x = functional.relu(convolved(x, linear.convolution.weight, causal))
    result, lengths = encoder(features, torch.tensor([33]))
    assert lengths.tolist() == [17]
    torch.testing.assert_close(result, x.transpose(1, 2))


def test_keyword_transformer_equals_torch():
    encoder = KeywordTransformerEncoder(5, 8, 2, 2, positions="sinusoidal").eval()
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 32, 0.0, functional.gelu, batch_first=True),
        2,
        enable_nested_tensor=False,
    ).eval()
    for ours, layer in zip(encoder.layers, theirs.layers, strict=True):
        layer.self_attn.in_proj_weight = ours.attention.input.weight
        layer.self_attn.in_proj_bias = ours.attention.input.bias
        layer.self_attn.out_proj = ours.attention.output
        layer.linear1, layer.linear2 = ours.feedforward[0], ours.feedforward[3]
        layer.norm1, layer.norm2 = ours.attention_norm, ours.feedforward_norm
    features = torch.randn(1, 9, 5)
    from_paper = torch.tensor(
        [[f(t * 10000 ** (-2 * i / 8)) for i in range(4) for f in (sine, cosine)] for t in range(9)]
    )
    expected = theirs(encoder.subsampling.linear(features) + from_paper)
    result, _ = encoder(features, torch.tensor([9]))
    torch.testing.assert_close(result, expected)


def sine(x: float) -> float:
    return float(torch.tensor(x, dtype=torch.float64).sin())


def cosine(x: float) -> float:
    return float(torch.tensor(x, dtype=torch.float64).cos())


@pytest.mark.parametrize("causal", [False, True])
def test_mhatt_rnn_equals_torch(causal):
    encoder = MHAttRNNEncoder(4, 6, filters=3, kernel_size=5, causal=causal).eval()
    features = torch.randn(2, 11, 4)
    image = features.transpose(1, 2)[:, None]  # (B, 1, F, T), kernels of one bin
    for layer in encoder.convolutions:
        padded = functional.pad(image, (4, 0) if causal else (2, 2))
        conv = layer.convolution
        image = functional.conv2d(padded, conv.weight.unsqueeze(2), conv.bias).relu() * EVALUATED
    gru = nn.GRU(4, 6, 2, batch_first=True, bidirectional=not causal)
    gru.load_state_dict(encoder.recurrent.layers.state_dict())
    result, _ = encoder(features, torch.tensor([11, 11]))
    torch.testing.assert_close(result, gru(image[:, 0].transpose(1, 2))[0])


def test_mdtc_sums_its_stacks():
    encoder = MDTCEncoder(4, 6, 3, 2, causal=True).eval()
    features, lengths = torch.randn(1, 20, 4), torch.tensor([20])
    *first, summed = encoder.layers
    x = features
    for layer in first:
        x, _ = layer(x, lengths)
    total = torch.zeros_like(x)
    for stack in summed.stacks:
        for block in stack:
            x, _ = block(x, lengths)
        total += x
    torch.testing.assert_close(encoder(features, lengths)[0], total)


@pytest.mark.parametrize(
    ("encoder", "frames"),
    [(MDTCEncoder(2), 245), (TCNEncoder(2), 121), (MatchboxNetEncoder(2), 151)],
    ids=lambda value: type(value).__name__ if isinstance(value, Encoder) else str(value),
)
def test_context(encoder, frames):
    encoder = encoder.double().eval()
    features = torch.randn(1, 401, 2, dtype=torch.float64, requires_grad=True)
    encoded, _ = encoder(features, torch.tensor([401]))
    (gradient,) = torch.autograd.grad(
        (encoded[0, 200] * torch.rand(encoder.output_dim)).sum(), features
    )
    seen = gradient[0].abs().sum(-1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (200 - frames // 2, 200 + frames // 2)


@pytest.mark.parametrize(
    "encoder",
    [
        TCResNetEncoder(6, (4, 5, 5, 6), causal=True),
        MatchboxNetEncoder(6, 2, 2, 4, 5, subsampling=3, causal=True),
        MDTCEncoder(6, 5, 2, 3, subsampling=2, causal=True),
        TCNEncoder(6, 5, 3, subsampling=4, causal=True),
        KeywordTransformerEncoder(6, 8, 2, 2, chunk_frames=4, left_chunks=1),
        MHAttRNNEncoder(6, 5, cell="lstm", causal=True),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_streams_frame_by_frame(encoder):
    encoder = invariants.settled(encoder, 6)
    invariants.check_chunks(encoder, [1] * 50, batch_size=3)
    invariants.check_chunks(encoder, [50], batch_size=1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TCResNetEncoder(8, ()), "at least one block"),
        (lambda: TCResNetEncoder(8, (4, 0)), "width=0"),
        (lambda: TCResNetEncoder(8, width_multiplier=0), "width_multiplier=0 must be a number"),
        (lambda: TCResNetEncoder(8, kernel_size=4), "kernel_size=4 must be odd"),
        (lambda: MatchboxNetEncoder(8, repeats=0), "repeats=0"),
        (lambda: MatchboxNetEncoder(8, subsampling=12, causal=True), "must span at least"),
        (lambda: MDTCEncoder(8, stacks=0), "stacks=0"),
        (lambda: MDTCEncoder(8, stack_size=0), "stack_size=0"),
        (lambda: TCNEncoder(8, num_blocks=0), "num_blocks=0"),
        (lambda: TCNEncoder(8, activation="rulu"), "did you mean 'relu'"),
        (lambda: KeywordTransformerEncoder(8, 9), "divisible by 2 \\* num_heads"),
        (lambda: MHAttRNNEncoder(8, filters=0), "filters=0"),
        (lambda: MHAttRNNEncoder(8, cell="gur"), "did you mean 'gru'"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
