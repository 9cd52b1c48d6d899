"""Every recipe is data checked against the code, and trains two steps on made-up recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.data.config import split_path
from seqlab.data.manifest import Utterance, write_manifest
from seqlab.events.event import Event
from seqlab.inference.live import LiveTranscriber
from seqlab.model import SpeechModel
from seqlab.recipe import Recipe, build_model, check_recipe, load_recipe, train_recipe
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer
from seqlab.training.warm_start import warm_start

RECIPES = Path(__file__).parents[2] / "recipes"
FOUND = sorted(RECIPES.rglob("*.yaml"))
SPEAKERS = ("ann", "bob")
WORDS = ("yes", "no")
LARGE = {  # encoders that take about ten seconds for two steps
    "asr/librispeech/conformer_100h.yaml",
    "asr/librispeech/e_branchformer_960h.yaml",
    "asr/librispeech/streaming_100h.yaml",
}


def name_of(path: Path) -> str:
    return path.relative_to(RECIPES).as_posix()


def trained() -> list[Any]:
    marks = {True: (pytest.mark.slow,), False: ()}
    return [
        pytest.param(path, id=name_of(path), marks=marks[name_of(path) in LARGE]) for path in FOUND
    ]


def test_recipes_are_found() -> None:
    assert len(FOUND) >= 7
    assert {name_of(path) for path in FOUND} >= LARGE


@pytest.fixture(params=FOUND, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_recipe_is_checked(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    summary = check_recipe(recipe)
    assert summary.parameters > 0
    tasks = {"kws": "classification", "events": "detection"}
    kind = "phones" if path.stem == "phones" else path.relative_to(RECIPES).parts[0]
    assert summary.task == tasks.get(kind, "transcription")
    assert recipe.synthetic == ("synthetic" in f"{path.parent.name} {path.stem}")
    assert recipe.title and recipe.data.root.startswith("data/")
    (tmp_path / "resolved.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize("path", trained())
def test_recipe_trains_two_steps(path: Path, tmp_path: Path) -> None:
    speakers = (*SPEAKERS, *load_recipe(path).data.hold_out_speakers)
    make_corpus(tmp_path / "data", load_recipe(path), speakers)
    kind = load_recipe(path).text["class_path"].rpartition(".")[2]
    phones = kind in ("PhoneTokenizer", "PronouncingTokenizer")  # of a lexicon of two words
    (tmp_path / "lexicon.txt").write_text("".join(f"{word} T EH N\n" for word in WORDS))
    recipe = load_recipe(
        path,
        [
            # Two words have no more pieces.
            *(["--text.init_args.vocab_size=9"] if kind == "SentencePieceTokenizer" else []),
            *([f"--text.init_args.lexicon={tmp_path / 'lexicon.txt'}"] if phones else []),
            f"--data.root={tmp_path / 'data'}",
            "--data.batch_size=4",
            "--data.batch_duration_s=null",
            "--data.num_workers=0",
            "--training.max_steps=2",
            "--training.device=cpu",
        ],
    )
    alone = dataclasses.replace(recipe, warm_start=None)
    result = train_recipe(alone, tmp_path / "run")
    assert result.training.step == 2
    assert all(torch.isfinite(torch.tensor(e.loss)) for e in result.evaluations.values())
    model = SpeechModel.load(tmp_path / "run" / "model")
    assert model.facts["synthetic"] == recipe.synthetic
    wav = next((tmp_path / "data").glob("*.wav"))
    answers = {"transcription": model.transcribe, "classification": model.classify}
    assert len(answers.get(model.task, model.find_events)(wav)) == 1
    if recipe.encoder.get("init_args", {}).get("dynamic_chunks"):
        model.encoder.chunk_frames = 8  # type: ignore[assignment]
        LiveTranscriber(model)  # refuses what cannot stream


def test_wake_words_stand_on_phones(tmp_path: Path) -> None:
    folder = RECIPES / "kws" / "wakeword"
    phones, wake_words = (load_recipe(folder / f"{name}.yaml") for name in ("phones", "mdtc"))
    build_model(phones, CharacterTokenizer().fit(WORDS)).save(tmp_path / "phones")
    assert wake_words.warm_start is not None
    config = dataclasses.replace(wake_words.warm_start, model=str(tmp_path / "phones"))
    model = build_model(wake_words, LabelTokenizer().fit(WORDS))
    taken = warm_start(model, config)
    assert not taken.frontend_differs and taken.taken["encoder"] > 100


def make_corpus(folder: Path, recipe: Recipe, speakers: tuple[str, ...]) -> None:
    """Noise of a second or so, said to be words by ``speakers``, as the recipe's splits."""
    folder.mkdir()
    rate = int(recipe.frontend["init_args"]["sample_rate"])
    kind = recipe.text["class_path"].rpartition(".")[2]
    field = {"LabelTokenizer": "label", "EventTokenizer": "events"}.get(kind, "transcript")
    generator = torch.Generator().manual_seed(0)
    data = recipe.data
    other = {*data.unknown.sources, *data.silence.sources, *data.negatives}
    other |= {name for name in (data.augment.noise, data.augment.reverberation) if name}
    splits = sorted({*data.train, *data.dev, *data.test, *other})
    for place, split in enumerate(splits):
        utterances = []
        for number in range(4 * len(speakers)):
            name = f"{place}-{number}"
            waveform = torch.randn(rate + 100 * number, generator=generator) * 0.1
            save_audio(folder / f"{name}.wav", waveform, rate)
            target: dict[str, Any] = {field: WORDS[number // len(speakers) % 2]}
            if field == "events":
                target[field] = (Event(target[field], 0.25, 0.75),)
            target = {} if split in other else target
            speaker = speakers[number % len(speakers)]
            utterances.append(
                Utterance(
                    id=name,
                    path=str(folder / f"{name}.wav"),
                    start_s=0.0,
                    duration_s=len(waveform) / rate,
                    sample_rate=rate,
                    speaker=speaker,
                    **target,
                )
            )
        write_manifest(utterances, split_path(folder, split))
