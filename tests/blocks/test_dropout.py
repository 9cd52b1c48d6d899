"""Dropout: how many, how much, and when not."""

from __future__ import annotations

import pytest
import torch

from seqlab.blocks.dropout import Dropout, ReluDropout, StochasticDepth, depth_probabilities
from seqlab.errors import SeqlabError


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_share_of_zeros_and_scale(p):
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.ones(400, 501))
    share = float((dropped == 0).float().mean())
    assert abs(share - p) < 5 * (p * (1 - p) / dropped.numel()) ** 0.5 + 1 / 65536
    torch.testing.assert_close(
        dropped[dropped != 0].unique(), torch.tensor([1 / (1 - p)]), rtol=2e-4, atol=0
    )


def test_neighbours_are_independent():
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(400_000)) != 0).float() - 0.5
    for lag in (1, 2, 3, 4):
        assert abs(float((kept[lag:] * kept[:-lag]).mean()) * 4) < 0.01


def test_gradient_passes_where_values_pass():
    values = torch.ones(1000, requires_grad=True)
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_relu_then_dropout(dtype, in_place):
    torch.manual_seed(0)
    given = torch.randn(1001, 50, dtype=dtype).requires_grad_()
    dropped = ReluDropout(0.25, in_place)(given * 1)
    negative, kept = given.detach() < 0, dropped.detach() != 0
    assert not (negative & kept).any()
    assert abs(float(kept[~negative].float().mean()) - 0.75) < 0.01
    expected = (given.detach().double() / 0.75).to(dtype)
    torch.testing.assert_close(dropped.detach()[kept], expected[kept])
    dropped.sum().backward()
    torch.testing.assert_close(given.grad, kept.to(dtype) / 0.75)


def test_seeds_give_no_shifted_copies():
    torch.manual_seed(2)
    one, other = ((Dropout(0.5)(torch.ones(2000)) != 0).float() - 0.5 for _ in range(2))
    products = [float((one[lag:] * other[: 2000 - lag]).mean()) for lag in range(1000)]
    assert 4 * max(map(abs, products)) < 6 / 1000**0.5


def test_evaluation_and_zero_change_nothing():
    values = torch.randn(3, 4)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0)(values) is values


def test_seed_decides():
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(Dropout(0.5)(torch.ones(99)))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (2, 0, 5), ()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shapes_and_types(shape, dtype):
    dropped = Dropout(0.5)(torch.ones(shape, dtype=dtype))
    assert dropped.shape == shape and dropped.dtype == dtype


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_bad_probability(p):
    with pytest.raises(SeqlabError, match="dropout"):
        Dropout(p)


def test_stochastic_depth_drops_whole_utterances():
    torch.manual_seed(0)
    branch = StochasticDepth(0.3)(torch.ones(4000, 2, 3))
    assert (branch == branch[:, :1, :1]).all()
    kept = branch[:, 0, 0] != 0
    assert abs(float(kept.float().mean()) - 0.7) < 5 * (0.3 * 0.7 / 4000) ** 0.5
    torch.testing.assert_close(branch[kept].unique(), torch.tensor([1 / 0.7]))


def test_stochastic_depth_follows_the_seed_and_rests_in_evaluation():
    branch = torch.randn(50, 2, 3)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(StochasticDepth(0.5)(branch))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert StochasticDepth(0.5).eval()(branch) is branch
    assert StochasticDepth(0.0)(branch) is branch


def test_depth_grows_linearly():
    assert depth_probabilities(0.4, 4) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert depth_probabilities(0.0, 2) == [0.0, 0.0]
    with pytest.raises(SeqlabError, match="stochastic_depth=1"):
        depth_probabilities(1, 3)
