"""Events in files: windows of long ones, and models that are saved, trained and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqlab.audio import save_audio
from seqlab.data.corpora import prepare
from seqlab.errors import ModelError, RecipeError, SeqlabError
from seqlab.inference.events import event_probabilities, events_of_file
from seqlab.model import SpeechModel
from seqlab.recipe import recipe_from_dict, train_recipe
from seqlab.text.tokenizers import LabelTokenizer
from tests.events.recordings import RATE, constant_model, event_model, make_words

RECIPE = Path(__file__).parents[2] / "recipes" / "events" / "digits.yaml"


def noise(seconds: float) -> torch.Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1.9, 4.0, 4.51, 6.2, 13.0])
def test_windows_hear_what_the_whole_does(seconds: float) -> None:
    model, waveform = event_model(), noise(seconds)
    sizes = torch.full((len(waveform) // 5000,), 5000).tolist()
    blocks = waveform.split([*sizes, len(waveform) - sum(sizes)])
    whole = event_probabilities(model, [waveform], window_s=3600)
    parts = event_probabilities(model, blocks, window_s=3, margin_s=0.5)
    assert parts.shape == whole.shape and parts.shape[1] == 2
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_find_events_and_files_agree(tmp_path: Path) -> None:
    model = constant_model(low=0.9, high=0.2)
    save_audio(tmp_path / "a.wav", noise(10), RATE)
    (event,) = events_of_file(model, tmp_path / "a.wav", window_s=3, margin_s=0.5)
    assert (event.label, event.onset_s) == ("low", 0.0)
    assert event.offset_s == pytest.approx(10, abs=0.05) and event.score == pytest.approx(0.9)
    (found,) = model.find_events(tmp_path / "a.wav")
    assert [(e.label, e.onset_s, e.offset_s) for e in found] == [
        (event.label, event.onset_s, event.offset_s)
    ]
    assert model.find_events(torch.zeros(10), sample_rate=RATE) == [[]]


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = event_model()
    model.save(tmp_path / "model")
    assert '"frame_s"' not in (tmp_path / "model" / "config.json").read_text()
    loaded = SpeechModel.load(tmp_path / "model")
    assert loaded.task == "detection" and loaded.head.frame_s == pytest.approx(0.02)
    assert loaded.tokenizer.tokens == ["low", "high"]
    waveform, lengths = noise(1)[None], torch.tensor([RATE])
    assert torch.equal(loaded(waveform, lengths)[0], model(waveform, lengths)[0])


def test_refusals(tmp_path: Path) -> None:
    model = event_model()
    with pytest.raises(ModelError, match="finds sound events; call find_events"):
        model.transcribe(noise(1), RATE)
    with pytest.raises(ModelError, match="finds sound events; call find_events"):
        model.classify(noise(1), RATE)
    labels = LabelTokenizer(labels=["low", "high"])
    with pytest.raises(ModelError, match="needs a tokenizer of events"):
        SpeechModel(model.frontend, model.encoder, model.head, labels)
    model.head.frame_s = 0.03
    with pytest.raises(ModelError, match=r"head\.frame_s=0\.03 must be the model's 0\.02"):
        SpeechModel(model.frontend, model.encoder, model.head, model.tokenizer)
    with pytest.raises(SeqlabError, match="margin_s=2 must be"):
        event_probabilities(model, [], window_s=3, margin_s=2)


def small_recipe(root: Path, **data: object) -> dict[str, object]:
    import yaml

    raw: dict[str, object] = yaml.safe_load(RECIPE.read_text())
    raw["data"] = {"root": str(root), "batch_size": 8, **data}
    raw["encoder"]["init_args"] |= {"hidden_dim": 32, "num_blocks": 2}  # type: ignore[index]
    raw["optimizer"] = {"name": "adamw", "lr": 0.01}
    raw["training"] = {"epochs": 6, "device": "cpu"}
    raw["spec_augment"] = None
    return raw


@pytest.mark.slow
def test_tones_are_learnt(tmp_path: Path) -> None:
    """Through recipe, training, evaluation and the saved model: nearly every tone is found."""
    words = make_words(tmp_path / "words")
    sizes = {"train": 64, "dev": 8, "test": 8, "duration_s": 3, "max_words": 3, "min_snr_db": 15}
    prepare("events", words, tmp_path / "data", **sizes)
    recipe = recipe_from_dict(small_recipe(tmp_path / "data"))
    result = train_recipe(recipe, tmp_path / "run")
    evaluation = result.evaluations["test"]
    assert evaluation.task == "detection" and evaluation.metric == "event_f1"
    assert evaluation.value > 0.8 and evaluation.figures["onset_f1"] > 0.8
    assert "dev_event_f1" in result.training.history[-1]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "event F1 (overlap of a half)" in page
    assert evaluation.figures["mean_average_precision"] > 0.4


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"augment": {"speeds": [0.9]}}, r"data\.augment\.speeds is not for events"),
        ({"augment": {"time_shift_s": 0.1}}, r"augment\.time_shift_s is not for events"),
        ({"augment": {"edges_s": 0.1}}, r"augment\.edges_s is not for events"),
        ({"silence": {"per_epoch": 2}}, r"data\.silence is not for events"),
    ],
)
def test_what_moves_sounds_is_refused(tmp_path: Path, data: dict, says: str) -> None:
    words = make_words(tmp_path / "words")
    prepare("events", words, tmp_path / "data", train=2, dev=0, test=0, duration_s=2)
    recipe = recipe_from_dict(small_recipe(tmp_path / "data", dev=[], test=[], **data))
    with pytest.raises(SeqlabError, match=says):
        train_recipe(recipe, tmp_path / "run")


def test_a_written_frame_is_refused(tmp_path: Path) -> None:
    raw = small_recipe(tmp_path)
    raw["head"]["init_args"]["frame_s"] = 0.02  # type: ignore[index]
    with pytest.raises(RecipeError, match="frame_s"):
        recipe_from_dict(raw)
