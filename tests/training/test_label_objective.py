"""Mixed utterances, rare labels and teachers, each worked out another way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from seqlab.data.batch import Batch
from seqlab.encoders.mlp import MLPEncoder
from seqlab.errors import ModelError, RecipeError
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import LabelTokenizer
from seqlab.training.config import TrainingConfig
from seqlab.training.label_objective import (
    LabelObjective,
    Teacher,
    label_objective,
    label_weights,
    mix,
    teacher_mark,
)
from seqlab.training.step import LossModule
from tests.inference.keywords import LABELS, spotting_model
from tests.test_model import recogniser


def batch() -> Batch:
    waveform = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)) / 10
    waveform[1, 2500:] = 0
    return Batch(
        waveform=waveform,
        lengths=torch.tensor([4000, 2500, 4000]),
        targets=torch.tensor([[0], [2], [1]]),
        target_lengths=torch.ones(3, dtype=torch.int64),
        seeds=torch.tensor([5, 6, 7]),
        utterances=(),
    )


def test_mixed_waveforms_and_shares() -> None:
    first = batch()
    mixed = mix(first, 0.4)
    share = mixed.share[1]
    expected = share * first.waveform[1] + (1 - share) * first.waveform[0]
    torch.testing.assert_close(mixed.batch.waveform[1], expected)
    assert mixed.batch.lengths.tolist() == [4000, 4000, 4000]
    assert mixed.other.flatten().tolist() == [1, 0, 2]
    again = mix(replace(first, waveform=first.waveform + 1), 0.4)
    assert torch.equal(again.share, mixed.share)  # by seed alone
    seeds = torch.arange(4000)
    many = replace(first, waveform=torch.zeros(4000, 1), seeds=seeds, lengths=seeds, targets=seeds)
    shares = mix(many, 0.4).share.double()
    # Of the beta distribution: mean 1/2, variance 1 / (4 (2 alpha + 1)).
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.8), abs=0.01)


def test_mixed_loss_is_the_cross_entropy_with_soft_targets() -> None:
    model = spotting_model("classifier")
    mixed = mix(batch(), 0.4)
    soft = mixed.share[:, None] * functional.one_hot(mixed.batch.targets[:, 0], 4)
    soft = soft + (1 - mixed.share[:, None]) * functional.one_hot(mixed.other[:, 0], 4)
    with torch.no_grad():
        log_probs, _ = model(mixed.batch.waveform, mixed.batch.lengths)
        expected = functional.cross_entropy(log_probs, soft, reduction="none")
        torch.testing.assert_close(LabelObjective(mixup=0.4)(model, batch()), expected)


def test_weights_of_rare_labels() -> None:
    labels = [0] * 60 + [1] * 30 + [3] * 10
    balanced = label_weights(labels, 4, 1.0)
    # n / (classes * count), as scikit-learn's "balanced", over the three classes that occur.
    expected = [100 / (3 * count) for count in (60, 30, 10)]
    assert balanced[[0, 1, 3]].tolist() == pytest.approx(expected)
    assert label_weights(labels, 4, 0.0).tolist() == [1.0] * 4
    half = label_weights(labels, 4, 0.5)
    assert float(half[3] / half[0]) == pytest.approx(6**0.5)
    assert float(half[torch.tensor(labels)].mean()) == pytest.approx(1)


def test_weighed_loss() -> None:
    model, weights = spotting_model("keyword"), torch.tensor([1.0, 2.0, 0.5, 1.0])
    with torch.no_grad():
        plain = model.loss(batch())
        found = LabelObjective(weights=weights)(model, batch())
    torch.testing.assert_close(found, plain * torch.tensor([1.0, 0.5, 2.0]))


def other_labels(model: SpeechModel, labels: list[str]) -> SpeechModel:
    """The same model, which calls its classes something else."""
    parts = (model.frontend, model.encoder, model.head)
    return SpeechModel(*parts, LabelTokenizer(labels=labels)).eval()


def test_teacher_is_the_softened_divergence() -> None:
    student, reordered = spotting_model("classifier"), ["c", "b", "<unknown>", "a"]
    untrained = spotting_model("keyword", encoder=spotting_model().encoder)
    teacher = Teacher(other_labels(untrained, reordered), student, "t", 3.0)
    with torch.no_grad():
        log_probs, _ = student(batch().waveform, batch().lengths)
        taught, _ = untrained(batch().waveform, batch().lengths)
        taught = taught[:, [reordered.index(label) for label in LABELS]]
        expected = 9 * functional.kl_div(
            (log_probs / 3).log_softmax(-1), (taught / 3).softmax(-1), reduction="none"
        ).sum(-1)
        torch.testing.assert_close(teacher.losses(log_probs, batch()), expected)
        both = LabelObjective(teacher=teacher, teacher_weight=0.3)(student, batch())
        torch.testing.assert_close(both, 0.7 * student.loss(batch()) + 0.3 * expected)
    assert not any(p.requires_grad for p in teacher.model.parameters())


def test_teacher_of_itself_has_nothing_to_say() -> None:
    teacher = Teacher(spotting_model(), spotting_model(), "t", 2.0)
    log_probs, _ = spotting_model()(batch().waveform, batch().lengths)
    torch.testing.assert_close(teacher.losses(log_probs, batch()), torch.zeros(3))


def test_objective_is_of_training_and_no_parameter() -> None:
    model = spotting_model()
    objective = LabelObjective(teacher=Teacher(spotting_model(), model, "t", 2.0))
    module = LossModule(model, objective=objective)
    assert len(list(module.parameters())) == len(list(model.parameters()))
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(batch()), model.loss(batch()))
        assert not torch.allclose(module.train()(batch()), model.loss(batch()))


def test_what_a_recipe_asks_for(tmp_path: Path) -> None:
    model = spotting_model(encoder=MLPEncoder(16))
    assert label_objective(TrainingConfig(), model, [0, 1]) is None
    model.save(tmp_path / "teacher")
    config = TrainingConfig(mixup=0.2, class_balance=1.0, teacher=str(tmp_path / "teacher"))
    found = label_objective(config, model, [0, 0, 1])
    assert found is not None and found.mixup == 0.2 and found.teacher is not None
    assert found.weights is not None and found.weights[:2].tolist() == [0.75, 1.5]
    assert len(teacher_mark(config)) == 1 and teacher_mark(TrainingConfig()) == {}
    with pytest.raises(ModelError, match=r"training\.mixup is for classifiers, not for CTCHead"):
        label_objective(TrainingConfig(mixup=0.2), recogniser(), [])


def test_teachers_that_do_not_fit() -> None:
    student = spotting_model()
    with pytest.raises(ModelError, match="other labels than the training data, such as 'c'"):
        Teacher(other_labels(spotting_model(), ["<unknown>", "a", "b", "x"]), student, "t", 2.0)
    with pytest.raises(ModelError, match="teacher and student must give labels"):
        Teacher(recogniser(), student, "t", 2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup": -0.1}, r"training\.mixup=-0\.1 must be from 0"),
        ({"mixup": float("nan")}, r"training\.mixup=nan must be from 0"),
        ({"class_balance": 1.5}, r"class_balance=1\.5 must be from 0 to 1"),
        ({"teacher_weight": 0.7}, r"teacher_weight=0\.7 needs training\.teacher"),
        ({"teacher": "t", "teacher_weight": 0.0}, r"teacher_weight=0\.0 must be above 0"),
        ({"teacher": "t", "teacher_temperature": 0.5}, "must be from 1 to 100"),
        ({"mixup": 0.2, "consistency": 0.2}, r"training\.consistency is for CTC"),
        ({"false_alarms_per_hour": 1.0}, r"needs training\.monitor=miss_rate"),
        ({"monitor": "miss_rate", "false_alarms_per_hour": -1.0}, "must be at least 0"),
    ],
)
def test_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TrainingConfig(**settings)  # type: ignore[arg-type]
