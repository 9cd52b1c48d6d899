"""Chains of layers that follow a live stream, each with a state that goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor


class StreamingLayer(Protocol):
    """What a layer of a stream offers; steps and ``flush`` together equal its ``forward``."""

    def initial_state(self, batch_size: int = 1) -> Any:
        """State before the first frame."""
        ...

    def step(self, sequence: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Frames (B, T', C') that the next frames (B, T, C) complete, and the new state."""
        ...

    def flush(self, state: Any) -> Tensor:
        """The frames (B, T', C') that only the end of the stream completes."""
        ...


def chain_state(layers: Iterable[StreamingLayer], batch_size: int = 1) -> tuple[Any, ...]:
    """States of all layers before the first frame."""
    return tuple(layer.initial_state(batch_size) for layer in layers)


def chain_step(
    layers: Iterable[StreamingLayer], sequence: Tensor, states: tuple[Any, ...]
) -> tuple[Tensor, tuple[Any, ...]]:
    """Pass the next frames (B, T, C) through the layers; returns frames and the new states."""
    after = []
    for layer, state in zip(layers, states, strict=True):
        sequence, state = layer.step(sequence, state)
        after.append(state)
    return sequence, tuple(after)


def chain_flush(layers: Iterable[StreamingLayer], states: tuple[Any, ...]) -> Tensor:
    """Frames (B, T', C') of the end: what a layer still holds passes through those behind it."""
    rest: Tensor | None = None
    for layer, state in zip(layers, states, strict=True):
        if rest is None:
            rest = layer.flush(state)
        else:
            passed, state = layer.step(rest, state)
            rest = torch.cat([passed, layer.flush(state)], dim=1)
    assert rest is not None, "callers flush chains of at least one layer"
    return rest


def full_lengths(sequence: Tensor) -> Tensor:
    """Lengths (B,) of a sequence (B, T, ...) without padding, as the frames of a stream are."""
    batch_size, frames = sequence.shape[:2]
    return torch.full((batch_size,), frames, dtype=torch.int64, device=sequence.device)
