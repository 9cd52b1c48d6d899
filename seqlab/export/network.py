"""What is traced: a model behind its front end, with tensors as its only arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.errors import ModelError
from seqlab.export.stages import Stages, traceable
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel

__all__ = ["StartNetwork", "StreamNetwork", "WholeNetwork", "flatten"]


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
    """A block of static features and the state's tensors to what the head says, and the new ones.

    Posteriors (1, T', C) of a classifier, log-probabilities of a recogniser. A classifier other
    than ``KeywordHead`` judges the last ``width`` encoded frames at each of them.

    Args:
        model: With a causal encoder.
        width: Encoded frames that are judged.

    Raises:
        ModelError: A part of the state begins with other than zeros, or the normaliser is unknown.
    """

    def __init__(self, model: SpeechModel, width: int) -> None:
        super().__init__()
        self.model, self.stages, self.width = model, Stages(model), width
        self.template = self.initial_state()
        self.tensors = [tensor for tensor in flatten(self.template) if tensor.numel()]
        for tensor in self.tensors:
            if bool((tensor != 0).any()):
                raise ModelError(
                    f"{type(model.encoder).__name__} begins a stream with other than zeros, which "
                    "an export cannot say"
                )

    def initial_state(self) -> tuple[Any, Any, Any]:
        """State of stages, encoder and head before the first frame."""
        head: Any = ()
        if isinstance(self.model.head, KeywordHead):
            head = self.model.head.initial_posterior_state()
        elif self.model.head.output == "label":
            head = torch.zeros(1, self.width - 1, self.model.encoder.output_dim)
        return self.stages.initial(), self.model.encoder.initial_state(), head

    def forward(
        self, features: Tensor, tensors: Sequence[Tensor], frames: Tensor | None = None
    ) -> list[Tensor]:
        """What the head says, and the new tensors; ``frames`` (1,) of the features are real."""
        said, state = self.advance(features, unflatten(self.template, tensors), frames)
        return [said, *(tensor for tensor in flatten(state) if tensor.numel())]

    def advance(
        self,
        features: Tensor,
        state: tuple[Any, Any, Any],
        frames: Tensor | None = None,
        begins: bool = False,
    ) -> tuple[Tensor, tuple[Any, Any, Any]]:
        """What the head says of the next static features (1, T, F), and the new state."""
        features, stages = self.stages(features, state[0], frames, begins)
        between = self.model.between()
        looked: dict[str, Any] = {} if between is None else {"between": between}
        encoded, encoder = self.model.encoder.step(features, state[1], **looked)
        said, head = self._said(encoded, state[2])
        return said, (stages, encoder, head)

    def _said(self, encoded: Tensor, state: Any) -> tuple[Tensor, Any]:
        head, count = self.model.head, encoded.shape[1]
        if isinstance(head, KeywordHead):
            return head.posterior_step(encoded, state)
        if head.output != "label":
            return head(encoded, torch.full((1,), count)), state
        every = torch.cat([state, encoded], 1)[0]
        place = torch.arange(count).unsqueeze(1) + torch.arange(self.width)
        windows = every.index_select(0, place.flatten()).reshape(count, self.width, -1)
        log_probs = head(windows, torch.full((count,), self.width))
        return log_probs.exp().unsqueeze(0), every[count:].unsqueeze(0)


class StartNetwork(nn.Module):
    """The first block of a stream whose stages wait for frames: static features to all tensors.

    Args:
        network: That goes on from there.
    """

    def __init__(self, network: StreamNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, frames: Tensor) -> list[Tensor]:
        """What the head says, and the first tensors; ``frames`` (1,) of the features are real."""
        state = self.network.initial_state()
        said, state = self.network.advance(features, state, frames, begins=True)
        return [said, *(tensor for tensor in flatten(state) if tensor.numel())]


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
