"""Evaluation of a model on a set of utterances: loss, figure of its task, and every answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import distributed

from seqlab.contracts import Decoder
from seqlab.data.batch import Batch, SpeechDataset
from seqlab.data.loader import make_loader
from seqlab.data.manifest import Utterance
from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import DataError
from seqlab.events.event import Event
from seqlab.intervals import bootstrap_interval, wilson_interval
from seqlab.metrics import error_rate
from seqlab.recordings import evaluating
from seqlab.training.event_figures import event_figures
from seqlab.training.preflight import check_targets

if TYPE_CHECKING:
    from seqlab.model import SpeechModel

HIGHER_IS_BETTER = ("accuracy", "event_f1")


class Answer(NamedTuple):
    """What a model says of one utterance.

    Args:
        id: Of the utterance.
        hypothesis: The text, label, or events as text.
        confidence: In [0, 1].
        loss: Of the reference.
        candidates: Everything that may be an event, with scores.
    """

    id: str
    hypothesis: str
    confidence: float
    loss: float
    candidates: Sequence[Event] = ()


@dataclass(frozen=True)
class UtteranceRecord:
    """One evaluated utterance.

    Args:
        id: Of the utterance.
        reference: What was said, normalised as the model's answers are.
        hypothesis: What the model answered.
        confidence: Of the answer, in [0, 1].
        speaker: None where unknown.
        loss: Of the reference, natural logarithm; None where it is infinite, as for an utterance
            too short for its transcript.
        errors: Word errors; 1 for a wrong label and 0 for a right one; missed and wrong events.
        reference_length: Words of the reference; 1 for a label; events of reference and answer
            together, so that 1 less the share of errors is their F1.
        path: Audio file.
        start_s: Where the utterance begins in it.
        duration_s: How long it is.
    """

    id: str
    reference: str
    hypothesis: str
    confidence: float
    speaker: str | None
    loss: float | None
    errors: int
    reference_length: int
    path: str
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on a set of utterances.

    Args:
        task: "transcription", "classification" or "detection".
        loss: Mean over the utterances whose loss is finite; NaN where none is.
        metric: "word_error_rate", "accuracy" or "event_f1".
        value: The figure; error rates are at least 0, the others in [0, 1].
        figures: All figures by name, ``metric`` among them.
        records: The utterances, in the order they were given.
    """

    task: str
    loss: float
    metric: str
    value: float
    figures: dict[str, float]
    records: list[UtteranceRecord]

    @property
    def ids(self) -> list[str]:
        """Ids of the utterances."""
        return [record.id for record in self.records]

    @property
    def references(self) -> list[str]:
        """What was said, utterance by utterance."""
        return [record.reference for record in self.records]

    @property
    def hypotheses(self) -> list[str]:
        """What the model answered, utterance by utterance."""
        return [record.hypothesis for record in self.records]

    @property
    def error(self) -> float:
        """The figure as an error, lower is better."""
        return 1 - self.value if self.metric in HIGHER_IS_BETTER else self.value

    def interval(
        self, *, by_speaker: bool = False, confidence: float = 0.95
    ) -> tuple[float, float] | None:
        """Confidence interval (low, high) of ``value``; None of a single utterance or speaker.

        An accuracy over utterances has Wilson's interval, everything else is bootstrapped.

        Args:
            by_speaker: Draw speakers instead of utterances; wider and more honest where a few
                speakers said everything.
            confidence: Share of the draws within the interval, in (0, 1).
        """
        right = self.metric in HIGHER_IS_BETTER
        groups = [r.speaker or r.id for r in self.records] if by_speaker else None
        if len(set(groups or self.ids)) < 2 or not math.isfinite(self.value):
            return None
        if self.metric == "accuracy" and groups is None:
            total = len(self.records)
            return wilson_interval(total - sum(r.errors for r in self.records), total, confidence)
        counts = [r.reference_length - r.errors if right else r.errors for r in self.records]
        weights = [r.reference_length for r in self.records]
        return bootstrap_interval(counts, weights, groups, confidence=confidence)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; figures that are not finite become None."""
        interval = self.interval()
        return {
            "task": self.task,
            "utterances": len(self.records),
            "loss": _finite(self.loss),
            "metric": self.metric,
            "value": _finite(self.value),
            "confidence_interval": None if interval is None else list(interval),
            "figures": {name: _finite(value) for name, value in self.figures.items()},
            "records": [asdict(record) for record in self.records],
        }


def evaluate(
    model: SpeechModel,
    utterances: Sequence[Utterance] | SpeechDataset,
    *,
    batch_size: int = 16,
    num_workers: int = 0,
    progressed: Callable[[int, int], None] | None = None,
    decoder: Decoder | None = None,
) -> Evaluation:
    """Run a model over utterances and compare its answers with the references.

    The figures do not depend on the batch size, nor on the number of processes: under torchrun
    every process takes a share, and all of them return the whole.

    Args:
        model: In any mode; it is left in the same one.
        utterances: With transcripts or labels the model's tokenizer can encode.
        batch_size: Utterances at a time over all processes, at least 1.
        num_workers: Processes that load audio.
        progressed: Called with (utterances done, utterances in all) after each batch.
        decoder: Such as a beam search; the plainest that fits the model's head, if None.

    Raises:
        DataError: There are no utterances, or a reference is missing or cannot be encoded.
    """
    if isinstance(utterances, SpeechDataset):
        dataset = utterances
    else:
        check_targets(utterances, model.tokenizer, "evaluated")
        dataset = SpeechDataset(utterances, model.tokenizer, model.frontend.sample_rate)
    found = list(dataset.utterances)
    if not found:
        raise DataError("0 utterances cannot be evaluated; name a manifest that has some")
    answers = _gathered(_own_answers(model, dataset, batch_size, num_workers, progressed, decoder))
    by_id = {answer.id: answer for answer in answers}
    references = [model.tokenizer.normalize(u.target or "") for u in found]
    return summarize(model.task, found, references, [by_id[u.id] for u in found])


def _own_answers(
    model: SpeechModel,
    dataset: SpeechDataset,
    batch_size: int,
    num_workers: int,
    progressed: Callable[[int, int], None] | None,
    decoder: Decoder | None,
) -> list[Answer]:
    """The answers to this process's share of the utterances."""
    total = len(dataset)
    rank, processes = _process()
    processes = min(processes, total)
    if rank >= processes:
        return []
    sampler = BucketBatchSampler(
        dataset.durations,
        batch_size=max(batch_size, processes),
        shuffle=False,
        rank=rank,
        world_size=processes,
    )
    answers: list[Answer] = []
    with evaluating(model), torch.inference_mode():
        for batch in make_loader(dataset, sampler, num_workers):
            answers += _answers(model, batch.to(model.device), decoder)
            if progressed:
                progressed(min(len(answers) * processes, total), total)
    return answers


def _process() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _gathered(own: list[Answer]) -> list[Answer]:
    """The answers of all processes."""
    _, processes = _process()
    if processes == 1:
        return own
    parts: list[Any] = [None] * processes
    distributed.all_gather_object(parts, own)
    return [answer for part in parts for answer in part]


def _answers(model: SpeechModel, batch: Batch, decoder: Decoder | None) -> list[Answer]:
    """The answer to each utterance of a batch."""
    encoded, lengths = model.encode(batch.waveform, batch.lengths)
    hypotheses = model.answers(encoded, lengths, decoder)
    losses = model.head.loss(encoded, lengths, batch.targets, batch.target_lengths).tolist()
    return [
        Answer(name, said.text, said.confidence, loss, said.details.get("candidates", ()))
        for name, said, loss in zip(batch.ids, hypotheses, losses, strict=True)
    ]


def summarize(
    task: str,
    utterances: Sequence[Utterance],
    references: Sequence[str],
    answers: Sequence[Answer],
) -> Evaluation:
    """Figures and records of the answers to utterances.

    Args:
        task: "transcription", "classification" or "detection".
        utterances: At least one.
        references: Their targets, normalised as the model's answers are.
        answers: In the same order.
    """
    hypotheses = [answer.hypothesis for answer in answers]
    if task == "transcription":
        words = error_rate(references, hypotheses, unit="word")
        errors = [alignment.errors for alignment in words.alignments]
        sizes = [alignment.reference_length for alignment in words.alignments]
        characters = error_rate(references, hypotheses, unit="character")
        figures = {"word_error_rate": words.rate, "character_error_rate": characters.rate}
    elif task == "detection":
        candidates = [answer.candidates for answer in answers]
        errors, sizes, figures = event_figures(references, hypotheses, candidates)
    else:
        errors = [int(r != h) for r, h in zip(references, hypotheses, strict=True)]
        sizes = [1] * len(errors)
        figures = {"accuracy": 1 - sum(errors) / len(errors)}
    records = [
        UtteranceRecord(
            id=u.id,
            reference=reference,
            hypothesis=answer.hypothesis,
            confidence=answer.confidence,
            speaker=u.speaker,
            loss=_finite(answer.loss),
            errors=wrong,
            reference_length=size,
            path=str(u.path),
            start_s=u.start_s,
            duration_s=u.duration_s,
        )
        for u, reference, answer, wrong, size in zip(
            utterances, references, answers, errors, sizes, strict=True
        )
    ]
    losses = [record.loss for record in records if record.loss is not None]
    loss = math.fsum(losses) / len(losses) if losses else math.nan
    metric = next(iter(figures))
    return Evaluation(task, loss, metric, figures[metric], figures, records)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
