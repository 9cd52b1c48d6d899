"""The classifier's loss against torch.nn.functional.cross_entropy and its formula."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seqlab.errors import SeqlabError
from seqlab.heads.classifier import ClassifierHead

WEIGHTS = [0.5, 1.0, 4.5, 2.0]
ENCODED = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([5, 4, 3, 2, 1, 5])
LABELS = torch.tensor([0, 1, 2, 3, 2, 0])
ONE = torch.ones(6, dtype=torch.int64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_equals_cross_entropy(smoothing, weights):
    head = ClassifierHead(3, 4, label_smoothing=smoothing, class_weights=weights)
    losses = head.loss(ENCODED, LENGTHS, LABELS[:, None], ONE).detach()
    pooled = torch.stack([e[:n].mean(0) for e, n in zip(ENCODED, LENGTHS, strict=True)])
    logits = pooled @ head.linear.weight.T + head.linear.bias
    scale = 1.0 if weights is None else sum(WEIGHTS) / 4
    expected = functional.cross_entropy(
        logits,
        LABELS,
        None if weights is None else torch.tensor(weights),
        reduction="none",
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(losses, expected / scale)


def test_formula_of_smoothing_and_weights():
    head = ClassifierHead(3, 4, label_smoothing=0.2, class_weights=WEIGHTS)
    log_probs = head(ENCODED, LENGTHS).detach()
    weights = [w / 2.0 for w in WEIGHTS]  # their mean is 2
    losses = head.loss(ENCODED, LENGTHS, LABELS[:, None], ONE).detach()
    for index, label in enumerate(LABELS.tolist()):
        target = [0.05 + 0.8 * (c == label) for c in range(4)]
        expected = -sum(target[c] * weights[c] * float(log_probs[index, c]) for c in range(4))
        assert float(losses[index]) == pytest.approx(expected, rel=1e-5)


def test_weights_follow_the_model_but_not_its_files():
    head = ClassifierHead(3, 4, class_weights=WEIGHTS)
    assert "class_weights" not in head.state_dict()
    assert head.double().class_weights.dtype == torch.float64
    assert float(head.class_weights.mean()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "avg"}, "must be one of 'attention', 'max', 'mean'"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"class_weights": [1.0, 2.0]}, "must be 4 finite numbers"),
        ({"class_weights": [1.0, 2.0, 0.0, 1.0]}, "above 0"),
        ({"class_weights": [1.0, 2.0, float("nan"), 1.0]}, "finite"),
        ({"dropout": -1.0}, "dropout"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(SeqlabError, match=message):
        ClassifierHead(3, 4, **arguments)


@pytest.mark.parametrize(
    ("targets", "target_lengths", "message"),
    [
        (torch.tensor([[4]]), torch.tensor([1]), "target label 4"),
        (torch.tensor([[-1]]), torch.tensor([1]), "target label -1"),
        (torch.tensor([[1, 2]]), torch.tensor([2]), "one label an utterance"),
        (torch.tensor([1]), torch.tensor([1]), "one label an utterance"),
    ],
)
def test_bad_targets(targets, target_lengths, message):
    with pytest.raises(SeqlabError, match=message):
        ClassifierHead(3, 4).loss(ENCODED[:1], LENGTHS[:1], targets, target_lengths)
