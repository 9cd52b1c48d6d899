"""Pooling over valid frames, by hand."""

from __future__ import annotations

import pytest
import torch

from seqlab.blocks.pooling import POOLINGS, pooling
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


@pytest.mark.parametrize("name", POOLINGS)
def test_no_frames_at_all(name):
    assert pooling(name, 2)(torch.zeros(3, 0, 2), torch.zeros(3, dtype=torch.int64)).shape == (3, 2)


def test_unknown_name():
    with pytest.raises(SeqlabError, match="did you mean 'mean'"):
        pooling("means", 2)
