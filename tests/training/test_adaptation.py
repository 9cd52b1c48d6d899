"""Adaptation to a speaker: what it learns, what it must not look at, and what it leaves alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqlab.data.manifest import Utterance, read_manifest
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import DataError, ModelError, SeqlabError
from seqlab.frontend.augment import SpecAugment
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import UtteranceCMVN
from seqlab.frontend.speaker_cmvn import SpeakerCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.lengths import pad_stack
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer
from seqlab.training.adaptation import Adaptation, adapt
from seqlab.training.speakers import adapted_models, by_speaker, evaluate_adapted
from seqlab.training.validate import evaluate
from tests.heads.test_intermediate import model as conditioned
from tests.test_model import classifier, noise, recogniser, texts

from .corpus import RATE, make_corpus, tones

TEXTS = ["ab", "ba", "cab", "acb", "bca", "cc", "abc", "cba"]
_BAD = {"rounds": 0, "passes": -1, "learning_rate": 0.0, "speaker_weight": 2.0, "seed": -1}
UNCHANGED = Adaptation(passes=0, speaker_weight=0.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("tones"), "transcription")


@pytest.fixture(scope="module")
def trained() -> SpeechModel:
    """A recogniser that has learned the corpus's tones from other recordings of them."""
    torch.manual_seed(0)
    frontend, tokenizer = LogMel(sample_rate=RATE, n_mels=16), CharacterTokenizer().fit(["abc"])
    encoder = SeparableConvEncoder(16, widths=24, kernel_sizes=[5], repeats=1, strides=[2])
    head = CTCHead(encoder.output_dim, len(tokenizer))
    model = SpeechModel(frontend, encoder, head, tokenizer, UtteranceCMVN(), SpecAugment())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    waveforms, lengths = pad_stack([tones(text, 0.15, seed) for seed, text in enumerate(TEXTS)])
    targets, sizes = pad_stack([torch.tensor(tokenizer.encode(text)) for text in TEXTS])
    for _ in range(60):
        encoded, frames = model.train().encode(waveforms, lengths)
        optimizer.zero_grad()
        head.loss(encoded, frames, targets, sizes).mean().backward()
        optimizer.step()
    return model.eval()


def voice(text: str, seed: int) -> torch.Tensor:
    """The tones of the corpus through a dull channel: one speaker of their own."""
    waveform = tones(text, 0.15, seed)
    dull = torch.zeros_like(waveform)
    state = torch.tensor(0.0)
    for place, sample in enumerate(waveform):
        state = 0.9 * state + 0.1 * sample
        dull[place] = state
    return dull + 0.02 * torch.randn(len(dull), generator=torch.Generator().manual_seed(seed))


def loss_of(model: SpeechModel, waveforms: list[torch.Tensor], said: list[str]) -> float:
    total = 0.0
    with torch.inference_mode():
        for waveform, text in zip(waveforms, said, strict=True):
            encoded, lengths = model.encode(waveform[None], torch.tensor([len(waveform)]))
            target = torch.tensor([model.tokenizer.encode(text)])
            sizes = torch.tensor([target.shape[1]])
            total += float(model.head.loss(encoded, lengths, target, sizes))
    return total / len(said)


def test_a_voice_is_learned_with_and_without_transcripts(trained: SpeechModel) -> None:
    """Other recordings of the same voice are understood better; the model itself stays."""
    before = copy.deepcopy(trained.state_dict())
    seen = [voice(text, seed) for seed, text in enumerate(TEXTS)]
    unseen = [voice(text, 100 + seed) for seed, text in enumerate(TEXTS)]
    plain = loss_of(trained, unseen, TEXTS)
    told = adapt(trained, seen, transcripts=TEXTS)
    alone = adapt(trained, seen)
    assert loss_of(told, unseen, TEXTS) < 0.9 * plain
    assert loss_of(alone, unseen, TEXTS) < 0.9 * plain
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert isinstance(trained.normalizer, UtteranceCMVN)
    assert isinstance(alone.normalizer, SpeakerCMVN) and not alone.training


def test_without_passes_and_weight_nothing_changes() -> None:
    model, recordings = recogniser(), noise(12_000, 9_000, 4_000)
    same = adapt(model, recordings, UNCHANGED)
    for plain, adapted in zip(
        model.transcribe(recordings, model.sample_rate),
        same.transcribe(recordings, model.sample_rate),
        strict=True,
    ):
        assert plain.text == adapted.text
        assert plain.score == pytest.approx(adapted.score, abs=1e-4)


def test_statistics_are_the_speakers() -> None:
    model, recordings = recogniser(), noise(12_000, 9_000)
    adapted = adapt(model, recordings, Adaptation(passes=0, speaker_weight=1.0))
    lengths = torch.tensor([12_000, 9_000])
    batch = torch.nn.utils.rnn.pad_sequence(recordings, batch_first=True)
    features, frames = model.frontend(batch, lengths)
    rows = torch.cat([row[:count] for row, count in zip(features, frames, strict=True)])
    torch.testing.assert_close(adapted.normalizer.speaker.mean, rows.mean(0))
    torch.testing.assert_close(adapted.normalizer.speaker.std, rows.std(0, unbiased=False))


def test_the_same_seed_gives_the_same_weights() -> None:
    model, recordings = recogniser(), noise(12_000, 9_000, 15_000)
    said = ["no", "yes", "no yes"]
    first, second, other = (
        adapt(model, recordings, Adaptation(batch_size=2, seed=seed), transcripts=said).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_round_begins_with_the_weights_of_the_first(trained: SpeechModel) -> None:
    recordings = [voice(text, seed) for seed, text in enumerate(TEXTS)]
    told = adapt(trained, recordings, transcripts=TEXTS).state_dict()
    twice = adapt(trained, recordings, Adaptation(rounds=2), transcripts=TEXTS).state_dict()
    assert all(torch.equal(told[name], twice[name]) for name in told)
    first = adapt(trained, recordings)
    second = adapt(trained, recordings, Adaptation(rounds=2)).state_dict()
    heard = texts(first.transcribe(recordings, RATE))
    again = adapt(trained, recordings, transcripts=heard).state_dict()
    assert all(torch.equal(second[name], again[name]) for name in second)


@pytest.mark.parametrize("kind", ["recurrent", "intermediate", "no normaliser"])
def test_other_models_learn_as_well(kind: str) -> None:
    model, recordings, said = recogniser(), noise(12_000, 9_000), ["no", "yes"]
    if kind == "recurrent":
        model = recogniser(RecurrentEncoder(10, hidden_dim=6, num_layers=1))
    elif kind == "intermediate":
        model = conditioned()
    else:
        model.normalizer = None
    plain = loss_of(model, recordings, said)
    adapted = adapt(model, recordings, Adaptation(learning_rate=5e-3), transcripts=said)
    assert loss_of(adapted, recordings, said) < plain
    assert all(parameter.grad is None for parameter in adapted.parameters())


def test_an_adapted_model_is_a_model(trained: SpeechModel, tmp_path: Path) -> None:
    recordings = [voice(text, seed) for seed, text in enumerate(TEXTS)]
    adapted = adapt(trained, recordings)
    adapted.save(tmp_path / "model")
    loaded = SpeechModel.load(tmp_path / "model")
    assert texts(loaded.transcribe(recordings, RATE)) == texts(adapted.transcribe(recordings, RATE))


def test_a_speaker_at_a_time_in_the_order_given(trained: SpeechModel, corpus: Path) -> None:
    utterances = read_manifest(corpus / "test.jsonl.gz")
    told: list[tuple[int, int]] = []
    found = evaluate_adapted(trained, utterances, progressed=lambda *n: told.append(n))
    assert found.ids == [utterance.id for utterance in utterances]
    assert [r.speaker for r in found.records] == [u.speaker for u in utterances]
    assert told[0] == (0, 7) and told[-1] == (7, 7)
    for model, group in adapted_models(trained, utterances):
        names = [utterance.id for utterance in group]
        alone = evaluate(model, group).records
        assert alone == [record for record in found.records if record.id in names]
    same = evaluate_adapted(trained, utterances, UNCHANGED)
    plain = evaluate(trained, utterances)
    assert same.hypotheses == plain.hypotheses and same.value == plain.value
    assert same.loss == pytest.approx(plain.loss, rel=1e-4)


def test_transcripts_are_not_looked_at(trained: SpeechModel, corpus: Path) -> None:
    utterances = read_manifest(corpus / "test.jsonl.gz")
    others = [replace(utterance, transcript="abc") for utterance in utterances]
    right, wrong = evaluate_adapted(trained, utterances), evaluate_adapted(trained, others)
    assert right.hypotheses == wrong.hypotheses
    assert right.value < wrong.value


def test_what_cannot_be_adapted() -> None:
    model = recogniser()
    with pytest.raises(ModelError, match="for classification, must transcribe to be adapted"):
        adapt(classifier(), noise(8000))
    with pytest.raises(DataError, match="0 recordings to adapt to"):
        adapt(model, [])
    with pytest.raises(DataError, match="1 transcripts for 2 recordings, must be one for each"):
        adapt(model, noise(8000, 8000), transcripts=["no"])
    spoken = Utterance("a", "/a.wav", 0.0, 1.0, RATE, transcript="no")
    with pytest.raises(DataError, match="a has no speaker, must have one to be adapted to"):
        by_speaker([spoken])
    with pytest.raises(DataError, match="0 utterances have no speakers"):
        by_speaker([])
    for name, value in {
        "passes": -1,
        "learning_rate": 0.0,
        "speaker_weight": 2.0,
        "seed": -1,
    }.items():
        with pytest.raises(SeqlabError, match=f"{name}={value}"):
            Adaptation(**{name: value})


def test_silence_and_short_recordings_are_no_trouble() -> None:
    model = recogniser()
    recordings = [*noise(12_000, 10, 0), torch.zeros(8000)]
    adapted = adapt(model, recordings, transcripts=["no yes no yes no yes no yes", "no", "", "no"])
    assert all(value.isfinite().all() for value in adapted.state_dict().values())
