"""Attention against torch's Transformer layer; positions against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seqlab.blocks.attention import (
    SelfAttention,
    TransformerLayer,
    rotary_positions,
    rotate,
    sinusoidal_positions,
)
from seqlab.blocks.chunks import View, visible_frames
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_layer_equals_torch(name):
    ours = TransformerLayer(8, 2, 20, activation=name)
    theirs = nn.TransformerEncoderLayer(
        8, 2, 20, dropout=0.0, activation=name, norm_first=True, batch_first=True
    )
    pairs = {
        "self_attn.in_proj_": "attention.input.",
        "self_attn.out_proj.": "attention.output.",
        "linear1.": "feedforward.0.",
        "linear2.": "feedforward.3.",
        "norm1.": "attention_norm.",
        "norm2.": "feedforward_norm.",
    }
    state = ours.state_dict()
    theirs.load_state_dict(
        {
            their + part: state[our + part]
            for their, our in pairs.items()
            for part in ("weight", "bias")
        }
    )
    sequence, lengths = torch.randn(3, 7, 8), torch.tensor([7, 4, 1])
    valid = valid_mask(lengths, 7)
    expected = theirs(sequence, src_key_padding_mask=~valid)
    result, _ = ours(sequence, View(lengths, visible_frames(lengths, 7)))
    torch.testing.assert_close(result[valid], expected[valid])


def test_sinusoidal_positions_by_formula():
    positions = sinusoidal_positions(5, 6, torch.zeros((), dtype=torch.float64))
    for pos in range(5):
        for i in range(3):
            angle = pos / 10000 ** (2 * i / 6)
            assert math.isclose(positions[pos, 2 * i], math.sin(angle), abs_tol=1e-12)
            assert math.isclose(positions[pos, 2 * i + 1], math.cos(angle), abs_tol=1e-12)


def test_rotation_is_complex_multiplication():
    vectors = torch.randn(1, 1, 6, 4, dtype=torch.float64)
    turned = rotate(vectors, rotary_positions(6, 4, vectors))
    angles = torch.arange(6.0)[:, None] * torch.tensor([1.0, 1 / 100])
    expected = torch.view_as_complex(vectors.view(1, 1, 6, 2, 2)) * torch.exp(1j * angles.double())
    torch.testing.assert_close(turned, torch.view_as_real(expected).flatten(-2))


def test_rotary_attention_sees_distances_only():
    torch.manual_seed(0)
    attention = SelfAttention(8, 2).double()
    middle = torch.randn(1, 6, 8, dtype=torch.float64)
    rotary = rotary_positions(26, 4, middle)
    early = attention(middle, torch.tensor([6]), rotary[:, :6])
    late = attention(middle, torch.tensor([6]), rotary[:, 20:])
    torch.testing.assert_close(early, late)
    swapped = attention(middle.flip(1), torch.tensor([6]), rotary[:, :6]).flip(1)
    assert not torch.allclose(early, swapped, atol=1e-3)


def test_attention_dropout_only_in_training():
    attention = SelfAttention(8, 2, dropout=0.5)
    sequence, lengths = torch.randn(1, 9, 8), torch.tensor([9])
    assert not torch.equal(attention(sequence, lengths), attention(sequence, lengths))
    attention.eval()
    assert torch.equal(attention(sequence, lengths), attention(sequence, lengths))


def test_heads_must_divide_the_width():
    with pytest.raises(SeqlabError, match="divisible by num_heads=3; try 9"):
        SelfAttention(10, 3)
