"""A language of tones, and a model that knows it without any training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.contracts import Between, Encoder
from seqlab.frontend.logmel import LogMel
from seqlab.heads.ctc import CTCHead
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer

RATE = 8000
PITCH = {" ": 3100.0, "a": 400.0, "b": 900.0, "c": 1700.0}
LETTER_S = 0.12  # from one to the next, a third of it quiet


class Same(Encoder):
    """Gives its features as they are; looks ahead by nothing."""

    causal = True

    def __init__(self, input_dim: int) -> None:
        super().__init__()
        self.input_dim = self.output_dim = input_dim

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        return features, lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths

    def initial_state(self, batch_size: int = 1) -> int:
        return batch_size

    def step(self, features: Tensor, state: Any, between: Any = None) -> tuple[Tensor, Any]:
        return features, state

    def flush(self, state: int, between: Any = None) -> Tensor:
        return torch.zeros(state, 0, self.output_dim)


def tone_model(encoder: Encoder | None = None) -> SpeechModel:
    """Hears a letter where its band is loud, and nothing elsewhere."""
    frontend = LogMel(sample_rate=RATE, n_mels=16)
    tokenizer = CharacterTokenizer(characters="".join(PITCH))
    head = CTCHead(16, len(tokenizer))
    weight, bias = torch.zeros(len(tokenizer), 16), torch.zeros(len(tokenizer))
    for letter, pitch in PITCH.items():
        time = torch.arange(800) / RATE
        loud = frontend.extract(0.3 * torch.sin(2 * torch.pi * pitch * time), RATE).mean(0)
        place = tokenizer.encode("a" + letter + "a")[1]
        weight[place, loud.argmax()] = 3.0
        bias[place] = -3.0 * float(loud.max()) + 6.0
    linear = next(part for part in head.modules() if isinstance(part, torch.nn.Linear))
    linear.load_state_dict({"weight": weight, "bias": bias})
    return SpeechModel(frontend, encoder or Same(16), head, tokenizer).eval()


def said(text: str, noise: float = 0.001, seed: int = 0) -> Tensor:
    """The sound of a text, over faint noise."""
    count = round(LETTER_S * RATE)
    time = np.arange(count) / RATE
    loud = time < LETTER_S * 2 / 3
    parts = [0.3 * loud * np.sin(2 * np.pi * PITCH[letter] * time) for letter in text]
    return torch.from_numpy(np.concatenate(parts)).float() + quiet(count * len(text) / RATE, seed)


def quiet(seconds: float, seed: int = 1, level: float = 0.001) -> Tensor:
    """Faint noise."""
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(round(seconds * RATE), generator=generator)


def talk(texts: list[str], pauses_s: list[float]) -> tuple[Tensor, list[tuple[float, float]]]:
    """Texts with a pause before each and a second at the end; when each was said."""
    parts: list[Tensor] = []
    times = []
    at = 0.0
    for place, (text, pause_s) in enumerate(zip(texts, pauses_s, strict=True)):
        sound = said(text, seed=place)
        parts += [quiet(pause_s, place), sound]
        at += pause_s
        times.append((at, at + len(sound) / RATE))
        at += len(sound) / RATE
    return torch.cat([*parts, quiet(1.0, 99)]), times
