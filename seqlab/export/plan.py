"""Whether and how a model can be exported, found before anything is traced."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from seqlab.checks import check_range
from seqlab.errors import ModelError, SeqlabError
from seqlab.export.network import StreamNetwork, plain_values
from seqlab.frontend.onnx.export import check_frontend
from seqlab.frontend.onnx.stream import StreamStart, stream_start
from seqlab.heads.keyword import KeywordHead
from seqlab.inference.encoding import why_not_streamed
from seqlab.inference.posteriors import unit_of
from seqlab.model import SpeechModel

__all__ = ["StreamPlan", "plan_stream", "why_not_exported"]


def why_not_exported(model: SpeechModel) -> str | None:
    """What keeps a whole model from being exported, by name; None where nothing is known to."""
    name = type(model.head).__name__
    if model.head.output == "tokens":
        return (
            f"{name} says one token at a time, which no single graph does; export a model with "
            "CTCHead, ClassifierHead, KeywordHead or EventHead"
        )
    return None


@dataclass(frozen=True)
class StreamPlan:
    """How a streaming graph is laid out.

    Args:
        start: What stands before the first samples.
        frames: Features in a block.
        block: Samples in a block.
        warm_up: Encoded frames before a whole window was heard.
        network: What is traced.
        first: Features in the first block, where it is longer than the others; else 0.
        ahead: Features that frames wait for, of those in the first block.
        drains: Whether the end of the sound completes what waits; the frames of other edges than
            "snip" read samples beyond it.
    """

    start: StreamStart
    frames: int
    block: int
    warm_up: int
    network: StreamNetwork
    first: int = 0
    ahead: int = 0
    drains: bool = False


def plan_stream(model: SpeechModel, block_s: float, window_s: float) -> StreamPlan:
    """Lay out a streaming graph.

    Args:
        model: In evaluation mode.
        block_s: Seconds heard at a time, within [0.01, 10]; rounded to whole encoded frames.
        window_s: Seconds that a classifier without ``KeywordHead`` judges, within [0.05, 60].

    Raises:
        ModelError: The model cannot stream, or only in a way that a graph cannot; the message
            names the part.
        SeqlabError: An argument is out of range.
    """
    check_range("block_s", block_s, 0.01, 10, "0.1 suits live sound")
    check_range("window_s", window_s, 0.05, 60, "1 suits single words")
    reason = why_not_exported(model) or why_not_streamed(model)
    if reason is not None:
        raise ModelError(f"this model cannot be exported for streams: {reason}")
    start = stream_start(model.frontend)
    unit, frame_s = unit_of(model), model.frame_s
    count = max(1, round(block_s / frame_s))
    frames = count * unit // model.frontend.hop_length
    windowed = model.head.output == "label" and not isinstance(model.head, KeywordHead)
    width = max(1, round(window_s / frame_s)) if windowed else 1
    network = StreamNetwork(model, width).eval()
    first, ahead = _first_block(model, network), network.stages.ahead
    _check_steady(model, network, frames, count, first)
    drains = check_frontend(model.frontend).layout.edges == "snip"
    return StreamPlan(start, frames, count * unit, width - 1, network, first, ahead, drains)


def _first_block(model: SpeechModel, network: StreamNetwork) -> int:
    """Features in a first block that is longer than the others; 0: it is not."""
    if not network.stages.waits:
        return 0
    unit = unit_of(model) // model.frontend.hop_length
    return math.ceil(network.stages.least / unit) * unit + network.stages.ahead


def _check_steady(
    model: SpeechModel, network: StreamNetwork, frames: int, count: int, first: int
) -> None:
    """Raise ModelError unless every block gives as many frames and leaves a state as large."""
    name, state = type(model.encoder).__name__, network.initial_state()
    wanted = plain_values(state)
    features = torch.zeros(1, frames, check_frontend(model.frontend).static_dim)
    with torch.no_grad():
        if first:
            long = features.new_zeros(1, first, features.shape[2])
            state = network.advance(long, state, begins=True)[1]
        for _ in range(2):
            said, state = network.advance(features, state)
            if said.shape[1] != count:
                raise ModelError(
                    f"{name} gives {said.shape[1]} frames for a block of {frames}, must give "
                    f"{count}, always, to be exported for streams; one with causal=True does"
                )
            if plain_values(state) != wanted:
                raise ModelError(
                    f"the state of {name} changes its size or counts frames as a stream goes on, "
                    "which a graph of fixed sizes cannot; take a convolutional or recurrent one "
                    "with causal=True"
                )


def least_samples(model: SpeechModel) -> int:
    """Samples without which a recording has no encoded frame."""
    high = 1
    while int(model.output_lengths(torch.tensor([high]))) < 1:
        high *= 2
        if high > 2**24:
            raise SeqlabError(f"{type(model.encoder).__name__} gives no frame for 17 minutes")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if int(model.output_lengths(torch.tensor([middle]))) < 1:
            low = middle
        else:
            high = middle
    return high


@contextlib.contextmanager
def steady(model: SpeechModel) -> Iterator[None]:
    """A block in which a model is in evaluation mode and on the CPU, as it is found after it."""
    training, device = model.training, model.device
    model.eval().cpu()
    try:
        yield
    finally:
        model.train(training).to(device)
