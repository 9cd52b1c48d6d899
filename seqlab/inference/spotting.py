"""Keywords in hours of recordings or a live stream, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.audio import read_blocks
from seqlab.checks import check_range
from seqlab.decoding.keyword import Detection, DetectorSettings, KeywordDetector
from seqlab.errors import AudioError
from seqlab.inference.gate import Gate, gated
from seqlab.inference.posteriors import PosteriorStream, posterior_stream
from seqlab.model import SpeechModel

__all__ = [
    "Detector",
    "KeywordSpotter",
    "Spotter",
    "SpottingState",
    "spot_blocks",
    "spot_recording",
]

_BLOCK_S = 5.0  # of recordings, whose detections are not waited for


@dataclass(frozen=True)
class SpottingState:
    """Where a stream stands; never changed by a step, and of the same size after any time.

    Args:
        held: Samples that do not fill a block yet.
        posteriors: Of the model.
        detector: Of the detector.
    """

    held: Tensor
    posteriors: Any
    detector: Any


class Detector(Protocol):
    """What makes detections of posteriors: ``KeywordDetector``, ``PhraseDetector``."""

    settings: DetectorSettings
    keywords: list[str]
    frame_s: float
    refractory: int

    def initial_state(self) -> Any:
        """The state before the first frame; its ``frame`` counts those that were seen."""
        ...

    def step(self, values: NDArray[Any], state: Any) -> tuple[list[Detection], Any]:
        """What the next frames (T', C) complete, and the new state."""
        ...

    def finish(self, state: Any) -> tuple[list[Detection], Any]:
        """What the end of a stream completes, and the state for one that goes on from here."""
        ...

    def skip(self, frames: int, state: Any) -> tuple[list[Detection], Any]:
        """Go on after frames that are not heard."""
        ...

    def scores(self, parts: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
        """What thresholds are held against, (T', K) of each keyword; of a whole stream."""
        ...


class Spotter:
    """A model and a detector that follow a stream; state goes in and comes out.

    Use ``KeywordSpotter`` for classifiers and ``PhraseSpotter`` for recognisers.

    Args:
        stream: Of the model.
        detector: Of what the stream gives.
        sample_rate: In Hz.
        block_s: Seconds that are heard at a time, which add to the delay; within [0.01, 60].

    Raises:
        SeqlabError: ``block_s`` is out of range.
    """

    def __init__(
        self, stream: PosteriorStream, detector: Detector, sample_rate: int, block_s: float
    ) -> None:
        check_range("block_s", block_s, 0.01, 60, "0.1 for live sound, 5 for recordings")
        self.stream, self.detector = stream, detector
        self.sample_rate, self.unit = sample_rate, stream.unit
        self.frame_s = self.unit / sample_rate
        self.block = max(1, round(block_s / self.frame_s)) * self.unit

    def said(self, text: str) -> list[str]:
        """Those keywords that a recording's label or transcript names."""
        return [text] if text in self.detector.keywords else []

    def initial_state(self) -> SpottingState:
        """The state before the first sample."""
        return SpottingState(
            torch.zeros(0), self.stream.initial_state(), self.detector.initial_state()
        )

    def step(self, samples: Tensor, state: SpottingState) -> tuple[list[Detection], SpottingState]:
        """Hear the next samples (n,), float in [-1, 1] at the model's rate.

        Returns:
            What they complete, in order of time, and the new state.

        Raises:
            AudioError: Samples of another shape, or not floating point.
        """
        found: list[Detection] = []
        held, posteriors, detector = _joined(state.held, samples), state.posteriors, state.detector
        blocks, held = self._blocks(held)
        for block in blocks:
            values, posteriors = self.stream.step(block, posteriors)
            some, detector = self.detector.step(values.numpy(), detector)
            found += some
        return found, SpottingState(held, posteriors, detector)

    def flush(self, state: SpottingState) -> list[Detection]:
        """What only the end of the stream completes; ``state`` stays as it is."""
        return self.end(state)[0]

    def end(self, state: SpottingState) -> tuple[list[Detection], Any]:
        """As ``flush``, and where the detector then stands."""
        found, detector = self.detector.step(self.rest(state).numpy(), state.detector)
        late, detector = self.detector.finish(detector)
        return found + late, detector

    def rest(self, state: SpottingState) -> Tensor:
        """The posteriors (T', C) that only the end of the stream completes."""
        first, after = self.stream.step(state.held, state.posteriors)
        return torch.cat([first, self.stream.flush(after)])

    def posteriors(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The posteriors (T', C) of a stream, before they are smoothed; a part for each block."""
        held, after = torch.zeros(0), self.stream.initial_state()
        for samples in blocks:
            whole, held = self._blocks(_joined(held, samples))
            for block in whole:
                values, after = self.stream.step(block, after)
                yield values
        yield self.rest(SpottingState(held, after, self.detector.initial_state()))

    def scores(self, blocks: Iterable[Tensor]) -> Iterator[NDArray[np.float64]]:
        """What the thresholds are held against, (T', K) of each keyword, of a whole stream."""
        return self.detector.scores(part.numpy() for part in self.posteriors(blocks))

    def _blocks(self, samples: Tensor) -> tuple[list[Tensor], Tensor]:
        """Whole blocks of the samples, and the rest."""
        whole = len(samples) // self.block * self.block
        starts = range(0, whole, self.block)
        return [samples[start : start + self.block] for start in starts], samples[whole:].clone()


class KeywordSpotter(Spotter):
    """A classifier and a detector of its labels.

    Use it where samples come from your own loop; ``spot_blocks`` and ``spot_recording`` run it
    over a source. Samples are heard in blocks of one length, however they come, so that any
    chunking gives the same detections to the bit.

    Args:
        model: A classifier. One with a causal encoder is followed frame by frame, with a
            ``KeywordHead`` at the least cost; any other hears overlapping windows.
        settings: Of the detector; None takes the defaults.
        window_s: See ``seqlab.inference.posteriors.posterior_stream``.
        hop_s: The same.
        block_s: Seconds that are heard at a time, which add to the delay; within [0.01, 60].

    Raises:
        ModelError: The model gives no labels.
        SeqlabError: An argument is out of range, or a threshold is for no label.
    """

    def __init__(
        self,
        model: SpeechModel,
        settings: DetectorSettings | None = None,
        *,
        window_s: float = 1.0,
        hop_s: float = 0.1,
        block_s: float = 0.1,
    ) -> None:
        stream = posterior_stream(model, window_s=window_s, hop_s=hop_s)
        self.labels = list(model.tokenizer.tokens)
        detector = KeywordDetector(self.labels, stream.unit / model.sample_rate, settings)
        super().__init__(stream, detector, model.sample_rate, block_s)


def spot_blocks(
    spotter: Spotter, blocks: Iterable[Tensor], gate: Gate | None = None
) -> Iterator[Detection]:
    """Spot keywords in a stream, each as soon as it is known.

    Args:
        spotter: Model and detector.
        blocks: Samples (n,), float in [-1, 1] at the model's rate, of any length.
        gate: Leaves out what holds no speech, which costs nothing then; a little is heard later,
            and a voice that does not stand out of the noise not at all. None hears everything.
    """
    if gate is not None:
        yield from _spot_gated(spotter, blocks, gate)
        return
    state = spotter.initial_state()
    for samples in blocks:
        found, state = spotter.step(samples, state)
        yield from found
    yield from spotter.flush(state)


def spot_recording(
    model: SpeechModel,
    source: str | os.PathLike[str] | BinaryIO,
    settings: DetectorSettings | None = None,
    *,
    window_s: float = 1.0,
    hop_s: float = 0.1,
    gate: Gate | None = None,
) -> Iterator[Detection]:
    """Spot keywords in a recording of any length; memory does not grow with it.

    Args:
        model: As in ``KeywordSpotter``, like all that follows.
        source: A path, an open binary file, or ``"-"`` for standard input (WAV or AU).
        settings: The same.
        window_s: The same.
        hop_s: The same.
        gate: As in ``spot_blocks``.

    Raises:
        AudioError: The recording cannot be used, or is damaged further on.
        ModelError: The model gives no labels.
    """
    spotter = KeywordSpotter(model, settings, window_s=window_s, hop_s=hop_s, block_s=_BLOCK_S)
    blocks = read_blocks(source, _BLOCK_S, sample_rate=model.sample_rate)
    return spot_blocks(spotter, (block for block, _ in blocks), gate)


def _spot_gated(spotter: Spotter, blocks: Iterable[Tensor], gate: Gate) -> Iterator[Detection]:
    """Every stretch is heard by a model that begins anew; the detector goes on through the gaps.

    Its frames are counted from the start of the stream, those left out as posteriors of 0.
    """
    state = spotter.initial_state()
    for stretch in gated(blocks, spotter.sample_rate, spotter.unit, gate):
        if stretch.begins:
            gap = max(0, stretch.start // spotter.unit - state.detector.frame)
            late, detector = spotter.detector.skip(gap, state.detector)
            yield from late
            fresh = spotter.initial_state()
            state = SpottingState(fresh.held, fresh.posteriors, detector)
        found, state = spotter.step(stretch.samples, state)
        yield from found
        if stretch.ends:
            found, detector = spotter.end(state)
            yield from found
            state = SpottingState(state.held, state.posteriors, detector)


def _joined(held: Tensor, samples: Tensor) -> Tensor:
    if samples.dim() != 1 or not samples.is_floating_point():
        raise AudioError(
            f"samples are {samples.dtype} of shape {tuple(samples.shape)}, must be floating point "
            "in [-1, 1] of shape (n,); divide 16-bit samples by 32768"
        )
    return torch.cat([held, samples.detach().float().cpu()])
