"""Keywords and phrases in hours of sound or a live stream with an exported model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seqlab.audio_file import Samples
from seqlab.checks import check_range
from seqlab.decoding.keyword import Detection, DetectorSettings, KeywordDetector
from seqlab.decoding.typed_phrases import phrase_detector
from seqlab.deploy.folder import read_tokenizer
from seqlab.deploy.middles import ExportMiddles
from seqlab.deploy.model import ExportedModel, as_samples
from seqlab.deploy.sessions import Array
from seqlab.deploy.streams import ExportStream, ExportWindows, PosteriorStream, StreamState
from seqlab.errors import ModelError

__all__ = ["ExportPhraseSpotter", "ExportSpotter", "SpottingState", "StreamSpotter", "spot_blocks"]


@dataclass(frozen=True)
class SpottingState:
    """Where a stream stands; never changed by a step, and of the same size after any time."""

    posteriors: StreamState
    detector: Any


class StreamSpotter:
    """What an export gives for a stream and a detector that follows it; state goes in and out.

    Args:
        stream: Of the export.
        detector: Of what the stream gives.
        sample_rate: In Hz.
    """

    def __init__(self, stream: PosteriorStream, detector: Detector, sample_rate: int) -> None:
        self.stream, self.detector, self.sample_rate = stream, detector, sample_rate
        self.frame_s = stream.unit / sample_rate

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
        rest = self.stream.flush(state.posteriors)
        found, detector = self.detector.step(rest, state.detector)
        return found + self.detector.finish(detector)[0]


class Detector(Protocol):
    """What makes detections of a stream: ``KeywordDetector``, ``PhraseDetector``."""

    def initial_state(self) -> Any:
        """The state before the first frame."""
        ...

    def step(self, values: Array, state: Any) -> tuple[list[Detection], Any]:
        """What the next frames (T', C) complete, and the new state."""
        ...

    def finish(self, state: Any) -> tuple[list[Detection], Any]:
        """What the end of a stream completes, and the state for one that goes on from here."""
        ...


class ExportSpotter(StreamSpotter):
    """An exported classifier and a detector of its labels.

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
            raise ModelError(
                f"{model.folder} gives no labels to spot, for its task is {model.task}"
            )
        stream: PosteriorStream
        if model.stream is not None:
            stream = ExportStream(model)
        else:
            stream = ExportWindows(model, window_s, hop_s)
        if settings is None and model.spotting is not None:
            settings = model.spotting.settings
        detector = KeywordDetector(model.labels, stream.unit / model.sample_rate, settings)
        super().__init__(stream, detector, model.sample_rate)


class ExportPhraseSpotter(StreamSpotter):
    """An exported CTC model and a detector of phrases that it was never trained to detect.

    As ``seqlab.inference.phrases.PhraseSpotter``, and equal to it.

    Args:
        model: A recogniser.
        phrases: One at least; each is found by every spelling that ``spell_phrase`` gives it.
        settings: Of the detector; None takes ``PHRASE_DEFAULTS``.
        window_s: Seconds that a graph for whole recordings hears at once, within [0.5, 600].
        hop_s: Seconds from one window to the next, below ``window_s``.

    Raises:
        ModelError: The model is no recogniser, or was exported without its tokenizer.
        DataError: A phrase cannot be spelled.
        SeqlabError: An argument is out of range, or a threshold is for no phrase.
    """

    def __init__(
        self,
        model: ExportedModel,
        phrases: Sequence[str],
        settings: DetectorSettings | None = None,
        *,
        window_s: float = 10.0,
        hop_s: float = 8.0,
    ) -> None:
        if model.task != "transcription":
            raise ModelError(
                f"{model.folder} does not transcribe (its task is {model.task}), so that no "
                "phrases can be searched; export a CTC model, or leave the phrases out"
            )
        stream: PosteriorStream
        if model.stream is not None:
            stream = ExportStream(model)
        else:
            stream = ExportMiddles(model, window_s, hop_s)
        tokenizer = read_tokenizer(model.folder, model.facts)
        frame_s = stream.unit / model.sample_rate
        self.phrases, detector = phrase_detector(tokenizer, phrases, frame_s, settings)
        super().__init__(stream, detector, model.sample_rate)

    @property
    def warnings(self) -> list[str]:
        """What to say of phrases that are too short to be told apart."""
        return [phrase.warning for phrase in self.phrases if phrase.warning is not None]


def spot_blocks(spotter: StreamSpotter, blocks: Iterable[Samples]) -> Iterator[Detection]:
    """Spot keywords or phrases in a stream, each as soon as it is known.

    Args:
        spotter: Model and detector.
        blocks: Samples (n,), float in [-1, 1] at the model's rate, of any length.
    """
    state = spotter.initial_state()
    for samples in blocks:
        found, state = spotter.step(samples, state)
        yield from found
    yield from spotter.flush(state)
