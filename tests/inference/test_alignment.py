"""Aligning files: long recordings in pieces, parts of files, and a corpus of real speech."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqlab.audio import save_audio
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.errors import AudioError, DataError, ModelError
from seqlab.frontend.logmel import LogMel
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.ctc import CTCHead
from seqlab.inference import alignment
from seqlab.inference.alignment import align_file, frame_log_probs
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer


def make_model() -> SpeechModel:
    torch.manual_seed(0)
    frontend = LogMel(n_mels=20)
    encoder = SeparableConvEncoder(
        frontend.output_dim, widths=16, kernel_sizes=(5, 5), repeats=1, output_dim=16
    )
    tokenizer = CharacterTokenizer(characters=" abcd")
    return SpeechModel(frontend, encoder, CTCHead(encoder.output_dim, len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def model() -> SpeechModel:
    return make_model().eval()


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("noise") / "noise.wav"
    save_audio(
        path, 0.1 * torch.randn(16000 * 20, generator=torch.Generator().manual_seed(1)), 16000
    )
    return path


def whole(model: SpeechModel, path: Path) -> torch.Tensor:
    from seqlab.audio import load_audio

    waveform, _ = load_audio(path)
    with torch.inference_mode():
        return model(waveform[None], torch.tensor([len(waveform)]))[0][0]


@pytest.mark.parametrize("chunk_s", [0.5, 3.0, 7.77, 12.0])
def test_pieces_equal_the_whole(model, noise, monkeypatch, chunk_s):
    monkeypatch.setattr(alignment, "_CHUNK_S", chunk_s)
    monkeypatch.setattr(alignment, "_CONTEXT_S", 2.0)
    assert torch.allclose(frame_log_probs(model, noise), whole(model, noise), atol=1e-5)


def test_the_mode_of_the_model_is_restored(noise):
    model = make_model().train()
    frame_log_probs(model, noise, duration_s=1.0)
    assert model.training


def test_lines_are_words_of_the_text_in_their_spelling(model, noise):
    (said,) = align_file(model, noise, ["Ab  DC"], start_s=2.0, duration_s=3.0)
    assert said is not None and said.text == "Ab  DC"
    assert [word.text for word in said.words] == ["Ab", "DC"]
    assert said.words[0].start_s >= 2.0 and said.words[-1].end_s <= 5.0


def test_nothing_to_say(model, noise):
    assert align_file(model, noise, [" "]) == [None]
    assert align_file(model, noise, []) == []
    found = align_file(model, noise, ["", "ab", ""], skip_cost=100.0)
    assert found[0] is None and found[1] is not None and found[2] is None


def test_bad_lines_and_files(model, noise, tmp_path):
    with pytest.raises(DataError, match=r"^line 2: text 'x'"):
        align_file(model, noise, ["a", "x"])
    with pytest.raises(DataError, match=r"^text 'x'"):
        align_file(model, noise, ["x"])
    save_audio(tmp_path / "short.wav", torch.zeros(50), 16000)
    with pytest.raises(AudioError, match=r"short\.wav is too short for a single frame"):
        align_file(model, tmp_path / "short.wav", ["a"])


def test_a_classifier_cannot_align(noise):
    frontend = LogMel(n_mels=20)
    encoder = SeparableConvEncoder(20, widths=16, kernel_sizes=(5,), repeats=1, output_dim=16)
    tokenizer = LabelTokenizer(labels=["a", "b"])
    head = ClassifierHead(encoder.output_dim, 2)
    with pytest.raises(ModelError, match="ClassifierHead gives label, alignment needs a head that"):
        frame_log_probs(SpeechModel(frontend, encoder, head, tokenizer), noise)
