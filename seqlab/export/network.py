"""What is traced: a model behind its front end, with tensors as its only arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.errors import ModelError
from seqlab.frontend.normalize import GlobalCMVN, Normalizer
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel

__all__ = ["StreamNetwork", "WholeNetwork", "flatten", "traceable"]


class _Scale(nn.Module):
    """What a fitted ``GlobalCMVN`` does, without asking whether it is fitted."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalizer: GlobalCMVN) -> None:
        super().__init__()
        self.register_buffer("mean", normalizer.mean.clone())
        self.register_buffer("std", normalizer.std.clone())

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        # What lies beyond the lengths is cleared by every encoder.
        return (features - self.mean) / self.std


def traceable(normalizer: Normalizer | None) -> nn.Module | None:
    """The normaliser as a module whose course depends on no value.

    Raises:
        ModelError: It was not fitted.
    """
    if not isinstance(normalizer, GlobalCMVN):
        return normalizer
    if not bool(normalizer.fitted):
        raise ModelError("GlobalCMVN has no statistics; train the model before it is exported")
    return _Scale(normalizer)


class WholeNetwork(nn.Module):
    """Features (B, T, F) and lengths (B,) to log-probabilities and encoded lengths (B,)."""

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        self.model, self.normalizer = model, traceable(model.normalizer)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (B, C), or (B, T', C), and encoded lengths (B,)."""
        if self.normalizer is not None:
            features = self.normalizer(features, lengths)
        encoded, counts = self.model.encode_features(features, lengths, self.model.between())
        log_probs: Tensor = self.model.head(encoded, counts)
        return log_probs, counts


class StreamNetwork(nn.Module):
    """A block of features and the state's tensors to what the head says, and the new tensors.

    Posteriors (1, T', C) of a classifier, log-probabilities of a recogniser. A classifier other
    than ``KeywordHead`` judges the last ``width`` encoded frames at each of them.

    Args:
        model: With a causal encoder.
        width: Encoded frames that are judged.

    Raises:
        ModelError: A part of the state begins with other than zeros.
    """

    def __init__(self, model: SpeechModel, width: int) -> None:
        super().__init__()
        self.model, self.normalizer, self.width = model, traceable(model.normalizer), width
        self.template = self.initial_state()
        self.tensors = [tensor for tensor in flatten(self.template) if tensor.numel()]
        for tensor in self.tensors:
            if bool((tensor != 0).any()):
                raise ModelError(
                    f"{type(model.encoder).__name__} begins a stream with other than zeros, which "
                    "an export cannot say"
                )

    def initial_state(self) -> tuple[Any, Any]:
        """State of encoder and head before the first frame."""
        head: Any = ()
        if isinstance(self.model.head, KeywordHead):
            head = self.model.head.initial_posterior_state()
        elif self.model.head.output == "label":
            head = torch.zeros(1, self.width - 1, self.model.encoder.output_dim)
        return self.model.encoder.initial_state(), head

    def forward(self, features: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What the head says, and the new tensors."""
        said, state = self.advance(features, unflatten(self.template, tensors))
        return [said, *(tensor for tensor in flatten(state) if tensor.numel())]

    def advance(self, features: Tensor, state: tuple[Any, Any]) -> tuple[Tensor, tuple[Any, Any]]:
        """What the head says of the next features (1, T, F), and the new state."""
        if self.normalizer is not None:
            lengths = torch.full((1,), features.shape[1])
            features = self.normalizer(features, lengths)
        between = self.model.between()
        looked: dict[str, Any] = {} if between is None else {"between": between}
        encoded, encoder = self.model.encoder.step(features, state[0], **looked)
        head = self.model.head
        if isinstance(head, KeywordHead):
            posteriors, after = head.posterior_step(encoded, state[1])
            return posteriors, (encoder, after)
        if head.output == "label":
            every = torch.cat([state[1], encoded], 1)[0]
            count = encoded.shape[1]
            place = torch.arange(count).unsqueeze(1) + torch.arange(self.width)
            windows = every.index_select(0, place.flatten()).reshape(count, self.width, -1)
            log_probs = head(windows, torch.full((count,), self.width))
            return log_probs.exp().unsqueeze(0), (encoder, every[count:].unsqueeze(0))
        return head(encoded, torch.full((1,), encoded.shape[1])), (encoder, state[1])


def flatten(state: Any) -> list[Tensor]:
    """The tensors of a state of tuples, lists, dictionaries and dataclasses, in order.

    >>> [tuple(tensor.shape) for tensor in flatten((torch.zeros(1), [torch.zeros(2), None]))]
    [(1,), (2,)]
    """
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in _parts(state) for tensor in flatten(part)]


def unflatten(template: Any, tensors: Sequence[Tensor]) -> Any:
    """A state like ``template`` with other tensors; those without elements stay as they are."""
    left = iter(tensors)

    def build(part: Any) -> Any:
        if isinstance(part, Tensor):
            return next(left) if part.numel() else torch.zeros(part.shape, dtype=part.dtype)
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            names = [field.name for field in dataclasses.fields(part)]
            return type(part)(**{name: build(getattr(part, name)) for name in names})
        if isinstance(part, dict):
            return {name: build(value) for name, value in part.items()}
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            return type(part)(*map(build, part))
        if isinstance(part, tuple | list):
            return type(part)(map(build, part))
        return part

    return build(template)


def plain_values(state: Any) -> list[Any]:
    """Everything in a state that is no tensor, and the shapes of the tensors."""
    if isinstance(state, Tensor):
        return [tuple(state.shape)]
    parts = _parts(state)
    if parts or isinstance(state, tuple | list | dict):
        return [value for part in parts for value in plain_values(part)]
    return [state]


def _parts(state: Any) -> list[Any]:
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        return [getattr(state, field.name) for field in dataclasses.fields(state)]
    if isinstance(state, dict):
        return list(state.values())
    return list(state) if isinstance(state, tuple | list) else []
