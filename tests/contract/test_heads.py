"""Every Head in the package is found by walking it, and keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seqlab.contracts import Head
from seqlab.errors import SeqlabError
from seqlab.lengths import pad_stack
from tests.contract import invariants
from tests.contract.discovery import implementations, required_arguments

INPUT_DIM, NUM_CLASSES = 11, 7

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "CTCHead": {"last blank": {"blank": 6, "length_normalized": True, "dropout": 0.3}},
    "ClassifierHead": {
        "max": {"pooling": "max", "class_weights": [1, 2, 3, 4, 5, 6, 7.0]},
        "attention": {"pooling": "attention", "label_smoothing": 0.1, "dropout": 0.3},
    },
}
CASES = [
    (kind, name, arguments)
    for kind in implementations(Head)
    for name, arguments in {"default": {}, **VARIANTS.get(kind.__name__, {})}.items()
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}", scope="module")
def make(request: pytest.FixtureRequest):
    kind, _, arguments = request.param

    def build(seed: int = 0) -> Head:
        torch.manual_seed(seed)
        return kind(INPUT_DIM, NUM_CLASSES, **arguments)

    return build


@pytest.fixture(scope="module")
def head(make) -> Head:
    return make()


def batch(head: Head, lengths: list[int], padding: float = float("nan")):
    """Encoded items, and targets that fit them: one label, or up to three tokens."""
    items = [invariants.noise(length, INPUT_DIM, seed=length) for length in lengths]
    tokens = [t for t in range(NUM_CLASSES) if t != getattr(head, "blank", None)]
    sizes = [min(3, length) if head.output == "frames" else 1 for length in lengths]
    targets = [torch.tensor(tokens[:size], dtype=torch.int64) for size in sizes]
    return *pad_stack(items, value=padding), *pad_stack(targets, value=0)


def test_discovery_finds_the_known_heads():
    assert {kind.__name__ for kind in implementations(Head)} >= set(VARIANTS)


@pytest.mark.parametrize("kind", implementations(Head), ids=lambda kind: kind.__name__)
def test_required_arguments(kind):
    assert required_arguments(kind) == ["input_dim", "num_classes"]
    assert kind.output in ("frames", "label", "tokens")


def test_shapes_and_sums(head):
    encoded, lengths, *_ = batch(head, [9, 4], padding=0.0)
    log_probs = invariants.without_dropout(head)(encoded, lengths)
    assert log_probs.shape == ((2, 9, NUM_CLASSES) if head.output == "frames" else (2, NUM_CLASSES))
    sums = log_probs.exp().sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_padded_batch_equals_each_item_alone(make):
    head = make().eval()
    lengths = [9, 5, 14, 3]
    encoded, frames, targets, target_lengths = batch(head, lengths)
    with torch.no_grad():
        log_probs = head(encoded, frames)
        losses = head.loss(encoded, frames, targets, target_lengths)
        for index, length in enumerate(lengths):
            alone = batch(head, [length])
            log_probs_alone, loss_alone = head(*alone[:2])[0], head.loss(*alone)
            result = log_probs[index, :length] if head.output == "frames" else log_probs[index]
            torch.testing.assert_close(result, log_probs_alone, **invariants.CLOSE)
            torch.testing.assert_close(losses[index], loss_alone[0], **invariants.CLOSE)


def test_loss_is_one_finite_number_an_utterance(head):
    losses = head.loss(*batch(head, [9, 5, 14]))
    assert losses.shape == (3,)
    assert torch.isfinite(losses).all() and (losses > 0).all()


def test_gradients_reach_everything(make):
    head = invariants.without_dropout(make()).train()
    encoded, lengths, targets, target_lengths = batch(head, [9, 5], padding=0.0)
    encoded.requires_grad_()
    head.loss(encoded, lengths, targets, target_lengths).sum().backward()
    invariants.assert_finite_gradients(head)
    assert torch.isfinite(encoded.grad).all() and encoded.grad[0].any()
    assert not encoded.grad[1, 5:].any()


def test_utterance_without_frames_has_a_finite_gradient(make):
    head = make().train()
    encoded, lengths, targets, target_lengths = batch(head, [0, 8], padding=0.0)
    encoded.requires_grad_()
    losses = head.loss(encoded, lengths, targets, target_lengths)
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(encoded.grad).all()
    invariants.assert_finite_gradients(head)


def test_batch_without_frames(make):
    head = make().eval()
    encoded, lengths = torch.zeros(2, 0, INPUT_DIM), torch.zeros(2, dtype=torch.int64)
    log_probs = head(encoded, lengths)
    assert log_probs.shape == ((2, 0, NUM_CLASSES) if head.output == "frames" else (2, NUM_CLASSES))


def test_state_round_trip(make):
    encoded, lengths, *_ = batch(make(), [9, 5], padding=0.0)
    invariants.check_round_trip(make(), make(seed=1), encoded, lengths)


def test_bad_input_is_refused(head):
    with pytest.raises(SeqlabError, match="input_dim"):
        head(torch.zeros(1, 3, INPUT_DIM + 1), torch.tensor([3]))
    encoded, lengths, targets, target_lengths = batch(head, [9], padding=0.0)
    with pytest.raises(SeqlabError, match="must be within 0 and 6"):
        head.loss(encoded, lengths, targets + NUM_CLASSES, target_lengths)


@pytest.mark.parametrize("kind", implementations(Head), ids=lambda kind: kind.__name__)
def test_bad_sizes_are_refused(kind):
    with pytest.raises(SeqlabError, match="input_dim"):
        kind(0, NUM_CLASSES)
    with pytest.raises(SeqlabError, match="num_classes"):
        kind(INPUT_DIM, 1)
