"""One optimizer step over one or several batches, the same for every number of processes."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from seqlab.errors import TrainingError
from seqlab.training.compiling import Forwards, replaced
from seqlab.training.label_objective import LabelObjective
from seqlab.training.objective import consistent_losses
from seqlab.training.preflight import listed

if TYPE_CHECKING:
    from seqlab.data.batch import Batch
    from seqlab.model import SpeechModel


class LossModule(nn.Module):
    """The model's loss as a forward pass, so that wrappers for many processes see it.

    Args:
        model: The model.
        consistency: Weight of the divergence between two maskings; see ``consistent_losses``.
        forwards: Stand in for the ``forward`` of some modules here, and only here: compiled for
            training, while validations, of few batches, go without.
        objective: Of a classifier, in place of its head's loss; None for that.
    """

    def __init__(
        self,
        model: SpeechModel,
        consistency: float = 0.0,
        forwards: Forwards | None = None,
        objective: LabelObjective | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.consistency = consistency
        self.forwards = dict(forwards or {})
        self.objective = objective

    def forward(self, batch: Batch) -> Tensor:
        """Loss of each utterance (B,)."""
        with replaced(self.forwards):
            if self.consistency and self.training:
                return consistent_losses(self.model, batch, self.consistency)
            if self.objective is not None and self.training:
                return self.objective(self.model, batch)
            return self.model.loss(batch)


@dataclass(frozen=True)
class StepResult:
    """What a step did, over all processes.

    Args:
        loss: Sum of the utterances' losses.
        utterances: Their number.
        audio_s: Seconds of audio in them.
        gradient_norm: L2 norm of the gradient of their mean loss, before clipping.
        stop: Whether any process was asked to stop.
    """

    loss: float
    utterances: int
    audio_s: float
    gradient_norm: float
    stop: bool


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seed the random numbers of a step: dropout and the like.

    They depend on nothing else, so a resumed training draws what the uninterrupted one drew.

    Args:
        seed: The run's seed.
        step: Optimizer steps taken so far.
        rank: This process.
    """
    words = np.random.SeedSequence([seed, step, rank]).generate_state(3, np.uint64)
    torch.manual_seed(int(words[0] >> np.uint64(1)))
    random.seed(int(words[1]))
    np.random.seed(int(words[2]) % 2**32)  # noqa: NPY002 - components from outside may use it


def training_step(
    accelerator: Accelerator,
    module: nn.Module,
    optimizer: Any,
    batches: Sequence[Batch],
    *,
    sample_rate: int,
    gradient_clip: float | None = None,
    stop: bool = False,
) -> StepResult:
    """Add up the gradients of ``batches``, check them, and take one optimizer step.

    The gradient is that of the mean loss over all utterances of all batches on all processes:
    each process sums its own, scaled so that the average over processes is the global mean.

    Args:
        accelerator: Moves, scales and sums over processes.
        module: The prepared `LossModule`.
        optimizer: The prepared optimizer, its learning rate set.
        batches: This process's share of each batch of the step, at least one utterance each.
        sample_rate: Of the waveforms, in Hz.
        gradient_clip: Largest gradient norm, above 0; None does not clip.
        stop: This process was asked to stop; all processes learn of it.

    Raises:
        TrainingError: A loss or the gradient is not finite; the weights are untouched.
    """
    batches = [batch.to(accelerator.device) for batch in batches]
    (utterances,) = _sum_over_processes(accelerator, [sum(len(batch.ids) for batch in batches)])
    scale = accelerator.num_processes / utterances
    optimizer.zero_grad()
    losses = []
    for number, batch in enumerate(batches, start=1):
        last = number == len(batches)
        with contextlib.nullcontext() if last else accelerator.no_sync(module):
            loss = module(batch)
            accelerator.backward(loss.sum() * scale)
        losses.append(loss.detach())
    own = torch.cat(losses).float()
    broken = ~torch.isfinite(own)
    audio_s = sum(int(batch.lengths.sum()) for batch in batches) / sample_rate
    figures = [float(own.double().sum()), audio_s, int(broken.sum()), float(stop)]
    loss_sum, audio_s, broken_count, stops = _sum_over_processes(accelerator, figures)
    if broken_count:
        ids = [name for batch in batches for name in batch.ids]
        _raise_broken([ids[i] for i in broken.nonzero().flatten().tolist()])
    norm = float(accelerator.clip_grad_norm_(module.parameters(), gradient_clip or math.inf))
    if not math.isfinite(norm) and accelerator.scaler is None:
        ids = [name for batch in batches for name in batch.ids]
        raise TrainingError(
            f"the gradient norm is {norm}, must be finite; lower optimizer.lr, or look at the "
            f"utterances of this step: {listed(ids)}"
        )
    optimizer.step()
    return StepResult(loss_sum, int(utterances), audio_s, norm, stops > 0)


def _sum_over_processes(accelerator: Accelerator, figures: Sequence[float]) -> list[float]:
    if accelerator.num_processes == 1:
        return list(figures)
    values = torch.tensor(figures, dtype=torch.float64, device=accelerator.device)
    total: list[float] = accelerator.reduce(values, reduction="sum").tolist()
    return total


def _raise_broken(own: list[str]) -> None:
    ids = gather_object(own)
    raise TrainingError(
        f"the loss of {len(ids)} utterance(s) is not finite: {listed(ids)}; listen to them, "
        "lower optimizer.lr, or set training.gradient_clip"
    )
