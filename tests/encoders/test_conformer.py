"""The Conformer against torchaudio's, and the E-Branchformer against its equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models import Conformer as PeerConformer

from seqlab.blocks.branchformer import EBranchformerLayer
from seqlab.blocks.chunks import View, visible_frames
from seqlab.blocks.conformer import ConformerLayer, ConvolutionModule
from seqlab.encoders.conformer import ConformerEncoder
from seqlab.encoders.e_branchformer import EBranchformerEncoder
from seqlab.errors import SeqlabError

DIM, HEADS, KERNEL = 12, 3, 5


def whole(lengths: Tensor, frames: int) -> View:
    return View(lengths, visible_frames(lengths, frames))


def peer_names(number: int) -> dict[str, str]:
    """torchaudio's name of each of our parts."""
    names = {
        "attention_norm": "self_attn_layer_norm",
        "attention.output": "self_attn.out_proj",
        "convolution.norm": "conv_module.layer_norm",
        "convolution.input": "conv_module.sequential.0",
        "convolution.depthwise": "conv_module.sequential.2",
        "convolution.inner_norm": "conv_module.sequential.3",
        "convolution.output": "conv_module.sequential.5",
        "norm": "final_layer_norm",
    }
    for half in ("1", "2"):
        names |= {f"feedforward{half}.norm": f"ffn{half}.sequential.0"}
        names |= {f"feedforward{half}.input": f"ffn{half}.sequential.1"}
        names |= {f"feedforward{half}.output": f"ffn{half}.sequential.4"}
    return {our: f"conformer_layers.{number}.{their}" for our, their in names.items()}


def copy_into(peer: PeerConformer, layers: list[ConformerLayer]) -> None:
    state = {name: value.clone() for name, value in peer.state_dict().items()}
    for number, layer in enumerate(layers):
        ours, prefix = layer.state_dict(), f"conformer_layers.{number}.self_attn.in_proj_"
        state[f"{prefix}weight"] = ours["attention.input.weight"]
        state[f"{prefix}bias"] = ours["attention.input.bias"]
        for our, their in peer_names(number).items():
            for part in ("weight", "bias"):
                shape = state[f"{their}.{part}"].shape
                state[f"{their}.{part}"] = ours[f"{our}.{part}"].reshape(shape)
    peer.load_state_dict(state)


@pytest.mark.parametrize("training", [False, True])
def test_layers_equal_torchaudio(training):
    torch.manual_seed(0)
    layers = [ConformerLayer(DIM, HEADS, 20, KERNEL) for _ in range(2)]
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    peer = PeerConformer(DIM, HEADS, 20, 2, KERNEL)
    copy_into(peer, layers)
    sequence, lengths = torch.randn(3, 9, DIM), torch.tensor([9, 9, 9])
    expected, _ = peer.train(training)(sequence, lengths)
    result = sequence
    for layer in layers:
        result, _ = layer.train(training)(result, whole(lengths, 9))
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


def test_convolution_module_with_layer_norm_by_its_figure():
    module = ConvolutionModule(DIM, KERNEL, norm="layer").eval()
    sequence = torch.randn(1, 7, DIM)
    x = module.norm(sequence)
    a, b = functional.linear(x, module.input.weight, module.input.bias).chunk(2, dim=-1)
    x = (a * b.sigmoid()).transpose(1, 2)
    depthwise = module.depthwise
    x = functional.conv1d(
        x, depthwise.weight, depthwise.bias, padding=KERNEL // 2, groups=DIM
    ).transpose(1, 2)
    x = module.inner_norm(x)
    expected = module.output(x * x.sigmoid())
    result, _ = module(sequence, whole(torch.tensor([7]), 7))
    torch.testing.assert_close(result, expected)


def test_e_branchformer_layer_by_its_equations():
    torch.manual_seed(0)
    layer = EBranchformerLayer(DIM, HEADS, 20, 16, KERNEL).eval()
    nn.init.normal_(layer.gating.gate.weight)
    x = torch.randn(2, 8, DIM)

    def half(part, x):
        return x + 0.5 * part.output(functional.silu(part.input(part.norm(x))))

    def over_time(conv, x):
        channels = conv.weight.shape[0]
        padded = x.transpose(1, 2)
        mixed = functional.conv1d(
            padded, conv.weight, conv.bias, padding=KERNEL // 2, groups=channels
        )
        return mixed.transpose(1, 2)

    y = half(layer.feedforward1, x)
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    attention.in_proj_weight, attention.in_proj_bias = (
        layer.attention.input.weight,
        layer.attention.input.bias,
    )
    attention.out_proj = layer.attention.output
    queries = layer.attention_norm(y)
    far, _ = attention(queries, queries, queries)
    hidden = functional.gelu(layer.gating.input(layer.gating.norm(y)))
    near = hidden[..., :8] * over_time(layer.gating.gate, layer.gating.gate_norm(hidden[..., 8:]))
    near = layer.gating.output(near)
    both = torch.cat([far, near], dim=-1)
    y = y + layer.merge(both + over_time(layer.merge_conv, both))
    expected = layer.norm(half(layer.feedforward2, y))
    result, _ = layer(x, whole(torch.tensor([8, 8]), 8))
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("kind", [ConformerEncoder, EBranchformerEncoder])
def test_defaults_are_for_little_data(kind):
    size = sum(parameter.numel() for parameter in kind(80).parameters())
    assert 2.5e6 < size < 3.5e6


def test_deeper_layers_are_skipped_more_often():
    encoder = ConformerEncoder(4, 8, num_layers=4, num_heads=2, stochastic_depth=0.2)
    assert [round(layer.depth.p, 6) for layer in encoder.layers] == [0.05, 0.1, 0.15, 0.2]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConformerEncoder(4, hidden_dim=10), "divisible by 2 \\* num_heads = 8"),
        (lambda: ConformerEncoder(4, kernel_size=4), "kernel_size=4 must be odd"),
        (lambda: ConformerEncoder(4, convolution_norm="bacth"), "did you mean 'batch'"),
        (lambda: ConformerEncoder(4, stochastic_depth=1.0), "stochastic_depth=1.0"),
        (lambda: ConformerEncoder(4, num_layers=0), "num_layers=0"),
        (lambda: ConformerEncoder(4, chunk_frames=-1), "chunk_frames=-1 .* 0 is for whole"),
        (lambda: ConformerEncoder(4, left_chunks=-2), "left_chunks=-2 .* -1 is for all"),
        (lambda: EBranchformerEncoder(4, gating_dim=7), "gating_dim=7 must be even"),
        (lambda: EBranchformerEncoder(4, subsampling=3), "subsampling=3"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
