"""Log-probabilities to decode: those of a model on a corpus, and made ones.

``python -m tests.benchmarks.decoding_posteriors MODEL MANIFEST TRAIN_MANIFEST OUTPUT.npz`` writes
what the benchmark reads: log_probs (B, T', C), lengths, texts, tokens, frame_s, and the training
texts, from which its language model is estimated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Posteriors:
    """Log-probabilities with what was said.

    Args:
        log_probs: (B, T', C), float32.
        lengths: valid frames (B,).
        texts: what was said (B,).
        tokens: texts of the tokens (C,), the blank first; a space stands between words.
        training: texts for a language model.
    """

    log_probs: NDArray[np.float32]
    lengths: NDArray[np.int64]
    texts: list[str]
    tokens: list[str]
    training: list[str]

    def save(self, path: str | Path) -> None:
        """Write an .npz file."""
        np.savez_compressed(
            path, log_probs=self.log_probs, lengths=self.lengths, texts=self.texts,
            tokens=self.tokens, training=self.training,
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> Posteriors:
        """Read an .npz file."""
        with np.load(path) as file:
            return cls(
                file["log_probs"], file["lengths"],
                *([str(text) for text in file[name]] for name in ("texts", "tokens", "training")),
            )  # fmt: skip

    @classmethod
    def of_model(cls, model_path: str, manifest: str, training: str) -> Posteriors:
        """What a model of characters gives for the utterances of a manifest."""
        import torch

        from seqlab.audio import load_audio
        from seqlab.data.manifest import read_manifest
        from seqlab.lengths import pad_stack
        from seqlab.model import SpeechModel

        model = SpeechModel.load(model_path).eval()
        normalize = model.tokenizer.normalize
        rows, texts = [], []
        with torch.inference_mode():
            for utterance in read_manifest(manifest):
                waveform, _ = load_audio(utterance.path, sample_rate=model.sample_rate)
                found: Any = model(waveform.reshape(1, -1), torch.tensor([waveform.numel()]))
                rows.append(found[0][0, : int(found[1][0])].float())
                texts.append(normalize(utterance.transcript))
        log_probs, lengths = pad_stack(rows)
        return cls(
            log_probs.numpy(), lengths.numpy(), texts, model.tokenizer.tokens,
            [normalize(utterance.transcript) for utterance in read_manifest(training)],
        )  # fmt: skip


def made(tokens: int, count: int = 4, frames: int = 200, seed: int = 0) -> NDArray[np.float32]:
    """Log-probabilities (count, frames, tokens) as peaked as those of a trained model.

    Three frames of four favour the blank; in each some other tokens have a part as well.
    """
    random = np.random.default_rng(seed)
    peak = 8.0 + np.log(tokens / 29)  # so that all others together have the same share
    logits = random.standard_normal((count, frames, tokens))
    favourite = random.integers(1, tokens, (count, frames))
    favourite[random.random((count, frames)) < 0.75] = 0
    rival = random.integers(0, tokens, (count, frames))
    rows = np.indices((count, frames))
    logits[rows[0], rows[1], favourite] += peak
    logits[rows[0], rows[1], rival] += peak * random.random((count, frames))
    logits -= np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return logits.astype(np.float32)


if __name__ == "__main__":
    Posteriors.of_model(*sys.argv[1:4]).save(sys.argv[4])
