"""The head of events: activity by hand, and the loss against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seqlab.errors import SeqlabError
from seqlab.heads.event import EventHead


def test_activity_by_hand() -> None:
    """Edges are rounded; a short event keeps a frame; overlaps and late ends do no harm."""
    head = EventHead(4, 3, frame_s=0.02)
    events = [0, 0, 40, 0, 30, 70, 1, 41, 45, 2, 90, 9999]
    active = head.activity(torch.tensor([events]), torch.tensor([12]), 6)[0].int().T.tolist()
    assert active == [[1, 1, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert not head.activity(torch.tensor([events]), torch.tensor([0]), 6).any()
    beyond = torch.tensor([[1, 500, 600]])
    assert not head.activity(beyond, torch.tensor([3]), 6).any()


def test_loss_is_that_of_torch() -> None:
    torch.manual_seed(0)
    head = EventHead(4, 2, frame_s=0.01, class_weights=[1, 3], positive_weight=2.5)
    encoded, lengths = torch.randn(1, 10, 4), torch.tensor([8])
    targets = torch.tensor([[0, 20, 50, 1, 0, 30]])
    active = torch.zeros(8, 2)
    active[2:5, 0], active[:3, 1] = 1, 1
    with torch.no_grad():
        expected = functional.binary_cross_entropy_with_logits(
            head.linear(encoded[0, :8]),
            active,
            reduction="none",
            pos_weight=torch.tensor(2.5),
        )
        expected = (expected * torch.tensor([0.5, 1.5])).sum(1).mean()
        loss = head.loss(encoded, lengths, targets, torch.tensor([6]))
        log_probs = head(encoded, lengths)
    torch.testing.assert_close(loss[0], expected)
    torch.testing.assert_close(log_probs[0, :8].exp(), head.linear(encoded[0, :8]).sigmoid())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"frame_s": float("nan")}, "frame_s=nan"),
        ({"frame_s": 0}, "frame_s=0"),
        ({"positive_weight": 0}, "positive_weight=0"),
        ({"class_weights": [1.0]}, "must be 3 finite numbers above 0"),
        ({"class_weights": [1, -1, 1]}, "must be 3 finite numbers above 0"),
        ({"dropout": 1.0}, "1.0"),
    ],
)
def test_bad_arguments(arguments: dict, says: str) -> None:
    with pytest.raises(SeqlabError, match=says):
        EventHead(4, 3, **arguments)


@pytest.mark.parametrize(
    ("targets", "lengths", "says"),
    [
        ([[0, 1]], [2], "must be multiples of 3"),
        ([[0, 5, 1]], [3], "times must be 0 <= onset <= offset"),
        ([[0, -5, 1]], [3], "times must be"),
        ([[3, 1, 2]], [3], "target class 3 must be within 0 and 2"),
        ([[0, 1, 2]], [6], "targets"),
    ],
)
def test_bad_targets(targets: list, lengths: list, says: str) -> None:
    head = EventHead(4, 3)
    with pytest.raises(SeqlabError, match=says):
        head.loss(
            torch.zeros(1, 5, 4), torch.tensor([5]), torch.tensor(targets), torch.tensor(lengths)
        )
    with pytest.raises(SeqlabError, match="must be int64"):
        head.activity(torch.zeros(1, 3), torch.tensor([3]), 5)
