"""A recogniser adapted to each speaker of a manifest in turn, and how well it then does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from seqlab.contracts import Decoder
from seqlab.data.batch import SpeechDataset
from seqlab.data.utterance import Utterance
from seqlab.errors import DataError
from seqlab.model import SpeechModel
from seqlab.training.adaptation import Adaptation, adapt
from seqlab.training.validate import Answer, Evaluation, evaluate, summarize

__all__ = ["adapted_models", "by_speaker", "evaluate_adapted"]


def by_speaker(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances of each speaker, in the order they come.

    Raises:
        DataError: An utterance has no speaker, or there are no utterances.
    """
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        if utterance.speaker is None:
            raise DataError(
                f"{utterance.id} has no speaker, must have one to be adapted to; name it in the "
                "manifest, or do without adaptation"
            )
        groups.setdefault(utterance.speaker, []).append(utterance)
    if not groups:
        raise DataError("0 utterances have no speakers to adapt to; name a manifest that has some")
    return groups


def adapted_models(
    model: SpeechModel,
    utterances: Sequence[Utterance],
    adaptation: Adaptation | None = None,
    *,
    decoder: Decoder | None = None,
    progressed: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[SpeechModel, list[Utterance]]]:
    """For each speaker the model adapted to all that they say, and these utterances.

    Transcripts of the utterances are not looked at.

    Args:
        model: A recogniser; it stays as it is.
        utterances: Each with its speaker.
        adaptation: How; ``Adaptation()``, if None.
        decoder: For the first answers; see ``adapt``.
        progressed: Is told (utterances adapted to, all), at the start as well.

    Raises:
        DataError: An utterance has no speaker.
    """
    dataset = SpeechDataset(utterances, model.tokenizer, model.sample_rate)
    done = 0
    for group in by_speaker(utterances).values():
        if progressed:
            progressed(done, len(utterances))
        waveforms = [dataset.load(utterance) for utterance in group]
        yield adapt(model, waveforms, adaptation, decoder=decoder), group
        done += len(group)
    if progressed:
        progressed(done, len(utterances))


def evaluate_adapted(
    model: SpeechModel,
    utterances: Sequence[Utterance],
    adaptation: Adaptation | None = None,
    *,
    batch_size: int = 16,
    decoder: Decoder | None = None,
    first_decoder: Decoder | None = None,
    progressed: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """``evaluate``, with the model adapted to each speaker first, without their transcripts.

    A speaker's utterances are heard twice: what is learned from the first answers goes into the
    second ones. ``first_decoder`` is for the first ones, such as a search that trusts the language
    model more, which the adapted model needs less; ``decoder`` again, if None. See
    ``adapted_models`` for the other arguments and the errors.
    """
    said: dict[str, tuple[str, Answer]] = {}
    for adapted, group in adapted_models(
        model, utterances, adaptation, decoder=first_decoder or decoder, progressed=progressed
    ):
        found = evaluate(adapted, group, batch_size=batch_size, decoder=decoder)
        for record in found.records:
            loss = float("inf") if record.loss is None else record.loss
            answer = Answer(record.id, record.hypothesis, record.confidence, loss)
            said[record.id] = record.reference, answer
    pairs = [said[utterance.id] for utterance in utterances]
    references, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return summarize(model.task, utterances, references, answers)
