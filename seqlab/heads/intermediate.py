"""CTC between the layers of an encoder: a loss there, and its answers for the layers above."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.checks import check_at_least
from seqlab.contracts import Encoder, Head
from seqlab.errors import ModelError, SeqlabError
from seqlab.heads.ctc import CTCHead
from seqlab.lengths import zero_padding
from seqlab.values import Described

__all__ = ["IntermediateCTC", "Taps", "check_intermediate", "ctc_head"]


class IntermediateCTC(Described, nn.Module):
    """The CTC head's own projection, put between layers of the encoder too.

    Use it to train deep encoders: their lower layers then learn from a loss of their own, at
    almost no cost, and with ``self_condition`` the upper layers know what the lower ones heard.
    A layer norm before the projection stands for the encoder's last one.

    Args:
        input_dim: Width D of the encoder's layers, at least 1.
        num_classes: Tokens, the blank included, at least 2.
        layers: Numbers of the layers, from 1 and rising, after which the projection is put.
        weight: Of the mean of the intermediate losses, in (0, 1); the loss at the end has the
            rest. 0.3 is usual, 0.5 with ``self_condition``.
        self_condition: Add a projection of each intermediate answer to what goes on to the next
            layer, in training and in use.

    Raises:
        SeqlabError: An argument is out of range.

    Source: Lee and Watanabe 2021, "Intermediate Loss Regularization for CTC-based Speech
    Recognition", equation 15, and with several layers Nozaki and Komatsu 2021, "Relaxing the
    Conditional Independence Assumption of CTC-based ASR by Conditioning on Intermediate
    Predictions", equations 9, 12 and 13. Deviations: the layer norm is this module's own, and
    ``weight`` may go with any loss at the end, such as that of a joint head.

    Example:
        >>> intermediate = IntermediateCTC(4, 3, layers=(2,), self_condition=True)
        >>> taps = Taps(intermediate, CTCHead(4, 3))
        >>> taps(1, torch.ones(1, 5, 4), torch.tensor([5])).shape, len(taps.log_probs)
        (torch.Size([1, 5, 4]), 0)
        >>> _ = taps(2, torch.ones(1, 5, 4), torch.tensor([5]))
        >>> taps.log_probs[0].shape
        torch.Size([1, 5, 3])
    """

    def __init__(
        self,
        input_dim: int,
        num_classes: int,
        layers: Sequence[int],
        weight: float = 0.3,
        self_condition: bool = False,
    ) -> None:
        super().__init__()
        check_at_least("input_dim", input_dim, 1)
        check_at_least("num_classes", num_classes, 2)
        if not layers:
            raise SeqlabError("layers=[] must name at least one layer, from 1")
        for layer in layers:
            check_at_least("layers", layer, 1, "layers are counted from 1")
        if list(layers) != sorted(set(layers)):
            raise SeqlabError(f"layers={list(layers)} must rise; sort them, each once")
        if not 0 < weight < 1:
            raise SeqlabError(f"weight={weight} must be above 0 and below 1; 0.3 is usual")
        self.input_dim = input_dim
        self.num_classes = num_classes
        self.layers = tuple(layers)
        self.weight = weight
        self.norm = nn.LayerNorm(input_dim)
        self.condition = nn.Linear(num_classes, input_dim) if self_condition else None

    def extra_repr(self) -> str:
        """Layers and weight, for printing a model."""
        return f"layers={list(self.layers)}, weight={self.weight}"


class Taps:
    """What one pass through an encoder shows between its layers; given to it as ``between``.

    Args:
        intermediate: Where to look.
        head: The model's head, with a CTC head in it.
    """

    def __init__(self, intermediate: IntermediateCTC, head: Head) -> None:
        self._intermediate = intermediate
        self._head = ctc_head(head)
        self.log_probs: list[Tensor] = []  # (B, T', C) of each of the layers, in their order

    def __call__(self, index: int, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Look at the padded sequence (B, T', D) after layer ``index``; what goes on from it."""
        part = self._intermediate
        if index not in part.layers:
            return sequence
        log_probs = self._head(part.norm(sequence), lengths)
        self.log_probs.append(log_probs)
        if part.condition is None:
            return sequence
        told: Tensor = part.condition(log_probs.exp()).to(sequence.dtype)
        return zero_padding(sequence + told, lengths)

    def mix(
        self, losses: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """Losses (B,) at the end of the encoder, and those between, weighted (B,)."""
        each = [
            self._head.loss_of(log_probs, lengths, targets, target_lengths)
            for log_probs in self.log_probs
        ]
        weight = self._intermediate.weight
        return (1 - weight) * losses + weight * torch.stack(each).mean(0)


def ctc_head(head: Head) -> CTCHead:
    """The CTC head that ``head`` is or contains.

    Raises:
        ModelError: There is none.
    """
    found = next((part for part in head.modules() if isinstance(part, CTCHead)), None)
    if found is None:
        raise ModelError(
            f"intermediate needs a CTC head, {type(head).__name__} is and has none; take "
            "seqlab.heads.ctc.CTCHead, or leave the intermediate section out"
        )
    return found


def check_intermediate(intermediate: IntermediateCTC, encoder: Encoder, head: Head) -> None:
    """Raise ModelError unless the encoder has the layers, and the head a CTC head."""
    name, last = type(encoder).__name__, encoder.num_layers
    if last < 2:
        having = "a single layer" if last else "no layers"
        raise ModelError(
            f"intermediate.layers={list(intermediate.layers)} need an encoder with layers to look "
            f"between, {name} has {having}; take another encoder, or leave the section out"
        )
    if intermediate.layers[-1] >= last:
        raise ModelError(
            f"intermediate.layers={list(intermediate.layers)} must be from 1 to {last - 1}, below "
            f"the last of the {last} layers of {name}; the loss after the last is the head's own"
        )
    pairs = [
        ("input_dim", intermediate.input_dim, "encoder.output_dim", encoder.output_dim),
        ("input_dim", intermediate.input_dim, "head.input_dim", ctc_head(head).input_dim),
        ("num_classes", intermediate.num_classes, "head.num_classes", head.num_classes),
    ]
    for argument, value, other_name, other in pairs:
        if value != other:
            raise ModelError(
                f"intermediate.{argument}={value} must equal {other_name}={other}; "
                "build it with that"
            )
