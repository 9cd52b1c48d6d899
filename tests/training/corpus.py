"""A tiny corpus of tones, and recipes that learn it in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlab.audio import save_audio
from seqlab.data.manifest import Utterance, write_manifest
from seqlab.recipe import Recipe, recipe_from_dict, train_recipe
from seqlab.training.observer import Observer
from seqlab.training.run import RunResult

RATE = 8000
PITCH = {"a": 300.0, "b": 900.0, "c": 2000.0}


def tones(text: str, tone_s: float, seed: int) -> torch.Tensor:
    """One tone a letter, a little noise on top."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(tone_s * RATE)) / RATE
    parts = [0.3 * np.sin(2 * np.pi * PITCH[letter] * time) for letter in text]
    wave = np.concatenate(parts) + 0.01 * rng.standard_normal(len(time) * len(text))
    return torch.from_numpy(wave.astype(np.float32))


def utterance(root: Path, name: str, text: str, **extra: Any) -> Utterance:
    """Write a recording and return its manifest entry."""
    seed = sum(name.encode())
    waveform = tones(text, 0.12 + 0.02 * (seed % 4), seed)
    path = root / f"{name}.wav"
    save_audio(path, waveform, RATE)
    return Utterance(name, str(path), 0.0, len(waveform) / RATE, RATE, **extra)


def make_corpus(root: Path, task: str, train: int = 22, other: int = 7) -> Path:
    """Manifests train, dev and test of recordings of one to three tones."""
    root.mkdir(parents=True, exist_ok=True)
    texts = ["a", "b", "c"] if task == "classification" else ["ab", "ba", "cab", "acb", "bca", "cc"]
    for split, count in {"train": train, "dev": other, "test": other}.items():
        found = []
        for number in range(count):
            text = texts[number % len(texts)]
            key = "label" if task == "classification" else "transcript"
            extra = {key: text, "speaker": f"s{number % 3}"}
            found.append(utterance(root, f"{split}{number:02d}", text, **extra))
        write_manifest(found, root / f"{split}.jsonl.gz")
    return root


def make_recipe(root: Path, task: str = "transcription", **changes: Any) -> Recipe:
    """A recipe for `make_corpus`; ``changes`` such as ``training__epochs=2`` replace values."""
    classifies = task == "classification"
    raw: dict[str, Any] = {
        "title": "tones",
        "seed": 7,
        "data": {"root": str(root), "batch_size": 4},
        "text": {
            "class_path": "seqlab.text.tokenizers."
            + ("LabelTokenizer" if classifies else "CharacterTokenizer")
        },
        "frontend": {
            "class_path": "seqlab.frontend.logmel.LogMel",
            "init_args": {"sample_rate": RATE, "n_mels": 16},
        },
        "encoder": {
            "class_path": "seqlab.encoders.separable.SeparableConvEncoder",
            "init_args": {
                "widths": 16,
                "kernel_sizes": [5],
                "repeats": 1,
                "strides": [2],
                "stem_kernel_size": 5,
                "output_dim": 24,
                "dropout": 0.1,
            },
        },
        "head": {
            "class_path": "seqlab.heads."
            + ("classifier.ClassifierHead" if classifies else "ctc.CTCHead")
        },
        "normalize": {"class_path": "seqlab.frontend.normalize.GlobalCMVN"},
        "spec_augment": {"num_time_masks": 1},
        "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.01},
        "schedule": {"name": "warmup_cosine"},
        "training": {"epochs": 3, "log_every_steps": 2, "gradient_clip": 5.0, "device": "cpu"},
    }
    for name, value in changes.items():
        *sections, last = name.split("__")
        place = raw
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return recipe_from_dict(raw)


def run(
    recipe: Recipe, folder: Path, *, resume: bool = False, observer: Observer | None = None
) -> RunResult:
    """Train a recipe as the command line does."""
    command = ["seqlab", "train"]
    return train_recipe(recipe, folder, resume=resume, observer=observer, command=command)
