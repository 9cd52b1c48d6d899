"""A trained recogniser adapted to one speaker by what they said, with or without transcripts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.contracts import Decoder
from seqlab.errors import DataError, ModelError
from seqlab.frontend.normalize import UtteranceCMVN
from seqlab.frontend.speaker_cmvn import SpeakerCMVN
from seqlab.heads.intermediate import Taps
from seqlab.lengths import pad_stack
from seqlab.model import SpeechModel

__all__ = ["Adaptation", "adapt"]


@dataclass(frozen=True)
class Adaptation:
    """How a model is adapted.

    Args:
        rounds: How often answers are learned from, at least 1: the second time those that the
            model gives after the first, and again from the weights it had before.
        passes: How often each recording is learned from in a round, at least 0; 0 leaves the
            weights alone.
        learning_rate: Of Adam, in (0, 1].
        speaker_weight: Of the speaker's mean and deviation where the model normalises each
            utterance by its own (``SpeakerCMVN``), in [0, 1].
        batch_size: Recordings a step, at least 1.
        seed: Of order and masks, at least 0.

    Raises:
        SeqlabError: A value is out of range.
    """

    rounds: int = 1
    passes: int = 20
    learning_rate: float = 2e-4
    speaker_weight: float = 0.5
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least("rounds", self.rounds, 1, "1 is usual")
        check_at_least("passes", self.passes, 0, "20 is usual")
        check_range("learning_rate", self.learning_rate, 1e-12, 1.0, "2e-4 is usual")
        check_range("speaker_weight", self.speaker_weight, 0.0, 1.0, "0.5 gives both their half")
        check_at_least("batch_size", self.batch_size, 1, "16 is usual")
        check_at_least("seed", self.seed, 0, "any whole number will do")


def adapt(
    model: SpeechModel,
    waveforms: Sequence[Tensor],
    adaptation: Adaptation | None = None,
    *,
    decoder: Decoder | None = None,
    transcripts: Sequence[str] | None = None,
) -> SpeechModel:
    """A copy of a recogniser that has learned from one speaker's recordings.

    Mean and deviation of the features come partly from the speaker; then the model itself writes
    what it hears, and learns from that with masked features. Where its first answers are mostly
    right, what is common to the speaker's sounds moves the wrong ones, too.

    Args:
        model: A recogniser; it stays as it is.
        waveforms: Of (N,) samples at the model's rate, all of one speaker; a dozen short ones are
            enough to be worth it. All are held in memory.
        adaptation: How; ``Adaptation()``, if None.
        decoder: For the first answers, such as a beam search with a language model; the plainest
            that fits the head, if None.
        transcripts: What was said, if it is known; one for each waveform.

    Raises:
        ModelError: The model does not transcribe.
        DataError: There are no recordings, or not as many transcripts.

    Source: Gales 1998, "Maximum likelihood linear transformations for HMM-based speech
    recognition", for learning from the recogniser's own answers; here all weights learn.
    """
    adaptation = adaptation or Adaptation()
    if model.task != "transcription":
        raise ModelError(f"this model is for {model.task}, must transcribe to be adapted")
    if not waveforms:
        raise DataError("0 recordings to adapt to; pass at least one of the speaker")
    if transcripts is not None and len(transcripts) != len(waveforms):
        raise DataError(
            f"{len(transcripts)} transcripts for {len(waveforms)} recordings, must be one for each"
        )
    adapted = copy.deepcopy(model).eval()
    features = _features(adapted, waveforms)
    _use_statistics(adapted, features, adaptation.speaker_weight)
    features = [_normalised(adapted, row) for row in features]
    start = copy.deepcopy(adapted.state_dict())
    for _ in range(adaptation.rounds):
        said = _answers(adapted, features, decoder) if transcripts is None else transcripts
        adapted.load_state_dict(start)
        _learn(adapted, _usable(adapted, features, said), adaptation)
    for parameter in adapted.parameters():
        parameter.grad = None
    return adapted


def _features(model: SpeechModel, waveforms: Sequence[Tensor]) -> list[Tensor]:
    """Features (T, F) of each waveform, as the front end gives them."""
    rows = []
    with torch.no_grad():
        for waveform in waveforms:
            count = torch.tensor([len(waveform)], device=model.device)
            features, frames = model.frontend(waveform[None].to(model.device), count)
            rows.append(features[0, : int(frames)])
    return rows


def _use_statistics(model: SpeechModel, features: Sequence[Tensor], weight: float) -> None:
    """Put ``SpeakerCMVN`` in the place of ``UtteranceCMVN``; other normalisers stay."""
    old = model.normalizer
    if not isinstance(old, UtteranceCMVN) or not any(len(row) for row in features):
        return
    width = features[0].shape[1]
    new = SpeakerCMVN(width, weight, old.mean, old.variance, old.floor)
    new.fit((row[None], torch.tensor([len(row)], device=row.device)) for row in features)
    model.normalizer = new.to(model.device).eval()


def _normalised(model: SpeechModel, features: Tensor) -> Tensor:
    if model.normalizer is None:
        return features
    with torch.no_grad():
        frames = torch.tensor([len(features)], device=features.device)
        normalised: Tensor = model.normalizer(features[None], frames)[0]
    return normalised


def _answers(model: SpeechModel, features: Sequence[Tensor], decoder: Decoder | None) -> list[str]:
    """What the model writes of each recording's normalised features."""
    texts = []
    with torch.no_grad():
        for row in features:
            frames = torch.tensor([len(row)], device=row.device)
            encoded, lengths = model.encode_features(row[None], frames, model.between())
            texts.append(model.answers(encoded, lengths, decoder)[0].text)
    return texts


def _usable(
    model: SpeechModel, features: Sequence[Tensor], said: Sequence[str]
) -> list[tuple[Tensor, Tensor]]:
    """Features (T, F) and targets (U,) of the recordings in which something was said."""
    targets = [torch.tensor(model.tokenizer.encode(text), dtype=torch.int64) for text in said]
    pairs = zip(features, targets, strict=True)
    return [(row, target) for row, target in pairs if len(row) > 0 and len(target) > 0]


def _learn(
    model: SpeechModel, pairs: Sequence[tuple[Tensor, Tensor]], adaptation: Adaptation
) -> None:
    """Some passes of Adam over (features (T, F), targets (U,)) pairs.

    Dropout is off and running statistics stay; only the features are masked.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=adaptation.learning_rate)
    generator = torch.Generator().manual_seed(adaptation.seed)
    mask = copy.deepcopy(model.spec_augment)
    for batch in _batches(pairs, adaptation, generator):
        rows, frames = pad_stack([row for row, _ in batch])
        if mask is not None:
            seeds = torch.randint(1 << 30, (len(batch),), generator=generator)
            rows = mask.train()(rows, frames, seeds.to(rows.device))
        targets, sizes = pad_stack([target.to(rows.device) for _, target in batch])
        losses = _losses(model, rows, frames, targets, sizes)
        finite = losses[losses.isfinite()]  # too short for what was written of it
        if len(finite) == 0:
            continue
        optimizer.zero_grad()
        finite.mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _batches(
    pairs: Sequence[tuple[Tensor, Tensor]], adaptation: Adaptation, generator: torch.Generator
) -> Iterator[list[tuple[Tensor, Tensor]]]:
    size = adaptation.batch_size
    for _ in range(adaptation.passes):
        order = torch.randperm(len(pairs), generator=generator).tolist()
        for begin in range(0, len(order), size):
            yield [pairs[place] for place in order[begin : begin + size]]


def _losses(
    model: SpeechModel, features: Tensor, frames: Tensor, targets: Tensor, sizes: Tensor
) -> Tensor:
    """Loss of each recording (B,) of normalised features (B, T, F)."""
    taps = None if model.intermediate is None else Taps(model.intermediate, model.head)
    # cuDNN's recurrent layers have no gradient in evaluation mode.
    with torch.backends.cudnn.flags(enabled=False):
        encoded, lengths = model.encode_features(features, frames, taps)
        losses: Tensor = model.head.loss(encoded, lengths, targets, sizes)
        return losses if taps is None else taps.mix(losses, lengths, targets, sizes)
