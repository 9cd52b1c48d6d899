"""A model that knows three tones as keywords without any training."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.contracts import Encoder, Head
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import Normalizer
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import LabelTokenizer
from tests.inference.tones import PITCH, RATE, Same

LABELS = ["<unknown>", "a", "b", "c"]


def spotting_model(
    head: str = "keyword",
    encoder: Encoder | None = None,
    normalizer: Normalizer | None = None,
    window: int = 6,
) -> SpeechModel:
    """Says which tone is loud; with an encoder of its own, anything."""
    torch.manual_seed(3)
    frontend = LogMel(sample_rate=RATE, n_mels=16)
    tokenizer = LabelTokenizer(labels=LABELS)
    dim = 16 if encoder is None else encoder.output_dim
    made: Head = ClassifierHead(dim, len(LABELS))
    if head == "keyword":
        made = KeywordHead(dim, len(LABELS), window=window, background=[0])
    if encoder is None:
        weight, bias = torch.zeros(len(LABELS), 16), torch.zeros(len(LABELS))
        for place, label in enumerate(LABELS[1:], start=1):
            time = torch.arange(800) / RATE
            tone = 0.3 * torch.sin(2 * torch.pi * PITCH[label] * time)
            loud = frontend.extract(tone, RATE).mean(0)
            weight[place, loud.argmax()] = 3.0
            bias[place] = -3.0 * float(loud.max()) + 6.0
        linear = next(part for part in made.modules() if isinstance(part, torch.nn.Linear))
        linear.load_state_dict({"weight": weight, "bias": bias})
    return SpeechModel(frontend, encoder or Same(16), made, tokenizer, normalizer).eval()


def beeps(labels: str, every_s: float = 1.5, seed: int = 0) -> tuple[Tensor, list[float]]:
    """Tones of 0.15 s over faint noise, and when each begins; a second of noise comes first."""
    generator = torch.Generator().manual_seed(seed)
    count = round((1 + every_s * len(labels)) * RATE)
    sound = 0.001 * torch.randn(count, generator=generator)
    starts = [1.0 + every_s * place for place in range(len(labels))]
    time = torch.arange(round(0.15 * RATE)) / RATE
    for label, start in zip(labels, starts, strict=True):
        begin = round(start * RATE)
        tone = 0.3 * torch.sin(2 * torch.pi * PITCH[label] * time)
        sound[begin : begin + len(tone)] += tone
    return sound, starts
