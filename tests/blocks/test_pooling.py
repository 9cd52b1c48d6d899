"""Pooling over valid frames, by hand."""

from __future__ import annotations

import pytest
import torch

from seqlab.blocks.pooling import POOLINGS, MultiHeadAttentionPooling, pooling
from seqlab.errors import SeqlabError

NAN = float("nan")
SEQUENCE = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [NAN, NAN]], [[NAN, NAN]] * 3])
LENGTHS = torch.tensor([2, 0])


def test_mean_and_maximum():
    assert pooling("mean", 2)(SEQUENCE, LENGTHS).tolist() == [[2.0, -3.0], [0.0, 0.0]]
    assert pooling("max", 2)(SEQUENCE, LENGTHS).tolist() == [[3.0, -2.0], [0.0, 0.0]]


def test_attention_is_a_weighted_mean():
    pool = pooling("attention", 2)
    scores = pool.score(SEQUENCE[0, :2])
    expected = (scores.softmax(0) * SEQUENCE[0, :2]).sum(0)
    torch.testing.assert_close(pool(SEQUENCE, LENGTHS)[0], expected)
    assert not pool(SEQUENCE, LENGTHS)[1].any()


def test_heads_ask_from_the_middle():
    pool = MultiHeadAttentionPooling(3, num_heads=2, hidden_dim=5, output_dim=4)
    frames = torch.randn(5, 3)
    asked = torch.nn.functional.linear(frames[2], pool.query.weight, pool.query.bias)
    means = [(frames @ query / 3**0.5).softmax(0) @ frames for query in asked.split(3)]
    expected = pool.project(torch.cat(means))
    padded = torch.cat([frames, torch.full((2, 3), NAN)])
    result = pool(torch.stack([padded, padded]), torch.tensor([5, 0]))
    torch.testing.assert_close(result[0], expected)
    assert not result[1].any()


@pytest.mark.parametrize("name", POOLINGS)
def test_no_frames_at_all(name):
    pool = pooling(name, 2)
    pooled = pool(torch.zeros(3, 0, 2), torch.zeros(3, dtype=torch.int64))
    assert pooled.shape == (3, pool.output_dim) and not pooled.any()


def test_unknown_name():
    with pytest.raises(SeqlabError, match="did you mean 'mean'"):
        pooling("means", 2)


def test_bad_sizes():
    with pytest.raises(SeqlabError, match="num_heads=0 must be a whole number of at least 1"):
        MultiHeadAttentionPooling(2, num_heads=0)
