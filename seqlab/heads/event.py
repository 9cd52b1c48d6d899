"""Which sounds are there at every frame; several at once, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.checks import check_at_least, check_range
from seqlab.contracts import Head
from seqlab.errors import SeqlabError
from seqlab.lengths import check_lengths, valid_mask, zero_padding


class EventHead(Head):
    """A linear layer and a sigmoid for each class and frame, trained by binary cross-entropy.

    Use it to find sounds in time: which, from when to when. Classes do not exclude each other, so
    that events may overlap. ``seqlab.decoding.events`` makes events of what it says.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Labels, at least 2.
        frame_s: Seconds from one encoded frame to the next, above 0; a recipe fills it in. Frame t
            stands for the time from t to t + 1 frames.
        class_weights: One weight above 0 for each class, for classes of unequal importance; they
            are divided by their mean, so that the loss keeps its scale. None weighs all alike.
        positive_weight: Weight, above 0, of frames in which a class is active; above 1 where
            events are rare.
        dropout: Probability in [0, 1) on the encoded frames.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Cakir et al. 2015, "Polyphonic sound event detection using multi label deep neural
    networks", section II; summed over classes, a mean over valid frames.

    Example:
        >>> head = EventHead(input_dim=4, num_classes=3)
        >>> head(torch.zeros(1, 5, 4), torch.tensor([5])).shape
        torch.Size([1, 5, 3])
    """

    output: ClassVar[Literal["frames", "label", "tokens", "events"]] = "events"
    class_weights: Tensor | None

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        frame_s: float = 0.01,
        class_weights: Sequence[float] | None = None,
        positive_weight: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("num_classes", num_classes, 2, "give other sounds a label, too")
        check_range("frame_s", frame_s, 1e-5, 10, "a model with one frame a recording has no time")
        check_range("positive_weight", positive_weight, 1e-3, 1e3, "1 weighs all frames alike")
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.frame_s = frame_s
        self.positive_weight = positive_weight
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(input_dim, num_classes)
        weights = None if class_weights is None else _normalized(class_weights, num_classes)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Natural logarithms (B, T', C) of the probability that a class is active.

        Each is at most 0; over classes they add up to nothing in particular. Padding is undefined.
        """
        return functional.logsigmoid(self._logits(encoded, lengths))

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Binary cross-entropy of each utterance (B,), in nats a frame.

        Args:
            encoded: Encoded frames (B, T', D).
            lengths: Their lengths (B,).
            targets: Three numbers an event (B, 3 * events): class, onset and offset in
                milliseconds. What lies beyond ``target_lengths`` is ignored.
            target_lengths: Numbers of each (B,), multiples of 3.

        Returns:
            Losses (B,): summed over classes, a mean over frames; 0 without frames.

        Raises:
            SeqlabError: If a shape does not fit, a target is not a class, or a time is negative.
        """
        logits = self._logits(encoded, lengths)
        active = self.activity(targets, target_lengths, logits.shape[1]).to(logits.dtype)
        weight = logits.new_tensor(self.positive_weight)
        losses = functional.binary_cross_entropy_with_logits(
            logits, active, reduction="none", pos_weight=weight
        )
        if self.class_weights is not None:
            losses = losses * self.class_weights
        frames = losses.sum(-1).masked_fill(~valid_mask(lengths, logits.shape[1]), 0)
        return frames.sum(1) / lengths.clamp(min=1)

    def activity(self, targets: Tensor, target_lengths: Tensor, frames: int) -> Tensor:
        """Whether each class is active at each frame (B, frames, C), bool.

        Onset and offset are rounded to the nearest frame's edge; an event that would vanish has
        the frame in which its middle lies.

        Example:
            >>> head = EventHead(4, 2, frame_s=0.01)
            >>> head.activity(torch.tensor([[1, 10, 30]]), torch.tensor([3]), 4)[0].int().T.tolist()
            [[0, 0, 0, 0], [0, 1, 1, 0]]
        """
        labels, times, rows = self._events(targets, target_lengths)
        edges = (times / (1000 * self.frame_s)).round().long()
        middle = (times.mean(1) / (1000 * self.frame_s)).floor().long()
        empty = edges[:, 0] >= edges[:, 1]
        first = torch.where(empty, middle, edges[:, 0]).clamp(max=frames)
        end = torch.where(empty, middle + 1, edges[:, 1]).clamp(max=frames)
        changes = torch.zeros(
            len(targets), frames + 1, self.num_classes, dtype=torch.int32, device=targets.device
        )
        one = torch.ones(len(rows), dtype=torch.int32, device=targets.device)
        changes.index_put_((rows, first, labels), one, accumulate=True)
        changes.index_put_((rows, end, labels), -one, accumulate=True)
        return changes.cumsum(1)[:, :frames] > 0

    def _events(self, targets: Tensor, target_lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Label (E,), onset and offset in ms (E, 2), and utterance (E,) of all events."""
        if targets.dim() != 2 or targets.dtype != torch.int64:
            raise SeqlabError(
                f"targets are {targets.dtype} of shape {tuple(targets.shape)}, must be int64 (B, U)"
            )
        check_lengths(target_lengths, targets.shape[1], "targets")
        if bool((target_lengths % 3 != 0).any()):
            raise SeqlabError(
                f"target_lengths {target_lengths.tolist()} must be multiples of 3: class, onset "
                "and offset in ms of each event; use an EventTokenizer"
            )
        count = targets.shape[1] // 3
        triples = targets[:, : 3 * count].reshape(len(targets), count, 3)
        there = valid_mask(target_lengths // 3, count)
        found = triples[there]
        rows = torch.arange(len(targets), device=targets.device)[:, None].expand(-1, count)[there]
        labels, times = found[:, 0], found[:, 1:]
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            raise SeqlabError(
                f"target class {int(labels[wrong][0])} must be within 0 and "
                f"{self.num_classes - 1}; check that head and tokenizer share one label set"
            )
        if bool(((times[:, 0] < 0) | (times[:, 1] < times[:, 0])).any()):
            raise SeqlabError("targets: times must be 0 <= onset <= offset in ms; correct them")
        return labels, times.double(), rows

    def _logits(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        logits: Tensor = self.linear(self.dropout(zero_padding(encoded, lengths)))
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _normalized(class_weights: Sequence[float], num_classes: int) -> Tensor:
    weights = torch.tensor([float(w) for w in class_weights])
    if len(weights) != num_classes or not bool((weights > 0).all() & weights.isfinite().all()):
        raise SeqlabError(
            f"class_weights={list(class_weights)} must be {num_classes} finite numbers above 0, "
            "one for each class"
        )
    return weights / weights.mean()
