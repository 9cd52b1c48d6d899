"""One label for a whole utterance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqlab.blocks.checks import check_sequence
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.pooling import pooling as make_pooling
from seqlab.checks import check_at_least, check_probability
from seqlab.contracts import Head
from seqlab.errors import SeqlabError


class ClassifierHead(Head):
    """Pooling over valid frames, a linear layer and the cross-entropy loss.

    Use it for keyword spotting and any task with one label an utterance.

    Args:
        input_dim: Width D of an encoded frame, at least 1.
        num_classes: Labels, at least 2.
        pooling: "mean", "max", "attention" or "multihead" (four heads and two linear layers).
        label_smoothing: Share of the target that is spread evenly over all classes, in [0, 1).
        class_weights: One weight above 0 for each class, for classes of unequal number or
            importance; they are divided by their mean, so that the loss keeps its scale. None
            weighs all alike.
        dropout: Probability in [0, 1) on the pooled vector.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: label smoothing by Szegedy et al. 2016, "Rethinking the Inception Architecture",
    section 7; the loss of one utterance is that of torch.nn.functional.cross_entropy with
    reduction="none".

    Example:
        >>> head = ClassifierHead(input_dim=4, num_classes=3)
        >>> head(torch.zeros(1, 5, 4), torch.tensor([5])).shape
        torch.Size([1, 3])
    """

    output: ClassVar[Literal["frames", "label", "tokens"]] = "label"
    class_weights: Tensor | None

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        pooling: str = "mean",
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("num_classes", num_classes, 2)
        check_probability("label_smoothing", label_smoothing)
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.pooling = make_pooling(pooling, input_dim)
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(self.pooling.output_dim, num_classes)
        weights = None if class_weights is None else _normalized(class_weights, num_classes)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Natural log-probabilities (B, C) of encoded (B, T', D), lengths (B,).

        An utterance without frames is pooled to zeros, and so gets what the bias says.
        """
        check_sequence(encoded, lengths, self.input_dim, "encoded")
        logits: Tensor = self.linear(self.dropout(self.pooling(encoded, lengths)))
        dtype = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype
        return functional.log_softmax(logits, dim=-1, dtype=dtype)

    def loss(
        self, encoded: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Cross-entropy of each utterance (B,), for targets (B, 1) with target_lengths all 1.

        Raises:
            SeqlabError: If a shape does not fit, or a target is not a class.
        """
        if targets.dim() != 2 or targets.shape[1] != 1 or bool((target_lengths != 1).any()):
            raise SeqlabError(
                f"targets of shape {tuple(targets.shape)} must be (B, 1), one label an utterance; "
                "for token sequences use a CTC head"
            )
        labels = targets[:, 0]
        wrong = (labels < 0) | (labels >= self.num_classes)
        if wrong.any():
            raise SeqlabError(
                f"target label {int(labels[wrong][0])} must be within 0 and "
                f"{self.num_classes - 1}; check that head and tokenizer share one label set"
            )
        return functional.cross_entropy(
            self.forward(encoded, lengths),
            labels,
            weight=self.class_weights,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )


def _normalized(class_weights: Sequence[float], num_classes: int) -> Tensor:
    weights = torch.tensor([float(w) for w in class_weights])
    if len(weights) != num_classes or not bool((weights > 0).all() & weights.isfinite().all()):
        raise SeqlabError(
            f"class_weights={list(class_weights)} must be {num_classes} finite numbers above 0, "
            "one for each class"
        )
    return weights / weights.mean()
