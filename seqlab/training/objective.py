"""What a training minimises beside the model's own loss: the divergence of two views (CR-CTC)."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.data.batch import Batch
from seqlab.errors import ModelError
from seqlab.heads.consistency import other_seeds, symmetric_divergence
from seqlab.heads.intermediate import Taps
from seqlab.model import SpeechModel

__all__ = ["consistent_losses", "encode_twice"]


def consistent_losses(model: SpeechModel, batch: Batch, weight: float) -> Tensor:
    """Loss of each utterance (B,), masked in two ways: the mean of both, and their divergence.

    Args:
        model: In training mode.
        batch: With seeds.
        weight: Of the divergence between what the model says of the two, above 0.

    Raises:
        ModelError: The model masks nothing, or does not answer each frame.

    Source: Yao et al. 2025, "CR-CTC: Consistency regularization on CTC for improved speech
    recognition", equation 3.
    """
    count, target_lengths = len(batch.target_lengths), batch.target_lengths.repeat(2)
    targets = batch.targets.repeat(2, 1)
    taps = None if model.intermediate is None else Taps(model.intermediate, model.head)
    encoded, lengths = encode_twice(model, batch, taps)
    losses = model.head.loss(encoded, lengths, targets, target_lengths)
    if taps is not None:
        losses = taps.mix(losses, lengths, targets, target_lengths)
    views = model.head(encoded, lengths).view(2, count, encoded.shape[1], -1)
    divergence = symmetric_divergence(views[0], views[1], lengths[:count])
    if getattr(model.head, "length_normalized", False):
        divergence = divergence / batch.target_lengths.clamp(min=1)
    loss: Tensor = losses.view(2, count).mean(0) + weight * divergence
    return loss


def encode_twice(model: SpeechModel, batch: Batch, taps: Taps | None) -> tuple[Tensor, Tensor]:
    """Encoded (2 B, T', D) and lengths (2 B,): under one set of masks, then another."""
    if model.spec_augment is None or batch.seeds is None or model.head.output != "frames":
        raise ModelError(
            "training.consistency above 0 compares two maskings of an utterance and needs a "
            "spec_augment section and a head that answers each frame; add them, or leave it out"
        )
    features, frames = model.features(batch.waveform, batch.lengths)
    seeds = torch.cat([batch.seeds, other_seeds(batch.seeds)])
    frames = frames.repeat(2)
    features = model.spec_augment(features.repeat(2, 1, 1), frames, seeds)
    return model.encode_features(features, frames, taps)
