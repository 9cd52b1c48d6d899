"""Every Head in the package is found by walking it, and keeps the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from seqlab.contracts import Head
from seqlab.errors import SeqlabError
from seqlab.lengths import pad_stack
from tests.contract import invariants
from tests.contract.discovery import implementations, required_arguments

INPUT_DIM, NUM_CLASSES = 11, 7

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "TransformerDecoderHead": {
        "small": {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "length_normalized": True},
        "last blank": {"hidden_dim": 8, "num_layers": 1, "blank": 6, "label_smoothing": 0.0},
    },
    "LSTMDecoderHead": {
        "dot": {"hidden_dim": 8, "num_layers": 2, "attention": "dot", "blank": 6},
    },
    "TransducerHead": {"last blank": {"hidden_dim": 8, "context": 1, "blank": 6}},
    "LSTMTransducerHead": {
        "deep": {"hidden_dim": 8, "num_layers": 2, "length_normalized": True},
    },
    "JointHead": {
        "transducer first": {
            "heads": {
                "transducer": {
                    "class_path": "seqlab.heads.transducer.TransducerHead",
                    "init_args": {"hidden_dim": 8, "blank": 6},
                },
                "ctc": {"class_path": "seqlab.heads.ctc.CTCHead", "init_args": {"blank": 6}},
            },
            "weights": {"ctc": 0.2, "transducer": 1},
        }
    },
    "CTCHead": {"last blank": {"blank": 6, "length_normalized": True, "dropout": 0.3}},
    "KeywordHead": {
        "background": {"background": [0, 6], "window": 3, "hard_frames": 4},
        "one frame": {"window": 1, "dropout": 0.3, "background": [2]},
    },
    "EventHead": {
        "weighted": {"class_weights": [1, 2, 3, 4, 5, 6, 7.0], "positive_weight": 3.0},
        "slow frames": {"frame_s": 0.001, "dropout": 0.3},
    },
    "ClassifierHead": {
        "max": {"pooling": "max", "class_weights": [1, 2, 3, 4, 5, 6, 7.0]},
        "attention": {"pooling": "attention", "label_smoothing": 0.1, "dropout": 0.3},
        "multihead": {"pooling": "multihead"},
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
    sizes = [1 if head.output == "label" else min(3, length) for length in lengths]
    targets = [torch.tensor(tokens[:size], dtype=torch.int64) for size in sizes]
    return *pad_stack(items, value=padding), *pad_stack(targets, value=0)


def test_discovery_finds_the_known_heads():
    assert {kind.__name__ for kind in implementations(Head)} >= set(VARIANTS)


@pytest.mark.parametrize("kind", implementations(Head), ids=lambda kind: kind.__name__)
def test_required_arguments(kind):
    assert required_arguments(kind) == ["input_dim", "num_classes"]
    assert kind.output in ("frames", "label", "tokens", "events")


def test_shapes_and_sums(head):
    encoded, lengths, *_ = batch(head, [9, 4], padding=0.0)
    log_probs = invariants.without_dropout(head)(encoded, lengths)
    if head.output == "tokens":
        assert torch.equal(log_probs, encoded)
        return
    assert log_probs.shape == ((2, NUM_CLASSES) if head.output == "label" else (2, 9, NUM_CLASSES))
    if head.output == "events":
        assert (log_probs <= 0).all()
        return
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
            result = log_probs[index] if head.output == "label" else log_probs[index, :length]
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
    shapes = {"label": (2, NUM_CLASSES), "frames": (2, 0, NUM_CLASSES), "tokens": (2, 0, INPUT_DIM)}
    shapes["events"] = shapes["frames"]
    assert head(encoded, lengths).shape == shapes[head.output]
    if head.output != "label":
        losses = head.loss(encoded, lengths, torch.zeros(2, 0, dtype=torch.int64), lengths)
        assert torch.isfinite(losses).all()


class LossAlone(nn.Module):
    """A head of which only the loss is looked at."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.head.loss(*inputs)


def test_state_round_trip(make):
    inputs = batch(make(), [9, 5], padding=0.0)
    invariants.check_round_trip(LossAlone(make()), LossAlone(make(seed=1)), *inputs)


def test_training_lowers_the_loss(make):
    head = make().train()
    inputs = batch(head, [9, 5, 14], padding=0.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = head.loss(*inputs).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_reduced_precision(make):
    head = make().train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = head.loss(*batch(head, [9, 5], padding=0.0))
    assert torch.isfinite(losses).all() and losses.dtype == torch.float32
    losses.sum().backward()
    invariants.assert_finite_gradients(head)


def walk(head: Head, encoded, lengths, paths):
    """Log-probabilities (N, steps, C) along ``paths`` (N, steps); N / B rows an utterance."""
    state, found = head.initial_state(encoded, lengths), []
    blanks = torch.full((len(lengths),), head.blank)
    each = len(paths) // len(lengths)
    log_probs, state = head.advance(state, blanks)
    rows = torch.arange(len(lengths)).repeat_interleave(each)
    log_probs, state = log_probs[rows], head.select(state, rows)
    for tokens in paths.unbind(1):
        found.append(log_probs)
        log_probs, state = head.advance(state, tokens)
    return torch.stack([*found, log_probs], dim=1)


def test_hypotheses_advance_as_each_would_alone(make):
    head = make().eval()
    if head.output != "tokens":
        for call in (head.initial_state, head.advance, head.select):
            with pytest.raises(NotImplementedError, match="one token at a time"):
                call(torch.zeros(1, 3, INPUT_DIM), torch.tensor([3]))
        return
    lengths = [9, 4]
    encoded, frames, *_ = batch(head, lengths)
    paths = torch.randint(0, NUM_CLASSES, (6, 3), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        together = walk(head, encoded, frames, paths)
        torch.testing.assert_close(together.exp().sum(-1), torch.ones(6, 4))
        for row, path in enumerate(paths):
            alone = batch(head, [lengths[row // 3]])[:2]
            result = walk(head, *alone, path[None])[0]
            torch.testing.assert_close(result, together[row], **invariants.CLOSE)


def test_a_step_remembers_nothing(make):
    head = make().eval()
    if head.output != "tokens":
        return
    encoded, frames, *_ = batch(head, [9, 4])
    with torch.no_grad():
        _, state = head.advance(head.initial_state(encoded, frames), torch.full((2,), head.blank))
        first, _ = head.advance(state, torch.tensor([1, 2]))
        head.advance(state, torch.tensor([3, 4]))
        assert torch.equal(head.advance(state, torch.tensor([1, 2]))[0], first)
        twice = head.select(state, torch.tensor([0, 0, 1, 1]))
        again, _ = head.advance(twice, torch.tensor([3, 1, 2, 5]))
        torch.testing.assert_close(again[1:3], first, **invariants.CLOSE)


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
