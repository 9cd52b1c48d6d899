"""Utterances, words of tones, and models whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from seqlab.audio import save_audio
from seqlab.data.manifest import from_file, write_manifest
from seqlab.data.utterance import Utterance
from seqlab.encoders.cnn.tcn import TCNEncoder
from seqlab.frontend.logmel import LogMel
from seqlab.heads.event import EventHead
from seqlab.model import SpeechModel
from seqlab.text.events import EventTokenizer

RATE = 8000
TONES = {"low": 400.0, "high": 2000.0}
SPEAKERS = ("ann", "bob", "cyd")


def utterance(name: str) -> Utterance:
    """Of a file that is not looked at."""
    return Utterance(name, f"/nowhere/{name}.wav", 0.0, 20.0, RATE)


def tone(hertz: float, duration_s: float) -> torch.Tensor:
    """A tone at half scale."""
    return 0.5 * torch.sin(torch.arange(round(duration_s * RATE)) * (2 * math.pi * hertz / RATE))


def make_words(folder: Path) -> Path:
    """Two words by three speakers, each 0.3 s with 0.1 s of silence on either side, one split."""
    folder.mkdir()
    words = []
    for speaker in SPEAKERS:
        for label, hertz in TONES.items():
            path = folder / f"{speaker}-{label}.wav"
            quiet = torch.zeros(800)
            save_audio(path, torch.cat([quiet, tone(hertz, 0.3), quiet]), RATE)
            words.append(from_file(path, path.stem, label=label, speaker=speaker))
    write_manifest(words, folder / "train.jsonl.gz")
    return folder


def make_noises(folder: Path) -> Path:
    """A noise of 2 s for each split."""
    folder.mkdir()
    for place, split in enumerate(("train", "dev", "test")):
        generator = torch.Generator().manual_seed(place)
        path = folder / f"{split}.wav"
        save_audio(path, 0.1 * torch.randn(2 * RATE, generator=generator), RATE)
        write_manifest([from_file(path, split)], folder / f"noise_{split}.jsonl.gz")
    return folder


def event_model(labels: tuple[str, ...] = ("low", "high"), seed: int = 0) -> SpeechModel:
    """Fresh, of a small network whose frames see less than 0.3 s; frames of 20 ms."""
    torch.manual_seed(seed)
    frontend = LogMel(sample_rate=RATE, n_mels=20)
    encoder = TCNEncoder(20, hidden_dim=8, num_blocks=1, kernel_size=9, subsampling=2)
    head = EventHead(8, len(labels), frame_s=0.02)
    return SpeechModel(frontend, encoder, head, EventTokenizer(labels=list(labels))).eval()


def constant_model(**probabilities: float) -> SpeechModel:
    """A model that is always as sure of each label."""
    model = event_model(tuple(probabilities))
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.copy_(torch.tensor(list(probabilities.values())).logit())
    return model
