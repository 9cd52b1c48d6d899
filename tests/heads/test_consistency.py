"""Consistency regularisation against torch's own divergence, and within the model's loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seqlab.errors import SeqlabError
from seqlab.heads.consistency import other_seeds, symmetric_divergence


def views(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 7, 5, generator=generator, dtype=torch.float64)
    first, second = logits.log_softmax(-1)
    return first, second


def test_equals_torch() -> None:
    first, second = views()
    lengths = torch.tensor([7, 4, 0])
    found = symmetric_divergence(first, second, lengths)
    for row, length in enumerate(lengths.tolist()):
        a, b = first[row, :length], second[row, :length]
        expected = sum(
            functional.kl_div(x, y, reduction="sum", log_target=True) / 2
            for x, y in ((a, b), (b, a))
        )
        assert float(found[row]) == pytest.approx(float(expected), abs=1e-12)


def test_targets_have_no_gradient() -> None:
    """The gradient is that of the two cross-entropies, each with the other view as fixed target."""
    first, second = views(1)
    a, b = first.clone().requires_grad_(), second.clone().requires_grad_()
    lengths = torch.tensor([7, 7, 7])
    symmetric_divergence(a, b, lengths).sum().backward()  # type: ignore[no-untyped-call]
    assert a.grad is not None and b.grad is not None
    torch.testing.assert_close(a.grad, -second.exp() / 2)
    torch.testing.assert_close(b.grad, -first.exp() / 2)


def test_padding_changes_nothing() -> None:
    first, second = views(2)
    lengths = torch.tensor([5, 5, 5])
    whole = symmetric_divergence(first, second, lengths)
    first[:, 5:], second[:, 5:] = torch.nan, torch.inf
    torch.testing.assert_close(symmetric_divergence(first, second, lengths), whole)


def test_equal_views_agree() -> None:
    first, _ = views()
    assert symmetric_divergence(first, first, torch.tensor([7, 7, 7])).abs().max() == 0


def test_other_seeds() -> None:
    seeds = torch.tensor([0, 1, -5, 2**62])
    assert not bool((other_seeds(seeds) == seeds).any())
    assert other_seeds(other_seeds(seeds)).tolist() == seeds.tolist()


def test_shapes_are_checked() -> None:
    first, second = views()
    with pytest.raises(SeqlabError, match="must both be"):
        symmetric_divergence(first, second[:, :3], torch.tensor([7, 7, 7]))
