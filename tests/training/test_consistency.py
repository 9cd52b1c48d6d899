"""Consistency regularisation as a training switches it on: the loss, worked out step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seqlab.data.batch import Batch
from seqlab.errors import ModelError, RecipeError
from seqlab.heads.consistency import other_seeds, symmetric_divergence
from seqlab.heads.ctc import CTCHead
from seqlab.training.config import TrainingConfig
from seqlab.training.objective import consistent_losses
from seqlab.training.step import LossModule
from tests.test_model import classifier, recogniser


def batch() -> Batch:
    return Batch(
        waveform=torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)) / 10,
        lengths=torch.tensor([8000, 6000]),
        targets=torch.tensor([[1, 2, 3], [2, 1, 0]]),
        target_lengths=torch.tensor([3, 2]),
        seeds=torch.tensor([5, 6]),
        utterances=(),
    )


@pytest.mark.parametrize("length_normalized", [False, True])
def test_mean_of_two_views_and_their_divergence(length_normalized: bool) -> None:
    model = recogniser()
    assert isinstance(model.head, CTCHead)
    model.head.length_normalized = length_normalized
    model.training = True  # batch norm and dropout stay in evaluation mode
    assert model.spec_augment is not None
    model.spec_augment.train()
    first = batch()
    second = replace(first, seeds=other_seeds(first.seeds))
    with torch.no_grad():
        module = LossModule(model, consistency=0.3)
        module.training = True
        found = module(first)
        log_probs = [model(b.waveform, b.lengths, b.seeds) for b in (first, second)]
        divergence = symmetric_divergence(log_probs[0][0], log_probs[1][0], log_probs[0][1])
        per = first.target_lengths if length_normalized else 1
        expected = (model.loss(first) + model.loss(second)) / 2 + 0.3 * divergence / per
    assert bool((divergence > 0).all())
    torch.testing.assert_close(found, expected)


def test_evaluation_has_one_view() -> None:
    model = recogniser()
    module = LossModule(model, consistency=0.3).eval()
    torch.testing.assert_close(module(batch()), model.loss(batch()))


def test_needs_masks_and_frames() -> None:
    model = recogniser().train()
    model.spec_augment = None
    with pytest.raises(ModelError, match="spec_augment section"):
        consistent_losses(model, batch(), 0.2)
    with pytest.raises(ModelError, match="head that answers each frame"):
        consistent_losses(classifier().train(), batch(), 0.2)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_out_of_range(value: float) -> None:
    with pytest.raises(RecipeError, match=r"training\.consistency="):
        TrainingConfig(consistency=value)
