"""What the training of a classifier minimises: mixed utterances, rare labels, and a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlab.data.batch import Batch
from seqlab.errors import ModelError
from seqlab.model import SpeechModel
from seqlab.saving import WEIGHTS_NAME
from seqlab.training.config import TrainingConfig

__all__ = ["LabelObjective", "Mixed", "Teacher", "label_objective", "label_weights", "mix"]

_MIXUP = 0x6D69787570  # keeps these draws apart from others of the same seed


@dataclass(frozen=True)
class Mixed:
    """A batch whose utterances are mixed by twos.

    Args:
        batch: With the mixed waveforms, and the labels of the first of the two.
        other: Labels (B, 1) of the second.
        share: Of the first (B,), within [0, 1].
    """

    batch: Batch
    other: Tensor
    share: Tensor


def mix(batch: Batch, alpha: float) -> Mixed:
    """Mix each utterance with its neighbour in the batch.

    The share depends only on the utterance's seed. The neighbour, random since batches are
    shuffled, depends on the batch: with several processes, on how many they are.

    Args:
        batch: Waveforms of labels.
        alpha: Both parameters of the beta distribution, above 0.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equations 1 and 2, of
    waveforms; the shorter is followed by silence.
    """
    draws = [np.random.default_rng([_MIXUP, s]).beta(alpha, alpha) for s in batch.seeds.tolist()]
    share = torch.tensor(draws, dtype=batch.waveform.dtype, device=batch.waveform.device)
    neighbour = batch.waveform.roll(1, 0)
    waveform = share[:, None] * batch.waveform + (1 - share[:, None]) * neighbour
    lengths = torch.maximum(batch.lengths, batch.lengths.roll(1, 0))
    return Mixed(
        replace(batch, waveform=waveform, lengths=lengths), batch.targets.roll(1, 0), share
    )


def label_weights(labels: Sequence[int], num_classes: int, power: float) -> Tensor:
    """Weight (C,) of each label, 1 on average over ``labels``; the rarer, the greater.

    Args:
        labels: Of all training utterances, at least one.
        num_classes: C.
        power: From 0, all weigh the same, to 1, all labels together weigh the same.

    Example:
        >>> label_weights([0, 0, 0, 1], 2, power=1.0).tolist()
        [0.6666666865348816, 2.0]
    """
    counts = np.bincount(np.asarray(labels), minlength=num_classes)
    weights = np.maximum(counts, 1) ** -float(power)
    mean = float((counts * weights).sum() / counts.sum())
    return torch.from_numpy((weights / mean).astype(np.float32))


class Teacher:
    """A trained classifier whose probabilities another one learns.

    It hears what its student hears, noise and mixing included, without masks of features.

    Args:
        model: Trained; it is left as it is.
        student: Fresh; its labels and sample rate must be the teacher's.
        name: For messages, such as the folder.
        temperature: What log-probabilities are divided by, at least 1.

    Raises:
        ModelError: The two do not fit.

    Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network",
    section 2: the cross-entropy with the soft targets times the squared temperature, here less
    the targets' entropy, so that 0 is perfect.
    """

    def __init__(
        self, model: SpeechModel, student: SpeechModel, name: str, temperature: float
    ) -> None:
        where = f"training.teacher={name}"
        if model.head.output != "label" or student.head.output != "label":
            raise ModelError(f"{where}: teacher and student must give labels; leave it out")
        if model.sample_rate != student.sample_rate:
            raise ModelError(
                f"{where} takes {model.sample_rate} Hz, the recipe's front end "
                f"{student.sample_rate}; they must be equal"
            )
        theirs, ours = list(model.tokenizer.tokens), list(student.tokenizer.tokens)
        if sorted(theirs) != sorted(ours):
            odd = sorted(set(theirs) ^ set(ours))
            raise ModelError(
                f"{where} has other labels than the training data, such as {odd[0]!r}; train a "
                "teacher on the same labels"
            )
        self.model = model.eval().requires_grad_(False)
        self.order = torch.tensor([theirs.index(label) for label in ours])
        self.temperature = temperature

    def losses(self, log_probs: Tensor, batch: Batch) -> Tensor:
        """How far a student's log_probs (B, C) are from the teacher's, (B,)."""
        with torch.no_grad():
            model = self.model.to(log_probs.device)
            taught: Tensor = model(batch.waveform, batch.lengths)[0]
            soft = self._softened(taught[:, self.order.to(taught.device)])
        learnt = self._softened(log_probs)
        return self.temperature**2 * (soft.exp() * (soft - learnt)).sum(-1)

    def _softened(self, log_probs: Tensor) -> Tensor:
        return (log_probs / self.temperature).log_softmax(-1)


@dataclass(frozen=True)
class LabelObjective:
    """Loss of a classifier in training; see `TrainingConfig` for what each part is.

    Args:
        mixup: Parameter of the beta distribution; 0 mixes nothing.
        weights: Of each label (C,); None weighs all alike.
        teacher: If there is one.
        teacher_weight: Of its part.
    """

    mixup: float = 0.0
    weights: Tensor | None = None
    teacher: Teacher | None = None
    teacher_weight: float = 0.5

    def __call__(self, model: SpeechModel, batch: Batch) -> Tensor:
        """Loss of each utterance (B,)."""
        mixed = mix(batch, self.mixup) if self.mixup else None
        batch = batch if mixed is None else mixed.batch
        encoded, lengths = model.encode(batch.waveform, batch.lengths, batch.seeds)

        def of(targets: Tensor) -> Tensor:
            losses = model.head.loss(encoded, lengths, targets, batch.target_lengths)
            return losses if self.weights is None else losses * self._weights(targets)

        losses = of(batch.targets)
        if mixed is not None:
            losses = mixed.share * losses + (1 - mixed.share) * of(mixed.other)
        if self.teacher is not None:
            taught = self.teacher.losses(model.head(encoded, lengths), batch)
            losses = (1 - self.teacher_weight) * losses + self.teacher_weight * taught
        return losses

    def _weights(self, targets: Tensor) -> Tensor:
        assert self.weights is not None
        return self.weights.to(targets.device)[targets[:, 0]]


def label_objective(
    config: TrainingConfig, model: SpeechModel, labels: Sequence[int]
) -> LabelObjective | None:
    """What a recipe asks for; None where that is the head's own loss.

    Args:
        config: Of the training.
        model: Fresh.
        labels: Of all training utterances.

    Raises:
        ModelError: It asks for something of a model that is no classifier, or for a teacher that
            does not fit.
    """
    asked = [n for n in ("mixup", "class_balance", "teacher") if getattr(config, n)]
    if not asked:
        return None
    if model.head.output != "label":
        raise ModelError(
            f"training.{asked[0]} is for classifiers, not for {type(model.head).__name__}; leave "
            "it out"
        )
    weights = teacher = None
    if config.class_balance:
        weights = label_weights(labels, len(model.tokenizer), config.class_balance)
    if config.teacher is not None:
        found = SpeechModel.load(config.teacher)
        teacher = Teacher(found, model, config.teacher, config.teacher_temperature)
    return LabelObjective(config.mixup, weights, teacher, config.teacher_weight)


def teacher_mark(config: TrainingConfig) -> dict[str, str]:
    """The teacher's weights as a setting, so that a training goes on with the same ones only."""
    if config.teacher is None:
        return {}
    content = (Path(config.teacher) / WEIGHTS_NAME).read_bytes()
    return {"training.teacher's weights": hashlib.sha256(content).hexdigest()}
