"""Tuning the weights of language-model fusion on a set of utterances that was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
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

__all__ = ["Fold", "Tuning", "log_probs_of", "tune_decoding", "tune_folds"]

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


@dataclass(frozen=True)
class Fold:
    """Utterances, and what was trained without them.

    Args:
        model: A recogniser with an answer for each frame.
        utterances: With transcripts. Neither the model nor the language model may have been
            trained on them, and the test set must not be among them.
        settings: All that is not tuned, with the language model.
        log_probs: What ``log_probs_of`` found, where the model alone does not say it, such as one
            that is adapted to each speaker.
    """

    model: SpeechModel
    utterances: Sequence[Utterance]
    settings: DecodingSettings
    log_probs: Sequence[Tensor] | None = None


def tune_decoding(
    model: SpeechModel,
    utterances: Sequence[Utterance],
    settings: DecodingSettings,
    *,
    grid: Mapping[str, Sequence[float]] | None = None,
    tried: Callable[[Trial], None] | None = None,
    log_probs: Sequence[Tensor] | None = None,
) -> Tuning:
    """Find the weights with the fewest word errors; see ``tune_folds`` and ``Fold``."""
    return tune_folds([Fold(model, utterances, settings, log_probs)], grid=grid, tried=tried)


def tune_folds(
    folds: Sequence[Fold],
    *,
    grid: Mapping[str, Sequence[float]] | None = None,
    tried: Callable[[Trial], None] | None = None,
) -> Tuning:
    """Find the weights with the fewest word errors over all folds; the models run only once.

    Use several folds where a corpus is so small that the speakers of one say little of others.
    Token priors are the mean posteriors over the utterances of all folds.

    Args:
        folds: At least one; their models have the same tokens. The settings found are those of
            the first, with the best weights.
        grid: Where to begin, by name of the setting; None takes ``WITH_MODEL``, or
            ``WITHOUT_MODEL`` where there is no language model.
        tried: Is told of every trial.

    Raises:
        SeqlabError: Folds or settings cannot be used.
    """
    settings = folds[0].settings
    start = grid or (WITH_MODEL if settings.language_model else WITHOUT_MODEL)
    _check_folds(folds, start)
    searches = [_Search(fold) for fold in folds]
    if "prior_weight" in start:
        rows = [row for search in searches for row in search.rows]
        priors = Priors.of(pad_sequence(rows, batch_first=True), _lengths(rows))
        settings = dataclasses.replace(settings, log_priors=priors.log_priors)
        for search in searches:
            search.decoder.priors = priors

    def count_errors(at: Mapping[str, float]) -> tuple[int, int]:
        return _summed(search.errors(at) for search in searches)

    trials = find_settings(count_errors, start, lowest=LOWEST, tried=tried)
    best: dict[str, Any] = dict(trials[0].settings)
    texts = [text for search in searches for text in search.references]
    return Tuning(
        settings=dataclasses.replace(settings, **best),
        trials=trials,
        words=sum(len(text.split()) for text in texts),
        characters=error_rate(texts, texts, unit="character").reference_length,
        greedy=_summed(search.greedy_errors() for search in searches),
    )


def _check_folds(folds: Sequence[Fold], grid: Mapping[str, Sequence[float]]) -> None:
    unknown = sorted(set(grid) - set(WITH_MODEL))
    if unknown:
        raise DataError(f"{unknown[0]!r} cannot be tuned; there are {', '.join(WITH_MODEL)}")
    for fold in folds:
        if not fold.utterances:
            raise DataError("0 utterances cannot be tuned on; name a manifest that has some")
        if fold.model.tokenizer.tokens != folds[0].model.tokenizer.tokens:
            raise DataError(
                f"folds of models with {len(folds[0].model.tokenizer)} and "
                f"{len(fold.model.tokenizer)} tokens, must have the same tokens in the same order; "
                "train them with one lexicon or tokenizer"
            )


class _Search:
    """The beam search of one fold over what its model says."""

    def __init__(self, fold: Fold) -> None:
        self.model = fold.model
        self.decoder = fold.settings.decoder(fold.model)
        known = fold.log_probs
        self.rows = log_probs_of(fold.model, fold.utterances) if known is None else list(known)
        self.references = [fold.model.tokenizer.normalize(u.target or "") for u in fold.utterances]
        self.padded = pad_sequence(self.rows, batch_first=True)

    def errors(self, weights: Mapping[str, float]) -> tuple[int, int]:
        """Word and character errors with these weights."""
        found = self.decoder.with_weights(**weights).decode(self.padded, _lengths(self.rows))
        return _errors(self.references, [answers[0].text for answers in found])

    def greedy_errors(self) -> tuple[int, int]:
        """Those of the best path."""
        found = self.model.decode(self.padded, _lengths(self.rows))
        return _errors(self.references, [answer.text for answer in found])


def _lengths(rows: Sequence[Tensor]) -> Tensor:
    return torch.tensor([len(row) for row in rows])


def _summed(errors: Iterable[tuple[int, int]]) -> tuple[int, int]:
    words, characters = zip(*errors, strict=True)
    return sum(words), sum(characters)


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
