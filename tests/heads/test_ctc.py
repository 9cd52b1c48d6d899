"""CTC against the sum over all paths, worked out by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.heads.ctc import CTCHead, ctc_required_lengths
from seqlab.lengths import ctc_required_length


def collapse(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """Merge repeats, then drop blanks (Graves et al. 2006, the map B)."""
    return tuple(token for token, _ in itertools.groupby(path) if token != blank)


def loss_by_enumeration(log_probs: torch.Tensor, target: list[int], blank: int) -> float:
    """-log of the probability of all paths that collapse to the target (equation 3)."""
    total = 0.0
    frames, classes = log_probs.shape
    for path in itertools.product(range(classes), repeat=frames):
        if collapse(path, blank) == tuple(target):
            total += math.exp(sum(float(log_probs[t, token]) for t, token in enumerate(path)))
    return -math.log(total) if total else math.inf


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(0, 5),
    padding=st.integers(0, 2),
    blank=st.integers(0, 2),
    target=st.lists(st.integers(0, 1), max_size=4),
    seed=st.integers(0, 99),
)
def test_loss_sums_over_all_paths(frames, padding, blank, target, seed):
    torch.manual_seed(seed)
    target = [token if token < blank else token + 1 for token in target]
    head = CTCHead(4, 3, blank=blank).double()
    encoded, lengths = torch.randn(1, frames + padding, 4).double(), torch.tensor([frames])
    targets = torch.tensor([[*target, blank]])
    loss = head.loss(encoded, lengths, targets, torch.tensor([len(target)]))
    log_probs = head(encoded, lengths)[0, :frames].detach()
    expected = loss_by_enumeration(log_probs, target, blank)
    torch.testing.assert_close(loss, torch.tensor([expected]).double())


def test_target_that_does_not_fit_is_infinite_and_harmless():
    head = CTCHead(4, 3)
    encoded = torch.randn(3, 3, 4, requires_grad=True)
    targets = torch.tensor([[1, 2, 0], [1, 1, 2], [1, 1, 0]])
    lengths, target_lengths = torch.tensor([3, 3, 2]), torch.tensor([2, 3, 2])
    losses = head.loss(encoded, lengths, targets, target_lengths)
    assert torch.isfinite(losses[0]) and torch.isinf(losses[1:]).all()
    losses.sum().backward()
    assert encoded.grad[0].any() and not encoded.grad[1:].any()
    alone = head.loss(encoded[:1], lengths[:1], targets[:1], target_lengths[:1])
    (expected,) = torch.autograd.grad(alone.sum(), head.linear.weight)
    torch.testing.assert_close(head.linear.weight.grad, expected)


def test_nan_is_not_hidden():
    head = CTCHead(4, 3)
    encoded = torch.randn(2, 5, 4)
    encoded[1, 2, 0] = float("nan")
    losses = head.loss(
        encoded, torch.tensor([5, 5]), torch.tensor([[1], [1]]), torch.tensor([1, 1])
    )
    assert torch.isfinite(losses[0]) and torch.isnan(losses[1])


def test_length_normalisation_divides_by_the_tokens():
    plain, normalized = CTCHead(4, 5), CTCHead(4, 5, length_normalized=True)
    normalized.load_state_dict(plain.state_dict())
    batch = (
        torch.randn(2, 9, 4),
        torch.tensor([9, 7]),
        torch.tensor([[1, 2, 3], [0, 0, 0]]),
        torch.tensor([3, 0]),
    )
    ratio = plain.loss(*batch) / normalized.loss(*batch)
    torch.testing.assert_close(ratio, torch.tensor([3.0, 1.0]))


@given(tokens=st.lists(st.integers(0, 3), max_size=12), rest=st.integers(0, 3))
def test_required_lengths_agree_with_the_scalar_formula(tokens, rest):
    targets = torch.tensor([tokens + [0] * rest], dtype=torch.int64)
    required = ctc_required_lengths(targets, torch.tensor([len(tokens)]))
    assert int(required) == ctc_required_length(tokens)


@pytest.mark.parametrize(
    ("targets", "target_lengths", "message"),
    [
        (torch.tensor([[0]]), torch.tensor([1]), "not the blank 0"),
        (torch.tensor([[3]]), torch.tensor([1]), "within 0 and 2"),
        (torch.tensor([[-1]]), torch.tensor([1]), "target token -1"),
        (torch.tensor([[1]]), torch.tensor([2]), "padded length 1"),
        (torch.tensor([1]), torch.tensor([1]), "int64 \\(B, U\\)"),
        (torch.tensor([[1.0]]), torch.tensor([1]), "int64 \\(B, U\\)"),
    ],
)
def test_bad_targets(targets, target_lengths, message):
    with pytest.raises(SeqlabError, match=message):
        CTCHead(4, 3).loss(torch.zeros(1, 5, 4), torch.tensor([5]), targets, target_lengths)


def test_bad_blank():
    with pytest.raises(SeqlabError, match="blank=3"):
        CTCHead(4, 3, blank=3)
