"""An exported model: labels or text of recordings, without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from seqlab.audio_file import Samples
from seqlab.deploy.facts import ExportFacts, SpottingFacts, StreamFacts
from seqlab.deploy.folder import (
    OFFLINE_NAME,
    START_NAME,
    STREAM_NAME,
    read_facts,
    read_graph,
    read_spotting,
)
from seqlab.deploy.sessions import Array, Session, checked
from seqlab.errors import AudioError, ModelError

__all__ = ["ExportedModel", "Label"]

_SPACE = "\u2581"  # sentencepiece's sign for a space


@dataclass(frozen=True)
class Label:
    """One label and its probability in [0, 1]."""

    label: str
    probability: float


class ExportedModel:
    """A model that ``seqlab export`` wrote, run by onnxruntime; torch is not needed.

    Use it on devices and in services. ``seqlab.deploy.spotting.ExportSpotter`` follows streams
    with it.

    Args:
        folder: The export folder; it is checked, and nothing in it is run but known operators.
        threads: That onnxruntime may use, at least 1.

    Raises:
        ModelError: Not an export folder, or damaged.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.folder = Path(folder).expanduser()
        if threads < 1:
            raise ModelError(f"threads={threads} must be at least 1")
        self.facts: ExportFacts = read_facts(self.folder)
        self.spotting: SpottingFacts | None = read_spotting(self.folder)
        self.offline: Session | None = None
        self.stream: Session | None = None
        self.start: Session | None = None  # of a first block that is longer
        if self.facts.offline:
            content = read_graph(self.folder, OFFLINE_NAME, self.facts)
            takes, gives = ["waveform", "lengths"], [self.output, "output_lengths"]
            self.offline = Session(content, str(self.folder / OFFLINE_NAME), takes, gives, threads)
        if self.facts.stream is not None:
            states = self.facts.stream.states
            content = read_graph(self.folder, STREAM_NAME, self.facts)
            takes = ["waveform", *(state.input for state in states)]
            gives = [self.stream_output, *(state.output for state in states)]
            takes += ["frames"] if self.facts.stream.first else []
            self.stream = Session(content, str(self.folder / STREAM_NAME), takes, gives, threads)
        if self.facts.stream is not None and self.facts.stream.first:
            content = read_graph(self.folder, START_NAME, self.facts)
            takes = ["waveform", "frames", *(s.input for s in states if s.input == "samples")]
            self.start = Session(content, str(self.folder / START_NAME), takes, gives, threads)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], threads: int = 1) -> Self:
        """The same as the constructor, named as ``SpeechModel.load`` is."""
        return cls(folder, threads)

    @property
    def task(self) -> str:
        """``"transcription"``, ``"classification"`` or ``"detection"``."""
        return self.facts.task

    @property
    def sample_rate(self) -> int:
        """Samples a second that it takes, in Hz."""
        return self.facts.sample_rate

    @property
    def labels(self) -> list[str]:
        """Labels, or tokens, in the order of the classes."""
        return list(self.facts.tokens)

    @property
    def output(self) -> str:
        """Name of what ``model.onnx`` gives."""
        return "log_probs"

    @property
    def stream_output(self) -> str:
        """Name of what ``stream.onnx`` gives."""
        return "posteriors" if self.task == "classification" else "log_probs"

    def log_probs(self, samples: Samples) -> Array:
        """Natural log-probabilities of one recording (N,): (C,) of a classifier, else (T', C).

        Raises:
            AudioError: It is too short for a single frame, of another shape or type.
            ModelError: The export is for streams only.
        """
        samples = as_samples(samples)
        if self.offline is None:
            raise ModelError(
                f"{self.folder} was exported for streams only; use seqlab spot, or export it with "
                "--offline"
            )
        least = self.facts.least_samples
        if len(samples) < least:
            raise AudioError(
                f"{len(samples)} samples are too short for a single frame, must be {least} or more "
                f"({least / self.sample_rate:.3f} s)"
            )
        lengths = np.array([len(samples)], np.int64)
        found, frames = self.offline({"waveform": samples[None], "lengths": lengths})
        classes = len(self.facts.tokens)
        if self.task == "classification":
            return np.asarray(checked(found, (1, classes), self.output)[0])
        count = int(np.asarray(frames).ravel()[0])
        return np.asarray(checked(found, (1, None, classes), self.output)[0, :count])

    def posteriors(self, windows: Array) -> Array:
        """Probabilities (B, C) of recordings of equal length (B, N); classifiers only."""
        assert self.offline is not None, "callers check that it is there"
        lengths = np.full(len(windows), windows.shape[1], np.int64)
        found = self.offline({"waveform": windows, "lengths": lengths})[0]
        return np.exp(checked(found, (len(windows), len(self.facts.tokens)), self.output))

    def classify(self, samples: Samples, top_k: int = 1) -> list[Label]:
        """The ``top_k`` most probable labels of a recording (N,), best first.

        Raises:
            ModelError: It transcribes instead, or ``top_k`` is out of range.
            AudioError: As ``log_probs``.
        """
        if self.task != "classification":
            raise ModelError(
                "this model transcribes and has no labels; call transcribe"
                if self.task == "transcription"
                else "this model finds events; use seqlab.deploy.events"
            )
        if not 1 <= top_k <= len(self.facts.tokens):
            raise ModelError(f"top_k={top_k} must be from 1 to {len(self.facts.tokens)} labels")
        probabilities = np.exp(self.log_probs(samples))
        order = np.argsort(-probabilities, kind="stable")[:top_k]
        return [Label(self.facts.tokens[i], float(probabilities[i])) for i in order]

    def transcribe(self, samples: Samples) -> str:
        """The text of a recording (N,) by CTC's best path.

        Raises:
            ModelError: It classifies instead, or its tokens do not become text here.
            AudioError: As ``log_probs``.
        """
        if self.task != "transcription":
            raise ModelError(
                "this model classifies and has no transcripts; call classify"
                if self.task == "classification"
                else "this model finds events; use seqlab.deploy.events"
            )
        return best_path_text(self.log_probs(samples), self.facts)


def best_path_text(log_probs: Array, facts: ExportFacts) -> str:
    """Text of log_probs (T', C): the best token of every frame, repeats merged, blanks dropped.

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3.2.
    """
    if facts.joiner is None:
        raise ModelError("the tokens of this model do not become text without its tokenizer")
    path = log_probs.argmax(-1)
    first = np.concatenate([[True], path[1:] != path[:-1]]) if len(path) else np.zeros(0, bool)
    units = [facts.tokens[token] for token in path[first & (path != 0)]]
    if facts.joiner == "words":
        return " ".join(units)
    text = "".join(units)
    return " ".join((text.replace(_SPACE, " ") if facts.joiner == "subwords" else text).split())


def as_samples(samples: Array) -> Samples:
    """Samples (n,) as float32.

    Raises:
        AudioError: They are of another shape, or not floating point.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError(
            f"samples are {samples.dtype} of shape {samples.shape}, must be floating point in "
            "[-1, 1] of shape (n,); divide 16-bit samples by 32768"
        )
    return samples.astype(np.float32, copy=False)


def stream_facts(model: ExportedModel) -> StreamFacts:
    """How the streaming graph is fed.

    Raises:
        ModelError: The export has none.
    """
    if model.facts.stream is None or model.stream is None:
        raise ModelError(
            f"{model.folder} was exported for whole recordings only; export it with --streaming"
        )
    return model.facts.stream
