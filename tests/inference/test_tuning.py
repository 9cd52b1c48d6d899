"""Tuning on a model whose answers are known: a language model must put right what it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqlab import NGramModel
from seqlab.audio import save_audio
from seqlab.data.manifest import Utterance
from seqlab.errors import DataError
from seqlab.inference.search import Trial
from seqlab.inference.settings import DecodingSettings
from seqlab.inference.tuning import Fold, tune_decoding, tune_folds
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer
from tests.test_model import RATE, recogniser

TEXTS = ["yes no", "no yes no", "yes"]


class Misspelling(SpeechModel):
    """Hears each utterance's text, but "o" as "e" a little more often than as "o"."""

    texts: dict[int, str]

    def forward(
        self, waveform: Tensor, lengths: Tensor, seeds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        rows = [self.row(self.texts[int(length)]) for length in lengths]
        counts = torch.tensor([len(row) for row in rows])
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), counts

    def row(self, text: str) -> Tensor:
        tokens = self.tokenizer.encode(text)
        probabilities = torch.full((2 * len(tokens), len(self.tokenizer)), 0.001)
        for place, token in enumerate(tokens):
            probabilities[2 * place, token] = 1.0
            if self.tokenizer.decode([token]) == "o":
                probabilities[2 * place, self.tokenizer.encode("e")[0]] = 1.2
            probabilities[2 * place + 1, 0] = 1.0
        return (probabilities / probabilities.sum(1, keepdim=True)).log()


@pytest.fixture
def model() -> SpeechModel:
    whole = recogniser()
    model = Misspelling(whole.frontend, whole.encoder, whole.head, whole.tokenizer).eval()
    model.texts = {RATE + 100 * place: text for place, text in enumerate(TEXTS)}
    return model


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    found = []
    for place, text in enumerate(TEXTS):
        path = tmp_path / f"{place}.wav"
        samples = RATE + 100 * place
        save_audio(path, torch.zeros(samples), RATE)
        found.append(
            Utterance(
                id=str(place), path=str(path), start_s=0.0, duration_s=samples / RATE,
                sample_rate=RATE, transcript=text,
            )
        )  # fmt: skip
    return found


def test_the_language_model_puts_it_right(
    model: SpeechModel, utterances: list[Utterance], tmp_path: Path
) -> None:
    NGramModel.estimate(TEXTS, order=2, smoothing="witten_bell").save(tmp_path / "w.ngram")
    told: list[Trial] = []
    settings = DecodingSettings(language_model=str(tmp_path / "w.ngram"))
    tuning = tune_decoding(model, utterances, settings, tried=told.append)
    assert tuning.greedy == (3, 3)  # every "no" is heard as "ne"
    assert (tuning.words, tuning.characters) == (6, 18)
    assert tuning.trials[0].errors == (0, 0)
    assert tuning.settings.lm_weight == tuning.trials[0].settings["lm_weight"] > 0
    assert len(told) == len(tuning.trials) and tuning.settings.beam == settings.beam


def test_without_a_language_model(model: SpeechModel, utterances: list[Utterance]) -> None:
    tuning = tune_decoding(model, utterances, DecodingSettings(beam=4))
    assert set(tuning.trials[0].settings) == {"word_bonus"}
    assert tuning.trials[0].errors == tuning.greedy


def test_a_grid_of_ones_own(model: SpeechModel, utterances: list[Utterance]) -> None:
    tuning = tune_decoding(model, utterances, DecodingSettings(), grid={"word_bonus": [1.0]})
    assert [trial.settings for trial in tuning.trials] == [{"word_bonus": 1.0}]
    with pytest.raises(DataError, match="'beam' cannot be tuned"):
        tune_decoding(model, utterances, DecodingSettings(), grid={"beam": [1.0]})
    with pytest.raises(DataError, match="0 utterances"):
        tune_decoding(model, [], DecodingSettings())


def test_transcripts_are_needed(model: SpeechModel, utterances: list[Utterance]) -> None:
    bare = [replace(utterances[0], transcript=None)]
    with pytest.raises(DataError, match="0 has no transcript"):
        tune_decoding(model, bare, DecodingSettings())


def test_folds_are_counted_together(
    model: SpeechModel, utterances: list[Utterance], tmp_path: Path
) -> None:
    """At every weight the errors are those of the folds one by one; priors are of all frames."""
    paths = []
    for place, texts in enumerate((TEXTS, ["ne", "ne yes ne"])):
        paths.append(str(tmp_path / f"{place}.ngram"))
        NGramModel.estimate(texts, order=2, smoothing="witten_bell").save(paths[-1])
    parts = [(utterances[:1], paths[0]), (utterances[1:], paths[1])]
    folds = [Fold(model, some, DecodingSettings(language_model=path)) for some, path in parts]
    grid = {"lm_weight": [0.5, 2.0], "word_bonus": [0.0]}
    whole = tune_folds(folds, grid=grid)
    alone = [tune_folds([fold], grid=grid) for fold in folds]

    def errors(trials: list[Trial]) -> dict[tuple[float, ...], tuple[int, int]]:
        return {tuple(trial.settings.values()): trial.errors for trial in trials}

    first, second = (errors(tuning.trials) for tuning in alone)
    both = errors(whole.trials)
    common = both.keys() & first.keys() & second.keys()
    assert len(common) >= 2
    for at in common:
        assert both[at] == tuple(map(sum, zip(first[at], second[at], strict=True)))
    assert whole.words == 6 and whole.greedy == (3, 3)
    assert whole.settings.language_model == paths[0]

    settings = DecodingSettings(language_model=paths[0])
    one = tune_decoding(model, utterances, settings, grid={"prior_weight": [0.3]})
    more = tune_folds(folds, grid={"prior_weight": [0.3]})
    assert more.settings.log_priors == pytest.approx(one.settings.log_priors)


def test_folds_have_the_same_tokens(model: SpeechModel, utterances: list[Utterance]) -> None:
    other = recogniser()
    other.tokenizer = CharacterTokenizer().fit(["yes no maybe"])
    folds = [
        Fold(model, utterances, DecodingSettings()),
        Fold(other, utterances, DecodingSettings()),
    ]
    with pytest.raises(DataError, match="must have the same tokens in the same order"):
        tune_folds(folds)
