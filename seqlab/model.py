"""SpeechModel: front end, encoder, head and text in one module; waveform in, text or label out.

The front end is part of the model, so training, evaluation and use run the very same features.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import seqlab
from seqlab import assembly, components, saving
from seqlab.contracts import Between, Decoder, Encoder, Frontend, Head, Hypothesis
from seqlab.decoding.default import default_decoder
from seqlab.decoding.events import EventDecoder
from seqlab.errors import ModelError, RecipeError, SeqlabError
from seqlab.events.event import Event
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.normalize import Normalizer
from seqlab.heads.intermediate import IntermediateCTC, Taps, check_intermediate
from seqlab.recordings import answers_of, as_recordings, evaluating
from seqlab.text.tokenizers import Tokenizer

if TYPE_CHECKING:
    from seqlab.data.batch import Batch

_WIRED = ("input_dim", "num_classes", "frame_s")


@dataclass(frozen=True)
class Classification:
    """One label and its probability in [0, 1]."""

    label: str
    probability: float


class SpeechModel(nn.Module):
    """A whole recogniser or classifier.

    Use it to train (``loss``), to recognise (``transcribe``), to classify (``classify``), and to
    keep a trained model (``save``, ``load``).

    Args:
        frontend: Waveform to features.
        encoder: Its ``input_dim`` must be the front end's ``output_dim``.
        head: Its ``num_classes`` must be ``len(tokenizer)``; ``output`` decides the task.
        tokenizer: Fitted; text or labels to numbers and back.
        normalizer: Of features, if any.
        spec_augment: Masking of features, in training only.
        intermediate: CTC between the encoder's layers, if any.
        facts: Plain data kept beside the weights, such as whether the training speech was
            synthetic.

    Raises:
        ModelError: The parts do not fit together.
    """

    def __init__(
        self,
        frontend: Frontend,
        encoder: Encoder,
        head: Head,
        tokenizer: Tokenizer,
        normalizer: Normalizer | None = None,
        spec_augment: SpecAugment | None = None,
        intermediate: IntermediateCTC | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        assembly.check_fit(frontend, encoder, head, tokenizer)
        if intermediate is not None:
            check_intermediate(intermediate, encoder, head)
        self.frontend, self.encoder, self.head = frontend, encoder, head
        self.normalizer, self.spec_augment = normalizer, spec_augment
        self.intermediate = intermediate
        self.tokenizer = tokenizer
        self.facts: dict[str, Any] = dict(facts or {})

    @property
    def task(self) -> str:
        """``"transcription"``, ``"classification"`` (one label) or ``"detection"`` (events)."""
        return assembly.task_of(self.head)

    @property
    def sample_rate(self) -> int:
        """Samples a second that the front end takes, in Hz."""
        return self.frontend.sample_rate

    @property
    def frame_s(self) -> float:
        """Seconds from one encoded frame to the next; NaN if the encoder gives a single frame."""
        return assembly.frame_seconds(self.frontend, self.encoder)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(self.parameters(), None)
        return first.device if first is not None else torch.device("cpu")

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Encoded frames (B,) of waveforms of ``lengths`` samples (B,)."""
        return self.encoder.output_lengths(self.frontend.output_lengths(lengths))

    def features(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features (B, T, F) and lengths (B,) of waveform (B, N), lengths (B,)."""
        features, frames = self.frontend(waveform, lengths)
        if self.normalizer is not None:
            features = self.normalizer(features, frames)
        return features, frames

    def encode(
        self,
        waveform: Tensor,
        lengths: Tensor,
        seeds: Tensor | None = None,
        taps: Between | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encoded (B, T', D) and lengths (B,) of waveform (B, N), lengths (B,).

        Args:
            waveform: (B, N), in [-1, 1].
            lengths: (B,), samples.
            seeds: (B,), int64; of each utterance's masks. Without them, or outside of training
                mode, nothing is masked.
            taps: Looks between the encoder's layers; None takes what ``between`` returns.
        """
        features, frames = self.features(waveform, lengths)
        if self.training and self.spec_augment is not None and seeds is not None:
            features = self.spec_augment(features, frames, seeds)
        return self.encode_features(features, frames, self.between() if taps is None else taps)

    def between(self) -> Between | None:
        """What one pass or step of the encoder is given to look between its layers, if any.

        Self-conditioned CTC alone needs it outside of training: a stream gives it to the
        encoder's ``step`` and ``flush``.
        """
        part = self.intermediate
        return None if part is None or part.condition is None else Taps(part, self.head)

    def encode_features(
        self, features: Tensor, frames: Tensor, between: Between | None
    ) -> tuple[Tensor, Tensor]:
        """Encoded (B, T', D) and lengths (B,) of normalised features (B, T, F)."""
        looked = {} if between is None else {"between": between}
        encoded, lengths = self.encoder(features, frames, **looked)
        return encoded, lengths

    def forward(
        self, waveform: Tensor, lengths: Tensor, seeds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the head gives, and encoded lengths (B,).

        Log-probabilities (B, T', C), or (B, C) of a classifier; encoded frames (B, T', D) where
        the head says one token at a time.
        """
        encoded, encoded_lengths = self.encode(waveform, lengths, seeds)
        return self.head(encoded, encoded_lengths), encoded_lengths

    def loss(self, batch: Batch) -> Tensor:
        """Loss of each utterance (B,) of a batch with targets."""
        taps = None if self.intermediate is None else Taps(self.intermediate, self.head)
        encoded, lengths = self.encode(batch.waveform, batch.lengths, batch.seeds, taps)
        losses = self.head.loss(encoded, lengths, batch.targets, batch.target_lengths)
        if taps is None:
            return losses
        return taps.mix(losses, lengths, batch.targets, batch.target_lengths)

    def decode(
        self, log_probs: Tensor, lengths: Tensor, decoder: Decoder | None = None
    ) -> list[Hypothesis]:
        """Best answer for each utterance of what ``forward`` returned.

        Args:
            log_probs: (B, T', C), or (B, C) of a classifier; what the decoder reads.
            lengths: (B,), encoded frames.
            decoder: Of a head for texts; the plainest that fits the head, if None.

        Raises:
            ModelError: A decoder for a classifier.
        """
        if self.head.output == "label":
            if decoder is not None:
                raise ModelError("this model classifies and decodes nothing; leave the decoder out")
            return [self._label_hypothesis(row) for row in log_probs]
        decoder = decoder or default_decoder(self.head, self.tokenizer, self.frame_s)
        empty = Hypothesis((), "", -math.inf, confidence=0.0)
        return [(answers or [empty])[0] for answers in decoder.decode(log_probs, lengths)]

    def answers(
        self, encoded: Tensor, lengths: Tensor, decoder: Decoder | None = None
    ) -> list[Hypothesis]:
        """Best answer for each utterance of encoded (B, T', D), lengths (B,); see ``decode``."""
        searched = getattr(decoder, "reads", "log_probs") == "encoded"
        return self.decode(encoded if searched else self.head(encoded, lengths), lengths, decoder)

    def transcribe(
        self,
        recordings: Any,
        sample_rate: int | None = None,
        batch_size: int = 16,
        decoder: Decoder | None = None,
    ) -> list[Hypothesis]:
        """Recognise recordings; the answers come in the order of the input.

        Args:
            recordings: Paths, or waveforms (N,) of one channel in [-1, 1]; a list of them, or one.
                Files at another rate than the model's are resampled.
            sample_rate: Of the waveforms, in Hz; they are resampled too. Files carry their own.
            batch_size: Recordings at a time, at least 1; does not change the answers.
            decoder: Such as a beam search; the plainest that fits the head, if None.

        Raises:
            AudioError: A file or waveform cannot be used.
            ModelError: The model classifies instead.
        """
        self._check_task("transcription")
        answer = partial(self.answers, decoder=decoder)
        found = self._run(recordings, sample_rate, batch_size, answer)
        empty = Hypothesis((), "", 0.0)
        return [empty if hypothesis is None else hypothesis for hypothesis in found]

    def classify(
        self,
        recordings: Any,
        sample_rate: int | None = None,
        top_k: int = 1,
        batch_size: int = 16,
    ) -> list[list[Classification]]:
        """The ``top_k`` most probable labels of each recording, best first.

        Args:
            recordings: As in ``transcribe``.
            sample_rate: Of the waveforms, in Hz.
            top_k: Labels for each recording, from 1 to the number of labels.
            batch_size: Recordings at a time, at least 1; does not change the answers.

        Raises:
            AudioError: A recording cannot be used, or is too short for a single frame.
            ModelError: The model transcribes instead, or ``top_k`` is out of range.
        """
        self._check_task("classification")
        if not 1 <= top_k <= len(self.tokenizer):
            raise ModelError(f"top_k={top_k} must be from 1 to {len(self.tokenizer)} labels")
        results = []
        for log_probs in self._run(recordings, sample_rate, batch_size, self.head):
            assert log_probs is not None  # answers_of refuses what is too short for a classifier
            probabilities, indices = log_probs.cpu().exp().topk(top_k)
            pairs = zip(indices.tolist(), probabilities.tolist(), strict=True)
            results.append([Classification(self.tokenizer.tokens[i], p) for i, p in pairs])
        return results

    def find_events(
        self,
        recordings: Any,
        sample_rate: int | None = None,
        batch_size: int = 16,
        decoder: EventDecoder | None = None,
    ) -> list[list[Event]]:
        """Sound events of each recording, by onset.

        Args:
            recordings: As in ``transcribe``.
            sample_rate: Of the waveforms, in Hz.
            batch_size: Recordings at a time, at least 1; does not change the answers.
            decoder: With settings of its own; one with ``EventSettings()``, if None.

        Raises:
            AudioError: A recording cannot be used.
            ModelError: The model finds no events.
        """
        self._check_task("detection")
        answer = partial(self.answers, decoder=decoder)
        found = self._run(recordings, sample_rate, batch_size, answer)
        return [[] if h is None else list(h.details["events"]) for h in found]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model to a folder: safe files only, in one step.

        An existing model folder is replaced; any other existing folder or file is left alone.

        Raises:
            ModelError: The folder is something else, or a part cannot be described as plain data.
        """
        parts = {name: getattr(self, name) for name in assembly.PARTS}
        try:
            specs = {
                name: None if part is None else components.describe(part, _WIRED)
                for name, part in parts.items()
            }
            facts = components.plain(self.facts, "facts")
        except RecipeError as error:
            raise ModelError(f"the model cannot be saved: {error}") from error
        config: dict[str, Any] = {"seqlab_version": seqlab.__version__, "task": self.task}
        config |= {"facts": facts, "components": specs}
        saving.write_model_folder(Path(folder), config, self.state_dict(), self.tokenizer.state())

    @classmethod
    def load(cls, folder: str | os.PathLike[str], allow_modules: Sequence[str] = ()) -> SpeechModel:
        """Read a model that ``save`` wrote, in evaluation mode; runs no code from the folder.

        Args:
            folder: The model folder.
            allow_modules: Modules outside of seqlab, by full name, whose components the caller
                trusts.

        Raises:
            ModelError: Not a model folder, damaged, or naming classes that are not allowed.
        """
        stored = saving.read_model_folder(Path(folder))
        try:
            with torch.random.fork_rng(devices=[]):
                model = cls(**assembly.build_parts(stored, allow_modules))
            assembly.load_weights(model, stored)
        except SeqlabError as error:
            if str(error).startswith(str(stored.folder)):
                raise
            raise ModelError(f"{stored.folder / saving.CONFIG_NAME}: {error}") from error
        return model.eval()

    def _check_task(self, wanted: str) -> None:
        does = {
            "transcription": "transcribes and has no labels; call transcribe",
            "classification": "classifies and has no transcripts; call classify",
            "detection": "finds sound events; call find_events",
        }
        if self.task != wanted:
            raise ModelError(f"this model {does[self.task]}")

    def _label_hypothesis(self, log_probs: Tensor) -> Hypothesis:
        score, index = (value.item() for value in log_probs.max(dim=-1))
        label = self.tokenizer.tokens[int(index)]
        return Hypothesis((int(index),), label, score, confidence=math.exp(score))

    def _run(
        self,
        recordings: Any,
        sample_rate: int | None,
        batch_size: int,
        answer: Callable[[Tensor, Tensor], Iterable[Any]],
    ) -> list[Any]:
        """What ``answer`` says of each recording's encoded frames; None where there are none."""
        if batch_size < 1:
            raise ModelError(f"batch_size={batch_size} must be at least 1")
        items = as_recordings(recordings, sample_rate, self.sample_rate)

        def run(waveform: Tensor, lengths: Tensor) -> Iterable[Any]:
            return answer(*self.encode(waveform.to(self.device), lengths.to(self.device)))

        with evaluating(self), torch.inference_mode():
            every = self.head.output == "label"
            return answers_of(items, batch_size, self.output_lengths, run, every)
