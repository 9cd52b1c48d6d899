"""Tuning the weights of language-model fusion on a set of utterances that was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqlab.data.batch import SpeechDataset
from seqlab.data.loader import make_loader
from seqlab.data.manifest import Utterance
from seqlab.data.sampling import BucketBatchSampler
from seqlab.decoding.priors import Priors
from seqlab.errors import DataError
from seqlab.inference.search import Trial, find_settings
from seqlab.inference.settings import DecodingSettings
from seqlab.metrics import error_rate
from seqlab.model import SpeechModel
from seqlab.recordings import evaluating

__all__ = ["Tuning", "log_probs_of", "tune_decoding"]

WITH_MODEL = {
    "lm_weight": (0.5, 1.0, 1.5, 2.0),
    "word_bonus": (0.0, 2.0, 4.0),
    "unknown_penalty": (10.0,),
    "prior_weight": (0.0, 0.3),
}
WITHOUT_MODEL = {"word_bonus": (0.0, 2.0, 4.0)}
_BATCH = 16
LOWEST = {"lm_weight": 0.0, "unknown_penalty": 0.0, "prior_weight": 0.0}


@dataclass(frozen=True)
class Tuning:
    """What tuning found.

    Args:
        settings: The best settings.
        trials: All that were tried, the best one first.
        words: Words of the references.
        characters: Their characters.
        greedy: Errors of the best path, without beam search, of words and of characters.
    """

    settings: DecodingSettings
    trials: list[Trial]
    words: int
    characters: int
    greedy: tuple[int, int]


def tune_decoding(
    model: SpeechModel,
    utterances: Sequence[Utterance],
    settings: DecodingSettings,
    *,
    grid: Mapping[str, Sequence[float]] | None = None,
    tried: Callable[[Trial], None] | None = None,
    log_probs: Sequence[Tensor] | None = None,
) -> Tuning:
    """Find the weights with the fewest word errors; the acoustic model runs only once.

    Token priors are the mean posteriors over the same utterances.

    Args:
        model: A recogniser with an answer for each frame.
        utterances: With transcripts. Neither the model nor the language model may have been
            trained on them, and the test set must not be among them.
        settings: All that is not tuned.
        grid: Where to begin, by name of the setting; None takes ``WITH_MODEL``, or
            ``WITHOUT_MODEL`` where there is no language model.
        tried: Is told of every trial.
        log_probs: What ``log_probs_of`` found, where the model alone does not say it, such as one
            that is adapted to each speaker.

    Raises:
        SeqlabError: Utterances or settings cannot be used.
    """
    if not utterances:
        raise DataError("0 utterances cannot be tuned on; name a manifest that has some")
    decoder = settings.decoder(model)
    start = grid or (WITH_MODEL if settings.language_model else WITHOUT_MODEL)
    unknown = sorted(set(start) - set(WITH_MODEL))
    if unknown:
        raise DataError(f"{unknown[0]!r} cannot be tuned; there are {', '.join(WITH_MODEL)}")
    rows = log_probs_of(model, utterances) if log_probs is None else list(log_probs)
    references = [model.tokenizer.normalize(u.target or "") for u in utterances]
    lengths = torch.tensor([len(row) for row in rows])
    padded = pad_sequence(rows, batch_first=True)
    if "prior_weight" in start:
        decoder.priors = Priors.of(padded, lengths)
        settings = dataclasses.replace(settings, log_priors=decoder.priors.log_priors)

    def count_errors(at: Mapping[str, float]) -> tuple[int, int]:
        answers = decoder.with_weights(**at).decode(padded, lengths)
        return _errors(references, [answer[0].text for answer in answers])

    trials = find_settings(count_errors, start, lowest=LOWEST, tried=tried)
    best: dict[str, Any] = dict(trials[0].settings)
    return Tuning(
        settings=dataclasses.replace(settings, **best),
        trials=trials,
        words=sum(len(text.split()) for text in references),
        characters=error_rate(references, references, unit="character").reference_length,
        greedy=_errors(references, [a.text for a in model.decode(padded, lengths)]),
    )


def log_probs_of(model: SpeechModel, utterances: Sequence[Utterance]) -> list[Tensor]:
    """Log-probabilities (T', C) of each utterance, on the CPU.

    Raises:
        DataError: An utterance has no transcript.
    """
    silent = [utterance.id for utterance in utterances if utterance.transcript is None]
    if silent:
        raise DataError(f"{silent[0]} has no transcript to count errors against; leave it out")
    dataset = SpeechDataset(utterances, model.tokenizer, model.sample_rate)
    sampler = BucketBatchSampler(dataset.durations, batch_size=_BATCH, shuffle=False)
    rows: dict[str, Tensor] = {}
    with evaluating(model), torch.inference_mode():
        for batch in make_loader(dataset, sampler, 0):
            here = batch.to(model.device)
            log_probs, lengths = model(here.waveform, here.lengths)
            for name, row, length in zip(here.ids, log_probs, lengths.tolist(), strict=True):
                rows[name] = row[:length].float().cpu()
    return [rows[utterance.id] for utterance in utterances]


def _errors(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[int, int]:
    return (
        error_rate(references, hypotheses, unit="word").errors,
        error_rate(references, hypotheses, unit="character").errors,
    )
