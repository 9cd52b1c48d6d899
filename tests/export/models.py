"""Small untrained models to export, whose norms have statistics and whose labels differ."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqlab.audio import load_audio
from seqlab.contracts import Encoder, Head
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.frontend.logmel import LogMel
from seqlab.frontend.normalize import GlobalCMVN
from seqlab.heads.ctc import CTCHead
from seqlab.heads.keyword import KeywordHead
from seqlab.model import SpeechModel
from seqlab.text.tokenizers import CharacterTokenizer, LabelTokenizer
from tests.contract.invariants import settled

RATE, BANDS = 8000, 16
LABELS = ["<unknown>", "go", "stop"]


def normalizer() -> GlobalCMVN:
    torch.manual_seed(3)
    return GlobalCMVN(BANDS).fit([(12 + 3 * torch.randn(1, 50, BANDS), torch.tensor([50]))])


def classifier(encoder: Encoder, head: Head | None = None) -> SpeechModel:
    settled(encoder, BANDS)
    torch.manual_seed(1)
    head = head or KeywordHead(encoder.output_dim, len(LABELS), window=10, background=[0])
    with torch.no_grad():
        for parameter in head.parameters():  # labels that clearly differ
            parameter.mul_(4)
    labels = LabelTokenizer(labels=LABELS)
    frontend = LogMel(sample_rate=RATE, n_mels=BANDS)
    return SpeechModel(frontend, encoder, head, labels, normalizer()).eval()


def causal_encoder() -> SeparableConvEncoder:
    return SeparableConvEncoder(
        BANDS, widths=6, kernel_sizes=(5,), repeats=1, strides=(2,), output_dim=5, causal=True
    )


def recogniser() -> SpeechModel:
    encoder = settled(causal_encoder(), BANDS)
    tokenizer = CharacterTokenizer(characters=" abc")
    torch.manual_seed(2)
    head = CTCHead(5, len(tokenizer))
    return SpeechModel(LogMel(sample_rate=RATE, n_mels=BANDS), encoder, head, tokenizer).eval()


def real_recordings(count: int) -> list[Tensor]:
    """Digits by several speakers; skips the test where there is no corpora folder."""
    folder = Path(os.environ.get("SEQLAB_DATA", ""), "fsdd", "recordings")
    files = sorted(folder.glob("*.wav"))
    if not files or not os.environ.get("SEQLAB_DATA"):
        pytest.skip("set SEQLAB_DATA to the folder of the real corpora")
    return [load_audio(f, sample_rate=RATE)[0] for f in files[:: len(files) // count][:count]]
