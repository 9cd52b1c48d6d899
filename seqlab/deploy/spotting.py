"""Keywords in hours of recordings or a live stream with an exported model, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seqlab.audio_file import Samples
from seqlab.checks import check_range
from seqlab.decoding.keyword import Detection, DetectorSettings, DetectorState, KeywordDetector
from seqlab.deploy.model import ExportedModel, as_samples
from seqlab.deploy.streams import ExportStream, ExportWindows, PosteriorStream, StreamState
from seqlab.errors import ModelError

__all__ = ["ExportSpotter", "SpottingState", "spot_blocks"]


@dataclass(frozen=True)
class SpottingState:
    """Where a stream stands; never changed by a step, and of the same size after any time."""

    posteriors: StreamState
    detector: DetectorState


class ExportSpotter:
    """An exported model and a detector that follow a stream; state goes in and comes out.

    A streaming graph is followed frame by frame; a graph for whole recordings hears overlapping
    windows. Any chunking gives the same detections to the bit.

    Args:
        model: A classifier.
        settings: Of the detector; None takes the operating point, or else the defaults.
        window_s: Seconds judged at once by a graph for whole recordings; within [0.05, 60].
        hop_s: Seconds from one window to the next, up to ``window_s``.

    Raises:
        ModelError: The model gives no labels.
        SeqlabError: An argument is out of range, or a threshold is for no label.
    """

    def __init__(
        self,
        model: ExportedModel,
        settings: DetectorSettings | None = None,
        *,
        window_s: float = 1.0,
        hop_s: float = 0.1,
    ) -> None:
        check_range("window_s", window_s, 0.05, 60, "1 suits single words")
        check_range("hop_s", hop_s, 0.01, window_s, "0.1 is usual")
        if model.task != "classification":
            raise ModelError("this model gives no labels to spot; use seqlab transcribe")
        self.stream: PosteriorStream = (
            ExportStream(model) if model.stream is not None else _windows(model, window_s, hop_s)
        )
        if settings is None and model.spotting is not None:
            settings = model.spotting.settings
        self.sample_rate = model.sample_rate
        self.frame_s = self.stream.unit / model.sample_rate
        self.detector = KeywordDetector(model.labels, self.frame_s, settings)

    def initial_state(self) -> SpottingState:
        """The state before the first sample."""
        return SpottingState(self.stream.initial_state(), self.detector.initial_state())

    def step(self, samples: Samples, state: SpottingState) -> tuple[list[Detection], SpottingState]:
        """What the next samples (n,), float in [-1, 1], complete, and the new state.

        Raises:
            AudioError: Samples of another shape, or not floating point.
        """
        values, posteriors = self.stream.step(as_samples(samples), state.posteriors)
        found, detector = self.detector.step(values, state.detector)
        return found, SpottingState(posteriors, detector)

    def flush(self, state: SpottingState) -> list[Detection]:
        """What only the end of the stream completes; ``state`` stays as it is."""
        return self.detector.step(self.stream.flush(state.posteriors), state.detector)[0]


def spot_blocks(spotter: ExportSpotter, blocks: Iterable[Samples]) -> Iterator[Detection]:
    """Spot keywords in a stream, each as soon as it is known.

    Args:
        spotter: Model and detector.
        blocks: Samples (n,), float in [-1, 1] at the model's rate, of any length.
    """
    state = spotter.initial_state()
    for samples in blocks:
        found, state = spotter.step(samples, state)
        yield from found
    yield from spotter.flush(state)


def _windows(model: ExportedModel, window_s: float, hop_s: float) -> ExportWindows:
    return ExportWindows(model, window_s, hop_s)
